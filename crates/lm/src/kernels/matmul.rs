//! The one wrapper for matrix products.

use gemm::Parallelism;
use rayon::prelude::*;

use super::{K_BLOCK, row_product};

/// Products smaller than this many elements do not go to `gemm`, whose path for them sums in another order.
const SMALL: usize = 256;
/// `gemm` multiplies and adds without fusing where a block of k is as short as this.
const SHORT: usize = 2;
/// Columns that one task of a one-row product computes.
const STRIP: usize = 256;
/// Multiplications below which a product is not worth several threads.
const WORTH_THREADS: usize = 1 << 17;

/// A read-only matrix over a slice, with strides, so that a transpose costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major `[rows, columns]` at the beginning of `values`.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(
            values.len() >= rows * columns,
            "a matrix {rows} × {columns} over {} numbers",
            values.len()
        );
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transpose, over the same numbers.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(super) fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// The numbers from element (row, column) on.
    pub(super) fn from(&self, row: usize, column: usize) -> &'a [f32] {
        &self.values[row * self.row_stride + column * self.column_stride..]
    }
}

/// What a product does with the numbers already in its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Overwrites them.
    Zero,
    /// Adds to them: the target counts as the block sum before the first.
    Keep,
}

/// Whether a product may use the pool it runs in, or is itself one of many tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Shared,
    Alone,
}

/// target `[a.rows, b.columns]` = (target +) a · b, by rule 1 of the module.
pub(crate) fn multiply(target: &mut [f32], start: Start, a: Matrix<'_>, b: Matrix<'_>, work: Work) {
    assert_eq!(a.columns, b.rows, "a product of matrices that do not fit");
    assert_eq!(
        target.len(),
        a.rows * b.columns,
        "a product into a target of another size"
    );
    for first in (0..a.columns).step_by(K_BLOCK) {
        let depth = K_BLOCK.min(a.columns - first);
        let keep = start == Start::Keep || first > 0;
        if a.rows == 1 || b.columns == 1 || a.rows * b.columns <= SMALL || depth <= SHORT || !fused_gemm() {
            own_block(target, keep, a, b, first..first + depth, work);
        } else {
            gemm_block(target, keep, a, b, first..first + depth, work);
        }
    }
}

/// One block of k by our own kernel: any shape, any machine.
fn own_block(
    target: &mut [f32],
    keep: bool,
    a: Matrix<'_>,
    b: Matrix<'_>,
    range: std::ops::Range<usize>,
    work: Work,
) {
    let columns = b.columns;
    let shared = work == Work::Shared && a.rows * columns * range.len() >= WORTH_THREADS;
    let product = |row: usize, first: usize, target: &mut [f32]| {
        row_product::block(target, keep, a, b, row, first, range.clone());
    };
    if !shared {
        target
            .chunks_mut(columns)
            .enumerate()
            .for_each(|(row, target)| product(row, 0, target));
    } else if a.rows == 1 {
        target
            .par_chunks_mut(STRIP)
            .enumerate()
            .for_each(|(strip, target)| product(0, strip * STRIP, target));
    } else {
        target
            .par_chunks_mut(columns)
            .enumerate()
            .for_each(|(row, target)| product(row, 0, target));
    }
}

/// Whether `gemm` multiplies with fused operations on this machine, as rule 1 asks.
fn fused_gemm() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(target_arch = "aarch64")]
    return true;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// One block of k by the `gemm` crate, which sums a block no longer than [`K_BLOCK`] in one chain.
#[allow(unsafe_code)]
fn gemm_block(
    target: &mut [f32],
    keep: bool,
    a: Matrix<'_>,
    b: Matrix<'_>,
    range: std::ops::Range<usize>,
    work: Work,
) {
    let columns = b.columns;
    let parallelism = match work {
        Work::Shared => Parallelism::Rayon(0),
        Work::Alone => Parallelism::None,
    };
    // SAFETY: `gemm` reads elements (i, k) of `a` and (k, j) of `b` and writes (i, j) of the target for i < a.rows,
    // k in the range, j < columns. `Matrix` is only made with all of its elements inside its slice, transposing keeps
    // that, and the range lies inside a.columns = b.rows; the target's length was checked to be a.rows × columns, and
    // as a unique borrow it overlaps neither.
    unsafe {
        gemm::gemm(
            a.rows,
            columns,
            range.len(),
            target.as_mut_ptr(),
            1,
            columns as isize,
            keep,
            a.from(0, range.start).as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.from(range.start, 0).as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use crate::threads;

    /// Every combination of layouts, at shapes around the borders of all paths.
    const SHAPES: [(usize, usize, usize); 22] = [
        (1, 1, 1),
        (1, 5, 3),
        (7, 1, 300),
        (1, 300, 257),
        (1, 2100, 128),
        (2, 128, 1),
        (2, 129, 2),
        (3, 100, 7),
        (16, 16, 64),
        (16, 17, 64),
        (2, 300, 256),
        (2, 300, 257),
        (2, 300, 258),
        (5, 90, 259),
        (64, 64, 32),
        (64, 128, 32),
        (97, 131, 61),
        (130, 65, 513),
        (65, 257, 768),
        (300, 33, 100),
        (257, 1024, 40),
        (8, 2048, 128),
    ];

    fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns)
            .map(|index| values[(index % rows) * columns + index / rows])
            .collect()
    }

    fn check(rows: usize, columns: usize, depth: usize) {
        let left = reference::numbers(rows * depth, 1);
        let right = reference::numbers(depth * columns, 2);
        let (left_turned, right_turned) = (transpose(&left, rows, depth), transpose(&right, depth, columns));
        let before = reference::numbers(rows * columns, 3);
        for start in [Start::Zero, Start::Keep] {
            let mut expected = before.clone();
            reference::multiply(&mut expected, start, &left, &right, rows, columns, depth);
            for a in [
                Matrix::new(&left, rows, depth),
                Matrix::new(&left_turned, depth, rows).transposed(),
            ] {
                for b in [
                    Matrix::new(&right, depth, columns),
                    Matrix::new(&right_turned, columns, depth).transposed(),
                ] {
                    for work in [Work::Shared, Work::Alone] {
                        let mut target = before.clone();
                        multiply(&mut target, start, a, b, work);
                        let same = target
                            .iter()
                            .zip(&expected)
                            .all(|(one, other)| one.to_bits() == other.to_bits());
                        assert!(
                            same,
                            "{rows} × {columns} over {depth}, {start:?}, {work:?}, {a:.0?}, {b:.0?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_layout_and_thread_count_has_the_bits_of_the_reference() {
        for count in [1, 2, 3, 8] {
            threads::pool(count).unwrap().install(|| {
                for (rows, columns, depth) in SHAPES {
                    check(rows, columns, depth);
                }
            });
        }
    }

    #[test]
    fn one_row_alone_has_the_bits_of_that_row_among_many() {
        let (rows, columns, depth) = (9, 700, 600);
        let left = reference::numbers(rows * depth, 5);
        let right = reference::numbers(depth * columns, 6);
        let b = Matrix::new(&right, depth, columns);
        let mut many = vec![0.0; rows * columns];
        multiply(
            &mut many,
            Start::Zero,
            Matrix::new(&left, rows, depth),
            b,
            Work::Shared,
        );
        for row in 0..rows {
            let mut one = vec![0.0; columns];
            multiply(
                &mut one,
                Start::Zero,
                Matrix::new(&left[row * depth..], 1, depth),
                b,
                Work::Shared,
            );
            assert_eq!(one, many[row * columns..(row + 1) * columns]);
        }
    }
}
