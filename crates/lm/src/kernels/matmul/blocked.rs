//! Large products by blocks: parts of both matrices are copied into panels that the innermost loops read in order
//! (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008).
//!
//! Blocks of rows and columns decide where the numbers lie in the caches, never a bit: the only blocks with a meaning
//! are those of k, which the rules of [`kernels`](super::super) fix.

use std::cell::Cell;

use rayon::prelude::*;

use super::super::K_BLOCK;
use super::matrix::Matrix;
use super::tiles::{Corner, Tile};
use super::turn::{SIDE, turned};
use super::{Start, Work};

/// Rows of `a` packed together: with [`K_BLOCK`], 1 MiB.
const ROWS_PACKED: usize = 1008;
/// Columns of `b` packed together: with [`K_BLOCK`], 2 MiB.
const COLUMNS_PACKED: usize = 2048;
/// Rows of one task: a multiple of every tile's rows.
const ROWS_IN_TASK: usize = 84;
/// Columns of one task: a multiple of every tile's columns.
const COLUMNS_IN_TASK: usize = 256;
/// Numbers in a line of the cache.
const LINE: usize = 16;

thread_local! {
    /// Panels of `a` and of `b`, kept from one product to the next. A product that runs inside another's wait finds
    /// them gone and makes its own.
    static PANELS: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// target = (target +) a · b with the tile's code.
pub(super) fn multiply(
    tile: Tile,
    target: &mut [f32],
    start: Start,
    a: Matrix<'_>,
    b: Matrix<'_>,
    work: Work,
) {
    let mut panels = PANELS.take();
    let product = Product {
        tile,
        target: Target(target.as_mut_ptr()),
        a,
        b,
        work,
    };
    for column in (0..b.columns).step_by(COLUMNS_PACKED) {
        for first in (0..a.columns).step_by(K_BLOCK) {
            let depth = K_BLOCK.min(a.columns - first);
            let keep = start == Start::Keep || first > 0;
            product.block(&mut panels, column, first, depth, keep);
        }
    }
    PANELS.set(panels);
}

struct Product<'a> {
    tile: Tile,
    target: Target,
    a: Matrix<'a>,
    b: Matrix<'a>,
    work: Work,
}

/// Shared by tasks that each write tiles of their own.
struct Target(*mut f32);

// SAFETY: the tasks of a product write disjoint tiles of the target, which the product borrows alone.
#[allow(unsafe_code)]
unsafe impl Sync for Target {}

impl Product<'_> {
    /// All rows of the target at the columns packed together from `column`, over one block of k.
    fn block(&self, panels: &mut [Vec<f32>; 2], column: usize, first: usize, depth: usize, keep: bool) {
        let columns = COLUMNS_PACKED.min(self.b.columns - column);
        let [left, right] = panels;
        let right = room(right, columns.next_multiple_of(self.tile.columns) * depth);
        let b = Source {
            values: self.b.from(first, column),
            lanes: columns,
            lane_stride: self.b.column_stride(),
            depth_stride: self.b.row_stride(),
        };
        b.pack(right, self.tile.columns, depth, self.work);
        for row in (0..self.a.rows).step_by(ROWS_PACKED) {
            let rows = ROWS_PACKED.min(self.a.rows - row);
            let left = room(left, rows.next_multiple_of(self.tile.rows) * depth);
            let a = Source {
                values: self.a.from(row, first),
                lanes: rows,
                lane_stride: self.a.row_stride(),
                depth_stride: self.a.column_stride(),
            };
            a.pack(left, self.tile.rows, depth, self.work);
            let area = Area {
                row,
                rows,
                column,
                columns,
                depth,
                keep,
            };
            self.tasks(&area, left, right);
        }
    }

    fn tasks(&self, area: &Area, left: &[f32], right: &[f32]) {
        let across = area.columns.div_ceil(COLUMNS_IN_TASK);
        let tasks = across * area.rows.div_ceil(ROWS_IN_TASK);
        let task = |index: usize| {
            let (row, column) = (index / across * ROWS_IN_TASK, index % across * COLUMNS_IN_TASK);
            self.task(area, row, column, left, right);
        };
        match self.work {
            Work::Shared => (0..tasks).into_par_iter().for_each(task),
            Work::Alone => (0..tasks).for_each(task),
        }
    }

    /// The tiles of one task, whose first is at (`row`, `column`) of the area. A panel of `b` stays in the nearest
    /// cache while the panels of `a` pass by.
    #[allow(unsafe_code)]
    fn task(&self, area: &Area, row: usize, column: usize, left: &[f32], right: &[f32]) {
        let stride = self.b.columns;
        let last_row = area.rows.min(row + ROWS_IN_TASK);
        for column in (column..area.columns.min(column + COLUMNS_IN_TASK)).step_by(self.tile.columns) {
            let b = &right[column * area.depth..][..self.tile.columns * area.depth];
            for row in (row..last_row).step_by(self.tile.rows) {
                let a = &left[row * area.depth..][..self.tile.rows * area.depth];
                let offset = (area.row + row) * stride + area.column + column;
                let corner = Corner {
                    target: self.target.0.wrapping_add(offset),
                    stride,
                    rows: self.tile.rows.min(area.rows - row),
                    columns: self.tile.columns.min(area.columns - column),
                    keep: area.keep,
                };
                // SAFETY: the panels were cut to their length; the corner's rows and columns lie inside the area and
                // so inside the target, whose length `multiply` checked, and no other task has this tile; `multiply`
                // chose a tile that this machine can run.
                unsafe { (self.tile.run)(area.depth, a, b, corner) };
            }
        }
    }
}

