//! Large products by blocks: parts of both matrices are copied into panels that the innermost loops read in order
//! (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008).
//!
//! Blocks of rows and columns decide where the numbers lie in the caches, never a bit: the only blocks with a meaning
//! are those of k, which the rules of [`kernels`](super::super) fix.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::K_BLOCK;
use super::super::memory::room;
use super::super::number::Number;
use super::super::tasks::{self, hand_out};
use super::matrix::Matrix;
use super::panels::Pack;
use super::tiles::{Strip, Tile};
use super::{Start, Work};

/// Length of k whose panels are made together: the target is passed over once for each.
const DEPTH_PACKED: usize = 8 * K_BLOCK;
/// Rows of `a` or columns of `b` whose panels all tasks share; a multiple of every tile's rows and columns.
const LANES_SHARED: usize = 1344;
/// Most columns of one task, where `a` is shared, and rows, where `b` is; multiples of every tile's columns or rows.
const COLUMNS_IN_TASK: usize = 128;
const ROWS_IN_TASK: usize = 168;

/// Panels of the shared side that one task makes: together they read memory in longer pieces.
const PANELS_TOGETHER: usize = 8;

thread_local! {
    /// Panels that all tasks of a product share, kept from one product to the next. A product that runs inside
    /// another's wait finds them gone and makes its own.
    static SHARED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// Panels of one task, and its sums between two blocks of k.
    static OWN: Cell<(Vec<f32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// target = (target +) a · b with the tile's code.
///
/// The side with fewer lanes (rows of `a`, columns of `b`) is copied once, into panels that all tasks share and that
/// the second cache holds for one block of k. A task takes lanes of the other side, and for each block of k copies
/// them itself, into panels that stay near, while its part of the target stays in the second cache from one block of
/// k to the next.
pub(super) fn multiply<N: Number>(
    tile: Tile,
    target: &mut [f32],
    start: Start,
    a: Matrix<'_>,
    b: Matrix<'_, N>,
    work: Work,
) {
    let mut panels = SHARED.take();
    let product = Product {
        tile,
        target: Target(target.as_mut_ptr()),
        stride: b.columns,
        a: &a.row_lanes(),
        b: &b.column_lanes(),
        work,
    };
    for first in (0..a.columns).step_by(DEPTH_PACKED) {
        let range = first..a.columns.min(first + DEPTH_PACKED);
        let keep = start == Start::Keep || first > 0;
        let side = if b.columns >= a.rows {
            Side::Rows
        } else {
            Side::Columns
        };
        product.share(side, &mut panels, &range, keep);
    }
    SHARED.set(panels);
}

struct Product<'a> {
    tile: Tile,
    target: Target,
    stride: usize,
    a: &'a dyn Pack,
    b: &'a dyn Pack,
    work: Work,
}

/// The target of a product, shared by tasks that each write tiles of their own.
pub(in super::super) struct Target(pub *mut f32);

// SAFETY: the tasks of a product write disjoint tiles of the target, which the product borrows alone.
#[allow(unsafe_code)]
unsafe impl Sync for Target {}

/// Part of the target.
struct Area {
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    /// Whether the sums are added to what is there.
    keep: bool,
}

impl Area {
    fn new(row: usize, rows: usize, column: usize, columns: usize, keep: bool) -> Self {
        Self {
            row,
            rows,
            column,
            columns,
            keep,
        }
    }
}

/// What a product does with one block of k.
struct Step {
    depth: usize,
    first: bool,
    last: bool,
}

/// Which side of the product all tasks share.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Rows,
    Columns,
}

