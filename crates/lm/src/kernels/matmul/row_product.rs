//! One row of a product over one block of k: the path for single rows and for small products.

use std::ops::Range;

use super::super::instructions::with_simd;
use super::matrix::Matrix;
use super::turn::{SIDE, turned};

/// Columns whose sums stay in the nearest cache while k runs, where the right matrix is row-major.
const WIDE: usize = 512;
/// Columns kept in registers where it is not.
const NARROW: usize = SIDE;

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
    let mut factors = [0.0; super::super::K_BLOCK];
    let factors = &mut factors[..range.len()];
    let values = a.from(row, range.start);
    for (index, factor) in factors.iter_mut().enumerate() {
        *factor = values[index * a.column_stride()];
    }
    with_simd(RowBlock {
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

/// The right matrix is row-major: each k adds a multiple of one of its rows. Four rows at a time, so that the sums
/// pass between the nearest cache and the registers once for all four.
#[inline(always)]
fn rows_of(values: &[f32], stride: usize, factors: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    let (fours, rest) = factors.as_chunks::<4>();
    for (index, &[first, second, third, fourth]) in fours.iter().enumerate() {
        let row = |row: usize| &values[(4 * index + row) * stride..][..width];
        let rows = row(0).iter().zip(row(1)).zip(row(2)).zip(row(3));
        for (sum, (((a, b), c), d)) in sums.iter_mut().zip(rows) {
            let two = second.mul_add(*b, first.mul_add(*a, *sum));
            *sum = fourth.mul_add(*d, third.mul_add(*c, two));
        }
    }
    for (index, &factor) in rest.iter().enumerate() {
        let row = &values[(4 * fours.len() + index) * stride..];
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum = factor.mul_add(value, *sum);
        }
    }
}

/// The right matrix is a transpose: its columns are contiguous, each chain walks down one of them.
#[inline(always)]
fn columns_of(values: &[f32], b: Matrix<'_>, factors: &[f32], sums: &mut [f32]) {
    let depth = factors.len();
    let (down, across) = (b.row_stride(), b.column_stride());
    let mut done = 0;
    if down == 1 && sums.len() == NARROW {
        let mut chains = [0.0; NARROW];
        for factors in factors.as_chunks::<SIDE>().0 {
            let square = turned(&values[done..], across, SIDE);
            for (&factor, row) in factors.iter().zip(&square) {
                for (chain, &value) in chains.iter_mut().zip(row) {
                    *chain = factor.mul_add(value, *chain);
                }
            }
            done += SIDE;
        }
        sums.copy_from_slice(&chains);
    }
    for (lane, sum) in sums.iter_mut().enumerate() {
        for index in done..depth {
            *sum = factors[index].mul_add(values[lane * across + index * down], *sum);
        }
    }
}
