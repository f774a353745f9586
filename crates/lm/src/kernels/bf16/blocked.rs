//! Products by blocks: parts of both matrices are copied into panels that the innermost loops read in order, as for
//! [f32](super::super::matmul). The only blocks with a meaning are those of [`BLOCK`] k; within one the sums go on from
//! one part to the next.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::memory::room;
use super::super::number::Number;
use super::panels::{Lanes, Layout, Pack, pairs};
use super::squares::PAIRS;
use super::tiles::{Corner, Tile};
use super::{BLOCK, Matrix, STEP, Start, Work};

/// k whose panels the second cache holds together.
const DEPTH: usize = 512;
/// Rows of `a` or columns of `b` whose panels all tasks share; a multiple of every tile's rows and columns.
const LANES_SHARED: usize = 1344;
/// Lanes that one task copies into shared panels, and lanes of the other side that one task takes; multiples of every
/// tile's rows and columns.
const LANES_IN_TASK: usize = 224;

thread_local! {
    /// Panels that all tasks of a product share, kept from one product to the next. A product that runs inside
    /// another's wait finds them gone and makes its own.
    static SHARED: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// Panels of one task, and its sums between two parts of k.
    static OWN: Cell<(Vec<u32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// target = (target +) a · b with the tile's code.
///
/// The side with fewer lanes (rows of `a`, columns of `b`) is copied once, into panels that all tasks share. A task
/// takes lanes of the other side, and for each part of k copies them itself, into panels that stay near.
pub(super) fn multiply<A: Number, B: Number>(
    tile: Tile,
    target: &mut [f32],
    start: Start,
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    work: Work,
) {
    let (depth, by_rows) = (a.columns, b.columns >= a.rows);
    if depth == 0 && start == Start::Zero {
        target.fill(0.0);
    }
    let (rows, columns) = (lanes(a, tile.a), lanes(b.transposed(), tile.b));
    let (shared, own): (&dyn Pack, &dyn Pack) = if by_rows {
        (&rows, &columns)
    } else {
        (&columns, &rows)
    };
    let product = Product {
        tile,
        target: Target(target.as_mut_ptr()),
        stride: b.columns,
        by_rows,
        shared,
        own,
        work,
    };
    let mut panels = SHARED.take();
    for first in (0..depth).step_by(BLOCK) {
        let range = first..depth.min(first + BLOCK);
        product.block(&mut panels, &range, start == Start::Keep || first > 0);
    }
    SHARED.set(panels);
}

/// The rows of a matrix.
fn lanes<N: Number>(matrix: Matrix<'_, N>, layout: Layout) -> Lanes<'_, N> {
    Lanes {
        values: matrix.from(0, 0),
        count: matrix.rows,
        lane_stride: matrix.row_stride(),
        depth_stride: matrix.column_stride(),
        layout,
    }
}

struct Product<'a> {
    tile: Tile,
    target: Target,
    stride: usize,
    /// Whether the rows of `a` are the shared side.
    by_rows: bool,
    shared: &'a dyn Pack,
    own: &'a dyn Pack,
    work: Work,
}

/// Shared by tasks that each write tiles of their own.
struct Target(*mut f32);

// SAFETY: the tasks of a product write disjoint tiles of the target, which the product borrows alone.
#[allow(unsafe_code)]
unsafe impl Sync for Target {}

/// Part of the target.
struct Area {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Whether the sums are added to what is there.
    keep: bool,
}

impl Product<'_> {
    /// The whole target over one block of k.
    fn block(&self, panels: &mut Vec<u32>, range: &Range<usize>, keep: bool) {
        for first in (0..self.shared.count()).step_by(LANES_SHARED) {
            let shared = first..self.shared.count().min(first + LANES_SHARED);
            let packed = self.share(panels, &shared, range);
            self.each(&|own| {
                let (rows, columns) = if self.by_rows {
                    (shared.clone(), own)
                } else {
                    (own, shared.clone())
                };
                self.task(&Area { rows, columns, keep }, packed, range);
            });
        }
    }

    /// Panels `[part of k, panel]` of shared lanes.
    fn share<'p>(&self, panels: &'p mut Vec<u32>, lanes: &Range<usize>, range: &Range<usize>) -> &'p [u32] {
        let filled = lanes.len().next_multiple_of(self.shared.layout().width);
        let panels = room(panels, filled * pairs(range.len()));
        let mut parts: Vec<(usize, usize, &mut [u32])> = Vec::new();
        for (part, panels) in panels.chunks_mut(filled * DEPTH / 2).enumerate() {
            let depth = panels.len() / filled;
            let pieces = panels.chunks_mut(LANES_IN_TASK * depth).enumerate();
            parts.extend(
                pieces.map(|(piece, panels)| (range.start + part * DEPTH, piece * LANES_IN_TASK, panels)),
            );
        }
        let pack = |(start, lane, panels): &mut (usize, usize, &mut [u32])| {
            let first = lanes.start + *lane;
            self.shared.pack(
                panels,
                first..lanes.end.min(first + LANES_IN_TASK),
                *start..range.end.min(*start + DEPTH),
            );
        };
        match self.work {
            Work::Shared => parts.par_iter_mut().for_each(pack),
            Work::Alone => parts.iter_mut().for_each(pack),
        }
        panels
    }

    /// Splits the lanes that are not shared into tasks: smaller ones where there are many threads.
    fn each(&self, task: &(dyn Fn(Range<usize>) + Sync)) {
        let count = self.own.count();
        let piece = |index: usize, size: usize| index * size..count.min((index + 1) * size);
        match self.work {
            Work::Alone => {
                (0..count.div_ceil(LANES_IN_TASK)).for_each(|index| task(piece(index, LANES_IN_TASK)))
            }
            Work::Shared => {
                let wanted = count.div_ceil(3 * rayon::current_num_threads());
                let size = wanted
                    .next_multiple_of(self.own.layout().width)
                    .min(LANES_IN_TASK);
                (0..count.div_ceil(size))
                    .into_par_iter()
                    .for_each(|index| task(piece(index, size)));
            }
        }
    }

    /// An area over one block of k.
    #[allow(unsafe_code)]
    fn task(&self, area: &Area, shared: &[u32], range: &Range<usize>) {
        let (high, wide) = (self.tile.a.width, self.tile.b.width);
        let (rows, columns) = (
            area.rows.len().next_multiple_of(high),
            area.columns.len().next_multiple_of(wide),
        );
        let (shared_lanes, own_lanes, own_range) = if self.by_rows {
            (rows, columns, &area.columns)
        } else {
            (columns, rows, &area.rows)
        };
        let (mut panels, mut sums) = OWN.take();
        let between = room(&mut sums, if range.len() > DEPTH { rows * columns } else { 0 });
        let own = room(&mut panels, own_lanes * pairs(range.len().min(DEPTH)));
        for (index, first) in range.clone().step_by(DEPTH).enumerate() {
            let depth = first..range.end.min(first + DEPTH);
            let own = &mut own[..own_lanes * pairs(depth.len())];
            self.own.pack(own, own_range.clone(), depth.clone());
            let shared = &shared[index * shared_lanes * DEPTH / 2..][..shared_lanes * pairs(depth.len())];
            let (a, b) = if self.by_rows {
                (shared, &*own)
            } else {
                (&*own, shared)
            };
            // SAFETY: `multiply` chose a tile that this machine can run; each `begin` has its `end`.
            unsafe { (self.tile.begin)() };
            self.tiles(area, (index > 0, depth.end == range.end), (a, b), between);
            unsafe { (self.tile.end)() };
        }
        OWN.set((panels, sums));
    }

    /// All tiles of an area over one part of k. A panel of `b` stays in the nearest cache while those of `a` pass by.
    /// The sums of all parts but the last go to `between`, tile after tile.
    #[allow(unsafe_code)]
    fn tiles(&self, area: &Area, (later, last): (bool, bool), (a, b): (&[u32], &[u32]), between: &mut [f32]) {
        let (high, wide) = (self.tile.a.width, self.tile.b.width);
        let down = area.rows.len().div_ceil(high);
        let steps = a.len() / (down * high * PAIRS);
        let length = steps * PAIRS;
        for (across, column) in (0..area.columns.len()).step_by(wide).enumerate() {
            let b = &b[column * length..][..wide * length];
            for (index, row) in (0..area.rows.len()).step_by(high).enumerate() {
                let a = &a[row * length..][..high * length];
                let between = between
                    .as_mut_ptr()
                    .wrapping_add((across * down + index) * high * wide);
                let before = if later {
                    between.cast_const()
                } else {
                    std::ptr::null()
                };
                let offset = (area.rows.start + row) * self.stride + area.columns.start + column;
                let corner = if last {
                    Corner {
                        target: self.target.0.wrapping_add(offset),
                        stride: self.stride,
                        rows: high.min(area.rows.len() - row),
                        columns: wide.min(area.columns.len() - column),
                        keep: area.keep,
                        before,
                    }
                } else {
                    Corner {
                        target: between,
                        stride: wide,
                        rows: high,
                        columns: wide,
                        keep: false,
                        before,
                    }
                };
                // SAFETY: the panels were cut to their length; the corner's rows and columns lie inside the area and
                // so inside the target, whose length `multiply` checked, and no other task has this area; where there
                // is more than one part of k, `between` has room for all tiles of the area; `multiply` chose a tile
                // that this machine can run, and `task` began.
                unsafe { (self.tile.run)(steps, a, b, corner) };
            }
        }
    }
}

const _: () = assert!(BLOCK.is_multiple_of(DEPTH) && DEPTH.is_multiple_of(STEP));
const _: () = assert!(LANES_IN_TASK.is_multiple_of(14 * 16) && LANES_SHARED.is_multiple_of(LANES_IN_TASK));
