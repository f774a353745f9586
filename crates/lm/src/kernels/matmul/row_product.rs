//! Some columns of one row of a product: the path for single rows and for small products.
//!
//! Each weight is used once, so that nothing counts but reading them as fast as memory gives them.

use super::super::K_BLOCK;
use super::super::instructions::with_simd;
use super::super::memory::prefetch;
use super::super::number::Number;
use super::matrix::Matrix;
use super::turn::{SIDE, add_turned};

/// Columns whose sums stay in the nearest cache while k runs, where the right matrix is row-major.
const WIDE: usize = 2048;
/// Rows of f32 that are fetched ahead of those in use, into the second cache: of smaller numbers as many bytes.
const ROWS_AHEAD: usize = 8;

/// target = (target +) row `row` of `a` · the columns of `b` from `first` on, as many as the target has.
pub(super) fn strip<N: Number>(
    target: &mut [f32],
    keep: bool,
    a: Matrix<'_>,
    b: Matrix<'_, N>,
    row: usize,
    first: usize,
) {
    let tile = if b.column_stride() == 1 { WIDE } else { SIDE };
    for (index, target) in target.chunks_mut(tile).enumerate() {
        for start in (0..a.columns).step_by(K_BLOCK) {
            let mut factors = [0.0; K_BLOCK];
            let factors = &mut factors[..K_BLOCK.min(a.columns - start)];
            let values = a.from(row, start);
            for (index, factor) in factors.iter_mut().enumerate() {
                *factor = values[index * a.column_stride()];
            }
            with_simd(Block {
                target,
                keep: keep || start > 0,
                factors,
                b,
                first: first + index * tile,
                start,
            });
        }
    }
}

/// At most [`WIDE`] columns, or [`SIDE`] where the right matrix is a transpose, over one block of k.
///
/// A type and not a closure, so that all of it is inlined into the code for the instruction set: a fused
/// multiply-add left outside would be a function call.
struct Block<'a, N> {
    target: &'a mut [f32],
    keep: bool,
    factors: &'a [f32],
    b: Matrix<'a, N>,
    first: usize,
    start: usize,
}

impl<N: Number> pulp::WithSimd for Block<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let values = self.b.from(self.start, self.first);
        let count = self.target.len();
        let mut store = |sums: &[f32]| {
            for (value, &sum) in self.target.iter_mut().zip(sums) {
                *value = if self.keep { *value + sum } else { sum };
            }
        };
        if self.b.column_stride() == 1 {
            let mut sums = [0.0; WIDE];
            rows_of(values, self.b.row_stride(), self.factors, &mut sums[..count]);
            store(&sums);
        } else {
            let mut sums = [0.0; SIDE];
            columns_of(values, self.b, self.factors, &mut sums[..count]);
            store(&sums);
        }
    }
}

/// The right matrix is row-major: each k adds a multiple of one of its rows. Four rows at a time, so that the sums
/// pass between the nearest cache and the registers once for all four.
#[inline(always)]
fn rows_of<N: Number>(values: &[N], stride: usize, factors: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    let (fours, rest) = factors.as_chunks::<4>();
    for (index, factors) in fours.iter().enumerate() {
        let rows: [&[N]; 4] = std::array::from_fn(|row| &values[(4 * index + row) * stride..][..width]);
        four_rows(rows, stride * ROWS_AHEAD * (N::IN_LINE / SIDE), factors, sums);
    }
    for (index, &factor) in rest.iter().enumerate() {
        let row = &values[(4 * fours.len() + index) * stride..];
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum = factor.mul_add(value.widen(), *sum);
        }
    }
}

#[inline(always)]
fn four_rows<N: Number>(
    rows: [&[N]; 4],
    ahead: usize,
    &[first, second, third, fourth]: &[f32; 4],
    sums: &mut [f32],
) {
    let add = |sum: &mut f32, a: N, b: N, c: N, d: N| {
        let two = second.mul_add(b.widen(), first.mul_add(a.widen(), *sum));
        *sum = fourth.mul_add(d.widen(), third.mul_add(c.widen(), two));
    };
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<SIDE>());
    let (squares, last) = sums.as_chunks_mut::<SIDE>();
    for ((((sums, a), b), c), d) in squares.iter_mut().zip(a.0).zip(b.0).zip(c.0).zip(d.0) {
        for line in [a, b, c, d] {
            prefetch(line.as_ptr().wrapping_add(ahead));
        }
        for lane in 0..SIDE {
            add(&mut sums[lane], a[lane], b[lane], c[lane], d[lane]);
        }
    }
    for (lane, sum) in last.iter_mut().enumerate() {
        add(sum, a.1[lane], b.1[lane], c.1[lane], d.1[lane]);
    }
}

/// The right matrix is a transpose: its columns are contiguous, each chain walks down one of them.
#[inline(always)]
fn columns_of<N: Number>(values: &[N], b: Matrix<'_, N>, factors: &[f32], sums: &mut [f32]) {
    let depth = factors.len();
    let (down, across) = (b.row_stride(), b.column_stride());
    let mut done = 0;
    if down == 1 && sums.len() == SIDE {
        let mut chains = [0.0; SIDE];
        let squares = factors.as_chunks::<SIDE>().0;
        add_turned(&mut chains, squares, values, across);
        done = squares.len() * SIDE;
        sums.copy_from_slice(&chains);
    }
    for (lane, sum) in sums.iter_mut().enumerate() {
        for index in done..depth {
            *sum = factors[index].mul_add(values[lane * across + index * down].widen(), *sum);
        }
    }
}
