//! Matrix products of numbers rounded to bf16, summed in f32.
//!
//! The bits of such a product are those of one of two specifications, each the behaviour of an instruction; they
//! belong to a result as the seed does ([`Bf16Set::name`]). Element (i, j) of a product over k is, in both:
//!
//! 1. Every operand is rounded to bf16: to nearest, ties to even; a denormal becomes a zero of its sign, a NaN stays
//!    one. Products of two such numbers are exact in f32. k is filled up with zeros to a multiple of [`STEP`].
//! 2. Within each block of [`BLOCK`] consecutive k there is one sum, begun at +0. In its additions and fused
//!    multiply-adds, each rounded to nearest with ties to even, denormal results become zeros of their sign. Whether a
//!    result is denormal is asked after it was rounded to 24 digits, as x86 does.
//!    * `bf16/amx` (TDPBF16PS): for each step of 32 k, the sixteen even k are a chain of fused multiply-adds begun at
//!      +0, the sixteen odd k are another; the two are added, and what comes out is added to the sum.
//!    * `bf16/avx512` (VDPBF16PS): for each pair of k, a fused multiply-add of the odd k and then one of the even k.
//! 3. The sums of the blocks are added in order, with plain f32 additions; with [`Start::Keep`] the target counts as
//!    the block sum before the first.
//!
//! No path depends on the number of rows, the threads or the sizes of caches, so one row alone gives the bits of that
//! row among many. The bits of a NaN are left open. [`reference`] has the plain form of both.

mod amx;
mod blocked;
mod panels;
mod portable;
mod reference;
mod set;
mod squares;
#[cfg(test)]
mod tests;
mod tiles;

use super::number::Number;
use super::{Matrix, Start, Work};
pub use set::Bf16Set;

/// Length of the blocks in which products are summed over k.
const BLOCK: usize = 2048;
/// What k is filled up to a multiple of.
const STEP: usize = 32;
/// Multiplications below which a product is not worth several threads.
const WORTH_THREADS: usize = 1 << 21;

/// target `[a.rows, b.columns]` = (target +) a · b in bf16, by the rules of this module.
///
/// Panics where this machine lacks the set.
pub(crate) fn multiply<A: Number, B: Number>(
    set: Bf16Set,
    target: &mut [f32],
    start: Start,
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    work: Work,
) {
    assert!(
        set.is_available(),
        "a product with {set:?}, which this machine lacks"
    );
    multiply_unchecked(set, target, start, a, b, work);
}

/// The same without asking the machine, for those who ask it by a product.
fn multiply_unchecked<A: Number, B: Number>(
    set: Bf16Set,
    target: &mut [f32],
    start: Start,
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    work: Work,
) {
    assert_eq!(a.columns, b.rows, "a product of matrices that do not fit");
    assert_eq!(
        target.len(),
        a.rows * b.columns,
        "a product into a target of another size"
    );
    let work = match a.rows * b.columns * a.columns {
        0..WORTH_THREADS => Work::Alone,
        _ => work,
    };
    if !target.is_empty() {
        blocked::multiply(set.tile(), target, start, a, b, work);
    }
}
