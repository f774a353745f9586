//! The tile that has the bits of AMX with the f32 arithmetic of any machine.

use super::super::instructions::with_simd;
use super::STEP;
use super::panels::{Layout, Order};
use super::reference::{amx_step, flushed};
use super::squares::PAIRS;
use super::tiles::{Corner, Tile, nothing};

const ROWS: usize = 16;
const WIDE: usize = 16;
/// Rows whose chains stay in registers together.
const ROWS_AT_ONCE: usize = 4;

pub(super) const TILE: Tile = Tile {
    a: LAYOUT,
    b: LAYOUT,
    begin: nothing,
    end: nothing,
    run,
};

const LAYOUT: Layout = Layout {
    width: WIDE,
    order: Order::Across,
    instruction: false,
};

type Sums = [[f32; WIDE]; ROWS];
type Pairs = [[u32; WIDE]; PAIRS];

#[allow(unsafe_code)]
unsafe fn run(steps: usize, a: &[u32], b: &[u32], corner: Corner) {
    let mut sums: Sums = [[0.0; WIDE]; ROWS];
    if !corner.before.is_null() {
        // SAFETY: a whole tile lies there, as the caller says, and `Sums` is its floats in order.
        sums = unsafe { corner.before.cast::<Sums>().read_unaligned() };
    }
    let (a, b) = (
        a.as_chunks::<WIDE>().0.as_chunks::<PAIRS>().0,
        b.as_chunks::<WIDE>().0.as_chunks::<PAIRS>().0,
    );
    for (a, b) in a[..steps].iter().zip(&b[..steps]) {
        for first in (0..ROWS).step_by(ROWS_AT_ONCE) {
            let mut chains = [[[0.0; WIDE]; 2]; ROWS_AT_ONCE];
            let at_border = with_simd(Step {
                a,
                b,
                first,
                chains: &mut chains,
            });
            for (row, [even, odd]) in (first..).zip(&chains) {
                for (lane, sum) in sums[row].iter_mut().enumerate() {
                    *sum = if at_border {
                        amx_step(*sum, |k| half(a, row, k), |k| half(b, lane, k))
                    } else {
                        flushed(*sum + flushed(even[lane] + odd[lane]))
                    };
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate().take(corner.rows) {
        // SAFETY: the caller gives a corner whose rows and columns are its own.
        unsafe { corner.store(row, sums) };
    }
}

/// Number k of a lane.
fn half(pairs: &Pairs, lane: usize, k: usize) -> f32 {
    debug_assert!(k < STEP);
    let [even, odd] = halves(pairs[k / 2][lane]);
    if k.is_multiple_of(2) { even } else { odd }
}

#[inline(always)]
fn halves(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}

/// The chains of even and of odd k of some rows from row `first` on.
///
/// A type and not a closure, so that all of it is inlined into the code for the instruction set: a fused multiply-add
/// left outside would be a function call.
struct Step<'a> {
    a: &'a Pairs,
    b: &'a Pairs,
    first: usize,
    chains: &'a mut [[[f32; WIDE]; 2]; ROWS_AT_ONCE],
}

impl pulp::WithSimd for Step<'_> {
    /// Whether some result was the smallest normal number, which may have to become zero.
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> bool {
        let mut chains = *self.chains;
        let mut border = [0_u32; WIDE];
        for (a, b) in self.a.iter().zip(self.b) {
            let columns = [b.map(|pair| halves(pair)[0]), b.map(|pair| halves(pair)[1])];
            for (row, chains) in (self.first..).zip(&mut chains) {
                for ((chain, columns), factor) in chains.iter_mut().zip(&columns).zip(halves(a[row])) {
                    for lane in 0..WIDE {
                        let result = factor.mul_add(columns[lane], chain[lane]);
                        border[lane] |= u32::from(result.abs() == f32::MIN_POSITIVE);
                        chain[lane] = flushed(result);
                    }
                }
            }
        }
        *self.chains = chains;
        border.iter().any(|&lane| lane != 0)
    }
}
