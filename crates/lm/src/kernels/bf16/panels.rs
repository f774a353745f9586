//! Copies of parts of matrices, rounded to bf16, in the order in which a tile reads them.
//!
//! A panel holds a tile's width of lanes (rows of `a`, columns of `b`) over some k as pairs: an even k in the lower
//! half of 32 bits, the odd one after it in the upper. k and lanes are filled up with zeros.

use std::ops::Range;

use super::super::number::Number;
use super::STEP;
use super::squares::{PAIRS, SIDE, Square};

/// How a panel, or a matrix, goes through its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All lanes of a pair, then the next pair.
    Across,
    /// All k of a lane (in a panel: all sixteen pairs of a step), then the next lane.
    Along,
}

/// How one side of a product lies in panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Lanes in a panel.
    pub width: usize,
    pub order: Order,
    /// Whether this machine rounds to bf16 by an instruction.
    pub instruction: bool,
}

/// One side of a product, ready to be copied.
pub(super) trait Pack: Sync {
    fn layout(&self) -> Layout;

    /// How many lanes there are.
    fn count(&self) -> usize;

    /// Copies lanes, the first of a panel first, over a range of k into panels.
    fn pack(&self, panels: &mut [u32], lanes: Range<usize>, depth: Range<usize>);
}

/// Pairs in a lane of a panel over so many k.
pub(super) fn pairs(depth: usize) -> usize {
    depth.next_multiple_of(STEP) / 2
}

/// Lanes that each go along k.
pub(super) struct Lanes<'a, N> {
    pub values: &'a [N],
    pub count: usize,
    /// From one lane to the next, and from one k to the next. One of them is 1.
    pub lane_stride: usize,
    pub depth_stride: usize,
    pub layout: Layout,
}

impl<N: Number> Pack for Lanes<'_, N> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn count(&self) -> usize {
        self.count
    }

    fn pack(&self, panels: &mut [u32], lanes: Range<usize>, depth: Range<usize>) {
        let width = self.layout.width;
        let steps = depth.len().div_ceil(STEP);
        let panel = |panels: &mut [u32], index: usize, step: usize| {
            let panel = &mut panels[(index * steps + step) * width * PAIRS..][..width * PAIRS];
            let start = depth.start + step * STEP;
            for group in 0..width.div_ceil(SIDE) {
                self.square(
                    panel,
                    lanes.start + index * width,
                    group,
                    start..depth.end.min(start + STEP),
                );
            }
        };
        // In the order of the matrix.
        let count = lanes.len().div_ceil(width);
        match self.order() {
            Order::Along => {
                for index in 0..count {
                    (0..steps).for_each(|step| panel(panels, index, step));
                }
            }
            Order::Across => {
                for step in 0..steps {
                    (0..count).for_each(|index| panel(panels, index, step));
                }
            }
        }
    }
}

impl<N: Number> Lanes<'_, N> {
    /// How the matrix lies.
    fn order(&self) -> Order {
        if self.lane_stride == 1 {
            Order::Across
        } else {
            Order::Along
        }
    }

    /// At most 16 lanes of a panel over one step.
    fn square(&self, panel: &mut [u32], first: usize, group: usize, depth: Range<usize>) {
        let Layout {
            width,
            order,
            instruction,
        } = self.layout;
        let inside = group * SIDE;
        let (place, stride, columns) = match order {
            Order::Across => (inside, width, SIDE.min(width - inside)),
            Order::Along => (inside * PAIRS, PAIRS, PAIRS),
        };
        let lane = first + inside;
        // Lanes beyond the panel's may be read: they are not stored. So may those beyond the ones asked for: they lie
        // in the panel, but nobody uses what comes of them.
        let lanes = SIDE.min(self.count.saturating_sub(lane));
        let from = self.order();
        let square = Square {
            from,
            order,
            instruction,
        };
        let panel = &mut panel[place..];
        if lanes == SIDE && depth.len() == STEP {
            let values = &self.values[lane * self.lane_stride + depth.start * self.depth_stride..];
            let step = self.lane_stride.max(self.depth_stride);
            square.copy(panel, stride, columns, values, step);
            return;
        }
        let mut values = [N::default(); SIDE * STEP];
        let step = match from {
            Order::Across => SIDE,
            Order::Along => STEP,
        };
        for (index, k) in depth.enumerate() {
            for other in 0..lanes {
                let place = match from {
                    Order::Across => index * SIDE + other,
                    Order::Along => other * STEP + index,
                };
                values[place] = self.values[(lane + other) * self.lane_stride + k * self.depth_stride];
            }
        }
        square.copy(panel, stride, columns, &values, step);
    }
}
