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

/// Sum of two exponent fields from which on the last digit of a product is 2^-126 at least: factors of 8 digits with
/// these fields have products that are multiples of 2^(sum - 2 × 127 - 14).
const SAFE_EXPONENTS: u32 = 2 * 127 + 14 - 126;

type Sums = [[f32; WIDE]; ROWS];
type Pairs = [[u32; WIDE]; PAIRS];
/// Every k of a step as f32.
type Wide = [[f32; WIDE]; STEP];
/// Chains of even and of odd k.
type Chains = [[[f32; WIDE]; 2]; ROWS_AT_ONCE];

#[allow(unsafe_code)]
unsafe fn run(steps: usize, a: &[u32], b: &[u32], corner: Corner) {
    let mut sums: Sums = [[0.0; WIDE]; ROWS];
    if !corner.before.is_null() {
        // SAFETY: a whole tile lies there, as the caller says, and `Sums` is its floats in order.
        sums = unsafe { corner.before.cast::<Sums>().read_unaligned() };
    }
    let (a, b) = (a.as_chunks::<WIDE>().0, b.as_chunks::<WIDE>().0);
    let steps = a
        .as_chunks::<PAIRS>()
        .0
        .iter()
        .zip(b.as_chunks::<PAIRS>().0)
        .take(steps);
    let [mut wide_a, mut wide_b] = [[[0.0; WIDE]; STEP]; 2];
    for (a, b) in steps {
        with_simd(Step {
            pairs: [a, b],
            wide: [&mut wide_a, &mut wide_b],
            sums: &mut sums,
        });
    }
    for (row, sums) in sums.iter().enumerate().take(corner.rows) {
        // SAFETY: the caller gives a corner whose rows and columns are its own.
        unsafe { corner.store(row, sums) };
    }
}

/// All sums over one step.
///
/// A type and not a closure, so that all of it is inlined into the code for the instruction set: a fused multiply-add
/// left outside would be a function call.
struct Step<'a> {
    pairs: [&'a Pairs; 2],
    wide: [&'a mut Wide; 2],
    sums: &'a mut Sums,
}

impl pulp::WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let [a, b] = self.wide;
        let exponents = widen(self.pairs[0], a) + widen(self.pairs[1], b);
        // Products, and so all sums of them, are multiples of the last digit of the smallest: where that is a normal
        // number, no sum is denormal.
        let safe = exponents >= SAFE_EXPONENTS;
        for first in (0..ROWS).step_by(ROWS_AT_ONCE) {
            let mut chains = [[[0.0; WIDE]; 2]; ROWS_AT_ONCE];
            let mut at_border = false;
            if safe {
                add(a, b, first, &mut chains);
            } else {
                at_border = add_flushed(a, b, first, &mut chains);
            }
            for (row, [even, odd]) in (first..).zip(&chains) {
                let sums = &mut self.sums[row];
                if at_border {
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        *sum = amx_step(*sum, |k| a[k][row], |k| b[k][lane]);
                    }
                } else {
                    for ((sum, even), odd) in sums.iter_mut().zip(even).zip(odd) {
                        *sum = flushed(*sum + flushed(even + odd));
                    }
                }
            }
        }
    }
}

/// The numbers of a step, and the least exponent field of those that are not zero.
#[inline(always)]
fn widen(pairs: &Pairs, wide: &mut Wide) -> u32 {
    let mut least = [u32::MAX; WIDE];
    for (pairs, [even, odd]) in pairs.iter().zip(wide.as_chunks_mut::<2>().0) {
        for lane in 0..WIDE {
            let (low, high) = (pairs[lane] << 16, pairs[lane] & 0xffff_0000);
            // Without its sign; a zero becomes the largest.
            least[lane] = least[lane]
                .min((low << 1).wrapping_sub(1))
                .min((high << 1).wrapping_sub(1));
            even[lane] = f32::from_bits(low);
            odd[lane] = f32::from_bits(high);
        }
    }
    let least = least.into_iter().fold(u32::MAX, u32::min);
    least.saturating_add(1) >> 24
}

/// The chains of some rows from row `first` on, where no sum can be denormal. Even and odd k one after the other, so that
/// the chains at work fit the registers of AVX2.
#[inline(always)]
fn add(a: &Wide, b: &Wide, first: usize, result: &mut Chains) {
    for side in 0..2 {
        let mut chains = [[0.0_f32; WIDE]; ROWS_AT_ONCE];
        for (a, b) in a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0) {
            for (row, chain) in (first..).zip(&mut chains) {
                let factor = a[side][row];
                for (sum, &value) in chain.iter_mut().zip(&b[side]) {
                    *sum = factor.mul_add(value, *sum);
                }
            }
        }
        for (result, chain) in result.iter_mut().zip(chains) {
            result[side] = chain;
        }
    }
}

/// The same for any numbers. Says whether some sum was the smallest normal number, which may have to become zero.
#[inline(always)]
fn add_flushed(a: &Wide, b: &Wide, first: usize, result: &mut Chains) -> bool {
    let mut chains = *result;
    let mut border = [0_u32; WIDE];
    for (a, b) in a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0) {
        for (row, chains) in (first..).zip(&mut chains) {
            for (side, chain) in chains.iter_mut().enumerate() {
                let factor = a[side][row];
                for lane in 0..WIDE {
                    let sum = factor.mul_add(b[side][lane], chain[lane]);
                    border[lane] |= u32::from(sum.abs() == f32::MIN_POSITIVE);
                    chain[lane] = flushed(sum);
                }
            }
        }
    }
    *result = chains;
    border.iter().any(|&lane| lane != 0)
}