impl Product<'_> {
    /// The whole target over a range of k, the lanes of one side shared.
    fn share(&self, side: Side, panels: &mut Vec<f32>, range: &Range<usize>, keep: bool) {
        let (high, wide) = (self.tile.rows, self.tile.columns);
        let (shared, shared_width, own, own_width, most) = match side {
            Side::Rows => (self.a, high, self.b, wide, COLUMNS_IN_TASK),
            Side::Columns => (self.b, wide, self.a, high, ROWS_IN_TASK),
        };
        for first in (0..shared.count()).step_by(LANES_SHARED) {
            let count = LANES_SHARED.min(shared.count() - first);
            let packed = Packed::all(
                panels,
                shared,
                first..first + count,
                shared_width,
                range,
                self.work,
            );
            let sizes = tasks::Sizes {
                least: own_width,
                most,
            };
            hand_out(self.work, own.count(), sizes, |own| {
                let area = match side {
                    Side::Rows => Area::new(first, count, own.start, own.len(), keep),
                    Side::Columns => Area::new(own.start, own.len(), first, count, keep),
                };
                self.task(side, &area, &packed, range);
            });
        }
    }

    /// An area over a range of k.
    fn task(&self, side: Side, area: &Area, shared: &Packed<'_>, range: &Range<usize>) {
        let (high, wide) = (self.tile.rows, self.tile.columns);
        let (mut panels, mut sums) = OWN.take();
        let tiles = area.rows.next_multiple_of(high) * area.columns.next_multiple_of(wide);
        let sums_room = room(&mut sums, if range.len() > K_BLOCK { tiles } else { 0 });
        for (index, first) in range.clone().step_by(K_BLOCK).enumerate() {
            let depth = K_BLOCK.min(range.end - first);
            let step = Step {
                depth,
                first: index == 0,
                last: first + depth == range.end,
            };
            let shared = shared.block(index, depth);
            if side == Side::Rows {
                let own = room(&mut panels, area.columns.next_multiple_of(wide) * depth);
                self.b.pack(own, area.column, area.columns, wide, first);
                self.tiles(side, area, &step, shared, own, sums_room);
            } else {
                let own = room(&mut panels, area.rows.next_multiple_of(high) * depth);
                self.a.pack(own, area.row, area.rows, high, first);
                self.tiles(side, area, &step, own, shared, sums_room);
            }
        }
        OWN.set((panels, sums));
    }

    /// All tiles of an area over one block of k. A panel of `b` stays in the nearest cache while those of `a` pass by.
    /// Between the first and the last block the sums lie in `sums`, tile after tile: rows of the target can be so far
    /// apart that the caches cannot hold them together.
    #[allow(unsafe_code)]
    fn tiles(&self, side: Side, area: &Area, step: &Step, a: &[f32], b: &[f32], sums: &mut [f32]) {
        let Tile { rows, columns, run } = self.tile;
        let depth = step.depth;
        let down = area.rows.div_ceil(rows);
        let a = &a[..down * rows * depth];
        for (across, column) in (0..area.columns).step_by(columns).enumerate() {
            let (b, later) = b[column * depth..].split_at(columns * depth);
            let offset = area.row * self.stride + area.column + column;
            let target = self.target.0.wrapping_add(offset);
            let between = sums.as_mut_ptr().wrapping_add(across * down * rows * columns);
            let earlier = match (step.first, area.keep) {
                (true, false) => None,
                (true, true) => Some((target.cast_const(), self.stride)),
                (false, _) => Some((between.cast_const(), columns)),
            };
            let (target, stride) = if step.last {
                (target, self.stride)
            } else {
                (between, columns)
            };
            let strip = Strip {
                target,
                stride,
                earlier,
                // The side that is shared comes from afar: its next panel, or the part of it that is a tile's.
                ahead: match side {
                    Side::Rows => (a.as_ptr().wrapping_add(rows * depth), rows * depth),
                    Side::Columns => (later.as_ptr(), columns * depth / down),
                },
                rows: area.rows,
                columns: columns.min(area.columns - column),
            };
            // SAFETY: the panels were cut to their length; the strip's rows and columns lie inside the area and so inside
            // the target, whose length `multiply` checked, and no other task has this area; where there is more than one
            // step, `sums` has room for all tiles of the area; `multiply` chose a tile that this machine can run.
            unsafe { run(depth, a, b, strip) };
        }
    }
}

/// Panels of some lanes over several blocks of k: `[block of k, panel, depth, width]`.
struct Packed<'a> {
    panels: &'a [f32],
    /// Lanes, filled up to whole panels.
    lanes: usize,
}

impl<'a> Packed<'a> {
    fn all(
        buffer: &'a mut Vec<f32>,
        source: &dyn Pack,
        which: Range<usize>,
        width: usize,
        range: &Range<usize>,
        work: Work,
    ) -> Self {
        let lanes = which.len().next_multiple_of(width);
        let panels = room(buffer, lanes * range.len());
        let mut blocks: Vec<&mut [f32]> = panels.chunks_mut(lanes * K_BLOCK).collect();
        let pack = |(block, panels): (usize, &mut &mut [f32])| {
            let (first, depth) = (range.start + block * K_BLOCK, panels.len() / lanes);
            let pack = |(index, panels): (usize, &mut [f32])| {
                let lane = index * PANELS_TOGETHER * width;
                let count = (PANELS_TOGETHER * width).min(which.len() - lane);
                source.pack(panels, which.start + lane, count, width, first);
            };
            let together = PANELS_TOGETHER * width * depth;
            match work {
                Work::Shared => panels.par_chunks_mut(together).enumerate().for_each(pack),
                Work::Alone => panels.chunks_mut(together).enumerate().for_each(pack),
            }
        };
        match work {
            Work::Shared => blocks.par_iter_mut().enumerate().for_each(pack),
            Work::Alone => blocks.iter_mut().enumerate().for_each(pack),
        }
        Self { panels, lanes }
    }

    /// The panels of one block of k.
    fn block(&self, index: usize, depth: usize) -> &[f32] {
        &self.panels[index * K_BLOCK * self.lanes..][..depth * self.lanes]
    }
}
