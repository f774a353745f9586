//! Copies of parts of matrices in the order in which a tile reads them.

use super::super::instructions::vectorise;
use super::super::memory::prefetch;
use super::super::number::Number;
use super::turn::{SIDE, turn_into};

/// Rows that are fetched ahead of the one that is copied.
const ROWS_AHEAD: usize = 8;

/// One side of a product, ready to be copied.
pub(super) trait Pack: Sync {
    /// How many lanes there are.
    fn count(&self) -> usize;

    /// Copies `count` lanes from lane `first` on, from k = `start` on, into panels `[depth, width]`, the last filled
    /// up with zeros. The length of `panels` says how many k.
    fn pack(&self, panels: &mut [f32], first: usize, count: usize, width: usize, start: usize);
}

/// One side of a product as lanes (rows of `a`, columns of `b`) that each go along k.
#[derive(Clone, Copy)]
pub(super) struct Lanes<'a, N> {
    pub values: &'a [N],
    /// How many lanes there are.
    pub count: usize,
    /// From one lane to the next, and from one k to the next.
    pub lane_stride: usize,
    pub depth_stride: usize,
}

impl<N: Number> Pack for Lanes<'_, N> {
    fn count(&self) -> usize {
        self.count
    }

    fn pack(&self, panels: &mut [f32], first: usize, count: usize, width: usize, start: usize) {
        let depth = panels.len() / count.next_multiple_of(width);
        let values = &self.values[first * self.lane_stride + start * self.depth_stride..];
        if self.lane_stride == 1 {
            vectorise!(match width {
                32 => copy_rows::<32, N>(panels, values, count, depth, self.depth_stride),
                16 => copy_rows::<16, N>(panels, values, count, depth, self.depth_stride),
                14 => copy_rows::<14, N>(panels, values, count, depth, self.depth_stride),
                6 => copy_rows::<6, N>(panels, values, count, depth, self.depth_stride),
                _ => copy_rows::<4, N>(panels, values, count, depth, self.depth_stride),
            });
            return;
        }
        for (index, panel) in panels.chunks_exact_mut(width * depth).enumerate() {
            let lanes = width.min(count - index * width);
            if lanes < width {
                panel.fill(0.0);
            }
            self.turn_into(panel, &values[index * width * self.lane_stride..], lanes, width);
        }
    }
}

impl<N: Number> Lanes<'_, N> {
    /// Copies lanes that lie one after the other: 16 at a time and 16 of k, turned in registers, then what is left.
    fn turn_into(&self, panel: &mut [f32], values: &[N], lanes: usize, width: usize) {
        let depth = panel.len() / width;
        let turning = if self.depth_stride == 1 {
            depth - depth % SIDE
        } else {
            0
        };
        for first in (0..lanes).step_by(SIDE) {
            let (count, stored) = (SIDE.min(lanes - first), SIDE.min(width - first));
            let values = &values[first * self.lane_stride..];
            for done in (0..turning).step_by(SIDE) {
                let (panel, values) = (&mut panel[done * width + first..], &values[done..]);
                turn_into(panel, width, stored, values, self.lane_stride, count);
            }
            for index in turning..depth {
                for lane in 0..count {
                    panel[index * width + first + lane] =
                        values[lane * self.lane_stride + index * self.depth_stride].widen();
                }
            }
        }
    }
}

/// Copies `depth` rows of `count` numbers, `WIDTH` to a panel: one row after the other, since it is the rows that lie
/// far apart. A length known when it is compiled needs no call for each piece.
#[inline(always)]
fn copy_rows<const WIDTH: usize, N: Number>(
    panels: &mut [f32],
    values: &[N],
    count: usize,
    depth: usize,
    stride: usize,
) {
    let whole = count / WIDTH;
    for index in 0..depth {
        let row = &values[index * stride..][..count];
        // Rows are shorter than what the hardware needs to see a pattern.
        let ahead = values.as_ptr().wrapping_add((index + ROWS_AHEAD) * stride);
        for line in (0..count).step_by(N::IN_LINE) {
            prefetch(ahead.wrapping_add(line));
        }
        let (pieces, rest) = row.as_chunks::<WIDTH>();
        for (panel, piece) in pieces.iter().enumerate() {
            let place = panels[(panel * depth + index) * WIDTH..].first_chunk_mut::<WIDTH>();
            if let Some(place) = place {
                *place = piece.map(N::widen);
            }
        }
        if !rest.is_empty() {
            let place = &mut panels[(whole * depth + index) * WIDTH..][..WIDTH];
            place.fill(0.0);
            place
                .iter_mut()
                .zip(rest)
                .for_each(|(place, value)| *place = value.widen());
        }
    }
}
