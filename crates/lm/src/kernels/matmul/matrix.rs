//! A read-only matrix over a slice.

use super::super::number::Number;
use super::panels::Lanes;

/// A read-only matrix over a slice, with strides, so that a transpose costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, N = f32> {
    values: &'a [N],
    pub rows: usize,
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, N: Number> Matrix<'a, N> {
    /// Row-major `[rows, columns]` at the beginning of `values`.
    pub fn new(values: &'a [N], rows: usize, columns: usize) -> Self {
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

    /// Its first columns.
    pub fn first_columns(self, columns: usize) -> Self {
        assert!(columns <= self.columns, "{columns} columns of {}", self.columns);
        Self { columns, ..self }
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

    /// Its rows, as the left side of a product.
    pub(super) fn row_lanes(&self) -> Lanes<'a, N> {
        Lanes {
            values: self.values,
            count: self.rows,
            lane_stride: self.row_stride,
            depth_stride: self.column_stride,
        }
    }

    /// Its columns, as the right side.
    pub(super) fn column_lanes(&self) -> Lanes<'a, N> {
        self.transposed().row_lanes()
    }

    pub(crate) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(crate) fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// The numbers from element (row, column) on.
    pub(crate) fn from(&self, row: usize, column: usize) -> &'a [N] {
        &self.values[row * self.row_stride + column * self.column_stride..]
    }
}