/// The part of the target that one block of k and two packed parts speak of.
struct Area {
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    depth: usize,
    keep: bool,
}

/// The first `length` numbers of a buffer from its first line of the cache on.
fn room(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length + LINE {
        buffer.resize(length + LINE, 0.0);
    }
    let first = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    &mut buffer[first..first + length]
}

/// Part of a matrix, as lanes (rows of `a`, columns of `b`) that each go along k.
struct Source<'a> {
    values: &'a [f32],
    lanes: usize,
    lane_stride: usize,
    depth_stride: usize,
}

impl Source<'_> {
    /// Copies the lanes into panels `[depth, width]`, the last filled up with zeros.
    fn pack(&self, panels: &mut [f32], width: usize, depth: usize, work: Work) {
        let pack = |(index, panel): (usize, &mut [f32])| self.pack_panel(panel, index * width, width);
        match work {
            Work::Shared => panels
                .par_chunks_exact_mut(width * depth)
                .enumerate()
                .with_min_len(4)
                .for_each(pack),
            Work::Alone => panels.chunks_exact_mut(width * depth).enumerate().for_each(pack),
        }
    }

    fn pack_panel(&self, panel: &mut [f32], first: usize, width: usize) {
        let lanes = width.min(self.lanes - first);
        let values = &self.values[first * self.lane_stride..];
        if lanes < width {
            panel.fill(0.0);
        }
        if self.lane_stride == 1 {
            match lanes {
                32 => copy_rows::<32>(panel, width, values, self.depth_stride),
                16 => copy_rows::<16>(panel, width, values, self.depth_stride),
                14 => copy_rows::<14>(panel, width, values, self.depth_stride),
                _ => {
                    for (index, panel) in panel.chunks_exact_mut(width).enumerate() {
                        panel[..lanes].copy_from_slice(&values[index * self.depth_stride..][..lanes]);
                    }
                }
            }
        } else {
            self.turn_into(panel, values, lanes, width);
        }
    }

    /// Copies lanes that lie one after the other: 16 at a time and 16 of k, turned in registers, then what is left.
    fn turn_into(&self, panel: &mut [f32], values: &[f32], lanes: usize, width: usize) {
        let depth = panel.len() / width;
        let turning = if self.depth_stride == 1 {
            depth - depth % SIDE
        } else {
            0
        };
        for first in (0..lanes).step_by(SIDE) {
            let count = SIDE.min(lanes - first);
            let values = &values[first * self.lane_stride..];
            for done in (0..turning).step_by(SIDE) {
                let rows = panel[done * width..].chunks_exact_mut(width);
                for (place, row) in rows.zip(turned(&values[done..], self.lane_stride, count)) {
                    place[first..first + count].copy_from_slice(&row[..count]);
                }
            }
            for index in turning..depth {
                for lane in 0..count {
                    panel[index * width + first + lane] =
                        values[lane * self.lane_stride + index * self.depth_stride];
                }
            }
        }
    }
}

/// Copies the first `LANES` numbers of each row; a length known when it is compiled needs no call for each row.
fn copy_rows<const LANES: usize>(panel: &mut [f32], width: usize, values: &[f32], stride: usize) {
    for (index, panel) in panel.chunks_exact_mut(width).enumerate() {
        let row = values[index * stride..].first_chunk::<LANES>();
        if let (Some(place), Some(row)) = (panel.first_chunk_mut::<LANES>(), row) {
            *place = *row;
        }
    }
}
