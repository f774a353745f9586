//! The arithmetic, and the rules that fix its bits.
//!
//! 1. **Matrix products** in f32 go through [`multiply`] alone. Element (i, j) of a product over k is, in every path:
//!    within each block of [`K_BLOCK`] consecutive k a chain of fused multiply-adds in the order of k, begun at +0;
//!    the block sums added in order, one rounding each. No path depends on the number of rows, the instruction set,
//!    the threads or the sizes of caches, so one row alone gives the bits of that row among many.
//! 2. **Sums along a row** use [`LANES`] virtual lanes: element j goes to lane j mod LANES, lanes are folded in halves.
//! 3. **Sums over rows** follow rule 1's order: in blocks of [`K_BLOCK`] rows, block sums added in order.
//! 4. **Work is split** in any way where no sum goes across pieces; where one does, by fixed sizes, and it is summed in the
//!    order of the pieces.
//! 5. **exp** is our own polynomial ([`math::exp`]), made of separate multiplications and additions; everything else
//!    is IEEE arithmetic, or `libm` where speed does not matter. No platform function is called.
//!    Cosines and sines are `libm`'s in f64, rounded once, and kept in tables ([`rotary::Turns`]).
//! 6. Vectorisation is the compiler's, over independent elements; Rust never reorders or fuses floating point by
//!    itself, so instruction sets only differ in speed.
//!
//! The right side of a product may be stored in bf16 or f16: rule 1 holds for its numbers as f32. Products that round to
//! bf16 what they multiply, and those with quantised blocks, have rules of their own: [`bf16`], [`quantised`].
//!
//! [`reference`] holds the plain form of every kernel; the tests compare bits against it.

pub(crate) mod bf16;
pub(crate) mod elementwise;
pub(crate) mod gather;
pub(crate) mod instructions;
pub(crate) mod loss;
pub(crate) mod math;
pub(crate) mod matmul;
pub(crate) mod memory;
pub(crate) mod norm;
pub(crate) mod number;
pub(crate) mod quantised;
pub(crate) mod reduce;
#[cfg(test)]
pub(crate) mod reference;
pub(crate) mod rms_norm;
pub(crate) mod rotary;
pub(crate) mod softmax;
pub(crate) mod swiglu;
mod tasks;

pub(crate) use matmul::{Matrix, Start, Work, multiply};
pub(crate) use reduce::LANES;

/// Length of the blocks in which products are summed over k, and rows over a batch.
pub(crate) const K_BLOCK: usize = 256;
