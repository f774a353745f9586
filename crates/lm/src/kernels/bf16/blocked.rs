//! Products by blocks: parts of both matrices are copied into panels that the innermost loops read in order, as for
//! [f32](super::super::matmul). The only blocks with a meaning are those of [`BLOCK`] k; within one the sums go on from
//! one part to the next.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::matmul::Target;
use super::super::memory::room;
use super::super::number::Number;
use super::super::tasks::{self, hand_out};
use super::panels::{Lanes, Layout, Pack, pairs};
use super::squares::PAIRS;
use super::tiles::{Corner, Tile};
use super::{BLOCK, Matrix, STEP, Start, Work};

/// Steps of k that a tile does at once: one panel of `a` stays in the nearest cache while panels of `b` pass by.
const STEPS: usize = 8;
/// Lanes whose panels all tasks share, and lanes that one task copies into them; multiples of every tile's rows and
/// columns.
const LANES_SHARED: usize = 8 * LANES_COPIED;
const LANES_COPIED: usize = 224;
/// Numbers of the other side that one task takes: they fill half of the second cache.
const NUMBERS_IN_TASK: usize = 448 * 1024;
/// Fewest lanes of the other side that one task takes, up to whole panels: with much fewer, the shared side would be wanted
/// faster than the caches give it.
const LEAST_IN_TASK: usize = 48;
/// Columns that a task does before the next ones, where `b` is shared.
const COLUMNS_AT_ONCE: usize = 128;

thread_local! {
    /// Panels that all tasks of a product share, kept from one product to the next. A product that runs inside
    /// another's wait finds them gone and makes its own.
    static SHARED: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// Panels of one task, and the sums of some tiles between two parts of k.
    static OWN: Cell<(Vec<u32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// target = (target +) a · b with the tile's code.
///
/// The side with fewer lanes (rows of `a`, columns of `b`) is copied once, into panels that all tasks share. A task
/// takes lanes of the other side and copies them itself, into panels that stay near.
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
            let sizes = self.sizes_of_tasks(range.len());
            hand_out(self.work, self.own.count(), sizes, |own| {
                let (rows, columns) = if self.by_rows {
                    (shared.clone(), own)
                } else {
                    (own, shared.clone())
                };
                self.task(&Area { rows, columns, keep }, packed, range);
            });
        }
    }

    /// Panels of shared lanes over one block of k.
    fn share<'p>(&self, panels: &'p mut Vec<u32>, lanes: &Range<usize>, range: &Range<usize>) -> &'p [u32] {
        let filled = lanes.len().next_multiple_of(self.shared.layout().width);
        let panels = room(panels, filled * pairs(range.len()));
        let size = LANES_COPIED * pairs(range.len());
        let pack = |(index, panels): (usize, &mut [u32])| {
            let first = lanes.start + index * LANES_COPIED;
            let copied = first..lanes.end.min(first + LANES_COPIED);
            self.shared.pack(panels, copied, range.clone());
        };
        match self.work {
            Work::Shared => panels.par_chunks_mut(size).enumerate().for_each(pack),
            Work::Alone => panels.chunks_mut(size).enumerate().for_each(pack),
        }
        panels
    }

    /// How many of the lanes that are not shared a task takes.
    fn sizes_of_tasks(&self, depth: usize) -> tasks::Sizes {
        let least = LEAST_IN_TASK.next_multiple_of(self.own.layout().width);
        let most = NUMBERS_IN_TASK / depth.next_multiple_of(STEP);
        tasks::Sizes {
            least,
            most: most.next_multiple_of(least),
        }
    }

    /// An area over one block of k.
    #[allow(unsafe_code)]
    fn task(&self, area: &Area, shared: &[u32], range: &Range<usize>) {
        let (mut panels, mut sums) = OWN.take();
        let (lanes, at_once) = if self.by_rows {
            (&area.columns, area.columns.len())
        } else {
            (&area.rows, COLUMNS_AT_ONCE)
        };
        let filled = lanes.len().next_multiple_of(self.own.layout().width);
        let own = room(&mut panels, filled * pairs(range.len()));
        self.own.pack(own, lanes.clone(), range.clone());
        let (a, b) = if self.by_rows {
            (shared, &*own)
        } else {
            (&*own, shared)
        };
        let wide = at_once.next_multiple_of(self.tile.b.width);
        let steps = range.len().div_ceil(STEP);
        let kept = if steps > STEPS { wide } else { 0 };
        let between = room(&mut sums, self.tile.a.width * kept);
        // SAFETY: `multiply` chose a tile that this machine can run.
        unsafe { (self.tile.begin)() };
        for first in (0..area.columns.len()).step_by(wide) {
            let columns = first..area.columns.len().min(first + wide);
            for row in (0..area.rows.len()).step_by(self.tile.a.width) {
                self.tiles(area, row, &columns, (a, b), steps, between);
            }
        }
        // SAFETY: as above.
        unsafe { (self.tile.end)() };
        OWN.set((panels, sums));
    }

    /// One panel of rows by some columns of an area over one block of k. The sums of all parts but the last go to
    /// `between`, tile after tile.
    #[allow(unsafe_code)]
    fn tiles(
        &self,
        area: &Area,
        row: usize,
        columns: &Range<usize>,
        (a, b): (&[u32], &[u32]),
        steps: usize,
        between: &mut [f32],
    ) {
        let (high, wide) = (self.tile.a.width, self.tile.b.width);
        let part = |lane: usize, width: usize, these: &Range<usize>| {
            let start = (lane * steps + these.start * width) * PAIRS;
            start..start + these.len() * width * PAIRS
        };
        for first in (0..steps).step_by(STEPS) {
            let these = first..steps.min(first + STEPS);
            for column in columns.clone().step_by(wide) {
                let between = between.as_mut_ptr().wrapping_add((column - columns.start) * high);
                let before = if first > 0 {
                    between.cast_const()
                } else {
                    std::ptr::null()
                };
                let offset = (area.rows.start + row) * self.stride + area.columns.start + column;
                let corner = if these.end == steps {
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
                let (a, b) = (&a[part(row, high, &these)], &b[part(column, wide, &these)]);
                // SAFETY: the panels were cut to their length; the corner's rows and columns lie inside the area and
                // so inside the target, whose length `multiply` checked, and no other task has this area; where there
                // is more than one part, `between` has room for all of these tiles; `multiply` chose a tile that this
                // machine can run, and `task` began.
                unsafe { (self.tile.run)(these.len(), a, b, corner) };
            }
        }
    }
}

const _: () = assert!(LANES_COPIED.is_multiple_of(14 * 16) && COLUMNS_AT_ONCE.is_multiple_of(32));
