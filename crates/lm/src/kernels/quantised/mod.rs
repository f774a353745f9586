//! Quantised matrices: their blocks, their values, and products with them in whole numbers.
//!
//! Element (i, o) of a product of rows of activations with the rows of a matrix of blocks is, on every machine:
//!
//! 1. Every 32 consecutive activations of a row are quantised ([`activations`]). With m the largest of them without its
//!    sign, the scale is m / 127, rounded to 16 bits; the levels are each activation times 127 / m, rounded to the nearest
//!    whole number, halves to even, or 0 where 127 / m is not finite. Where m is 8.3 million or more, or not finite, the
//!    scale is not finite, and so is all that is computed with it.
//! 2. For every 32 consecutive k the products of whole numbers are summed exactly, in 32 bits. What a type subtracts
//!    from all of its levels is subtracted here, and where 16 values share a whole scale, each half is multiplied by its
//!    own.
//! 3. The scale of those 32 is that of the weights times that of the activations, rounded once. A chain of fused
//!    multiply-adds, begun at +0, goes over the groups of 32 in order: the sum times its scale, then, where the type has
//!    a minimum, the minimum times the sum of the activations. That sum is, for Q4_1 and Q5_1, the sum of the levels times
//!    m / 127 before it was rounded, rounded to 16 bits; for Q4_K and Q5_K, the sum of the levels times the scale.
//!
//! Sums of whole numbers have no order, and the chain has one, so that rows, threads and instruction sets decide nothing.
//! Formulas follow ggml (`quantize_row_q8_0`, `quantize_row_q8_1`, `ggml_vec_dot_*`); what ggml leaves to the compiler is
//! fixed here. Types with blocks of 256 meet activations in groups of 32 here, and of 256 there: ours are rounded less.

pub(crate) mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod blocks;
mod kind;
mod panels;
mod portable;
mod product;
#[cfg(test)]
mod reference;
mod stored;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;
mod values;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(crate) use kind::panel_bytes;
pub(crate) use panels::QuantisedMatrix;
pub(crate) use product::multiply;
pub(crate) use values::dequantise;

/// Rows of a matrix that lie side by side in a panel.
const LANES: usize = 16;
/// Values of a row that are summed in whole numbers.
const GROUP: usize = 32;
