//! One row of a product over one block of k: the path for single rows, for small products, and for machines where
//! `gemm` would not fuse.

use std::ops::Range;

use super::matmul::Matrix;

/// Columns kept in registers while k runs, where the right matrix is row-major.
const WIDE: usize = 64;
/// Columns kept in registers where it is not.
const NARROW: usize = 16;

/// target = (target +) row `row` of `a` · columns `first`.. of `b`, over the k in `range`.
pub(super) fn block(
    target: &mut [f32],
    keep: bool,
    a: Matrix<'_>,
    b: Matrix<'_>,
    row: usize,
    first: usize,
    range: Range<usize>,
) {
    let mut factors = [0.0; super::K_BLOCK];
    let factors = &mut factors[..range.len()];
    let values = a.from(row, range.start);
    for (index, factor) in factors.iter_mut().enumerate() {
        *factor = values[index * a.column_stride()];
    }
    pulp::Arch::new().dispatch(RowBlock {
        target,
        keep,
        factors,
        b,
        first,
        start: range.start,
    });
}

/// The work of [`block`], with the row's factors gathered.
///
/// A type and not a closure, so that all of it is inlined into the code for the instruction set: a fused
/// multiply-add left outside would be a function call.
struct RowBlock<'a> {
    target: &'a mut [f32],
    keep: bool,
    factors: &'a [f32],
    b: Matrix<'a>,
    first: usize,
    start: usize,
}

impl pulp::WithSimd for RowBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self {
            target,
            keep,
            factors,
            b,
            first,
            start,
        } = self;
        if b.column_stride() == 1 {
            for (index, tile) in target.chunks_mut(WIDE).enumerate() {
                let mut sums = [0.0; WIDE];
                let sums = &mut sums[..tile.len()];
                rows_of(b.from(start, first + index * WIDE), b.row_stride(), factors, sums);
                store(tile, sums, keep);
            }
        } else {
            for (index, tile) in target.chunks_mut(NARROW).enumerate() {
                let mut sums = [0.0; NARROW];
                let sums = &mut sums[..tile.len()];
                columns_of(b.from(start, first + index * NARROW), b, factors, sums);
                store(tile, sums, keep);
            }
        }
    }
}

#[inline(always)]
fn store(tile: &mut [f32], sums: &[f32], keep: bool) {
    for (value, &sum) in tile.iter_mut().zip(sums) {
        *value = if keep { *value + sum } else { sum };
    }
}

/// The right matrix is row-major: each k adds a multiple of one of its rows.
#[inline(always)]
fn rows_of(values: &[f32], stride: usize, factors: &[f32], sums: &mut [f32]) {
    if let Ok(whole) = <&mut [f32; WIDE]>::try_from(&mut *sums) {
        let mut chains = *whole;
        for (index, &factor) in factors.iter().enumerate() {
            if let Some(row) = values[index * stride..].first_chunk::<WIDE>() {
                for (chain, &value) in chains.iter_mut().zip(row) {
                    *chain = factor.mul_add(value, *chain);
                }
            }
        }
        *whole = chains;
        return;
    }
    for (index, &factor) in factors.iter().enumerate() {
        for (chain, &value) in sums.iter_mut().zip(&values[index * stride..]) {
            *chain = factor.mul_add(value, *chain);
        }
    }
}

/// The right matrix is a transpose: its columns are contiguous, each chain walks down one of them.
#[inline(always)]
fn columns_of(values: &[f32], b: Matrix<'_>, factors: &[f32], sums: &mut [f32]) {
    let depth = factors.len();
    let (down, across) = (b.row_stride(), b.column_stride());
    if down == 1 && sums.len() == NARROW {
        let columns: [&[f32]; NARROW] =
            std::array::from_fn(|lane| &values[lane * across..lane * across + depth]);
        let mut chains = [0.0; NARROW];
        for (index, &factor) in factors.iter().enumerate() {
            for lane in 0..NARROW {
                chains[lane] = factor.mul_add(columns[lane][index], chains[lane]);
            }
        }
        sums.copy_from_slice(&chains);
        return;
    }
    for (lane, sum) in sums.iter_mut().enumerate() {
        for (index, &factor) in factors.iter().enumerate() {
            *sum = factor.mul_add(values[lane * across + index * down], *sum);
        }
    }
}
