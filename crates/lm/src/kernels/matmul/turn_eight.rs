//! The squares of [`turn`](super::turn) in AVX2: eight rows of 16 numbers at a time.

use std::arch::x86_64::*;

use super::super::memory::prefetch;
use super::super::number::{Number, TurnStep};
use super::turn::SIDE;

/// Numbers of a register.
const EIGHT: usize = 8;

/// Lanes of a panel that is narrower than a register.
pub(super) const NARROW: usize = 6;

/// As [`turn_into`](super::turn::turn_into), for panels of 16 lanes or more, of which 16 are stored, and of
/// [`NARROW`] lanes.
///
/// # Safety
/// The machine has AVX2, FMA and F16C, `values` holds all of the `count` rows and the panel the lanes of 16 rows.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn turn_into<N: Number>(
    panel: &mut [f32],
    width: usize,
    values: &[N],
    stride: usize,
    count: usize,
) {
    let place = values.as_ptr();
    let panel = panel.as_mut_ptr();
    let lanes = SIDE.min(width);
    for lane in 0..lanes {
        // The next rows at the same k are wanted soon, and no hardware guesses that.
        prefetch(place.wrapping_add((lanes + lane) * stride));
    }
    // SAFETY: as the caller says. How many rows there are is written out where it can be: then no load is behind a branch.
    unsafe {
        match (width, count) {
            (NARROW, NARROW) => N::turn(&mut Narrow { panel }, place, stride, NARROW),
            (NARROW, _) => N::turn(&mut Narrow { panel }, place, stride, count),
            _ => {
                let after = panel.wrapping_add(EIGHT);
                N::turn(&mut Wide { panel, width }, place, stride, EIGHT.min(count));
                let place = place.wrapping_add(EIGHT * stride);
                N::turn(
                    &mut Wide { panel: after, width },
                    place,
                    stride,
                    count.saturating_sub(EIGHT),
                );
            }
        }
    }
}

/// Stores each register in a row of a panel.
struct Wide {
    panel: *mut f32,
    width: usize,
}

impl TurnStep for Wide {
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn take(&mut self, k: usize, value: __m256) {
        // SAFETY: the panel has eight lanes in row `k`, and the machine is as [`turn_into`]'s caller says.
        unsafe { _mm256_storeu_ps(self.panel.add(k * self.width), value) };
    }
}

/// Stores six numbers of each register in rows of six: all eight, of which the next row overwrites two, but in the last.
struct Narrow {
    panel: *mut f32,
}

impl TurnStep for Narrow {
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn take(&mut self, k: usize, value: __m256) {
        let place = self.panel.wrapping_add(k * NARROW);
        // SAFETY: the panel has 16 rows, which are given in order; the machine is as [`turn_into`]'s caller says.
        unsafe {
            if k < SIDE - 1 {
                _mm256_storeu_ps(place, value);
            } else {
                _mm_storeu_ps(place, _mm256_castps256_ps128(value));
                let last = _mm_castps_pd(_mm256_extractf128_ps::<1>(value));
                _mm_storel_pd(place.add(4).cast(), last);
            }
        }
    }
}

/// As [`add_turned`](super::turn::add_turned).
///
/// # Safety
/// The machine has AVX2, FMA and F16C, and `values` holds all of the rows.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_turned<N: Number>(
    chains: &mut [f32; SIDE],
    factors: &[[f32; SIDE]],
    values: &[N],
    stride: usize,
) {
    let place = values.as_ptr();
    let (first, second) = chains.split_at_mut(EIGHT);
    // SAFETY: as the caller says.
    unsafe {
        if N::IN_LINE == SIDE {
            // Where rows lie a multiple of 4096 bytes apart, the nearest cache holds no more than eight of them.
            add_eights([first], factors, place, stride);
            add_eights([second], factors, place.wrapping_add(EIGHT * stride), stride);
        } else {
            // Of smaller numbers one chain would wait for its additions longer than for memory.
            add_eights([first, second], factors, place, stride);
        }
    }
}

/// Some chains of eight rows each, beside each other.
///
/// # Safety
/// The machine has AVX2, FMA and F16C, all of the rows may be read, and there are eight chains in each part.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_eights<const PARTS: usize, N: Number>(
    mut chains: [&mut [f32]; PARTS],
    factors: &[[f32; SIDE]],
    mut place: *const N,
    stride: usize,
) {
    let (lines, rows) = (N::IN_LINE / SIDE, PARTS * EIGHT);
    let some = rows / lines;
    // SAFETY: a load of eight chains.
    let mut sums =
        std::array::from_fn::<_, PARTS, _>(|part| unsafe { _mm256_loadu_ps(chains[part].as_ptr()) });
    for (index, factors) in factors.iter().enumerate() {
        // The next rows at the same k are wanted soon, and no hardware guesses that: some of them at each step, so that
        // each line is asked for once. A prefetch never faults.
        let mut ahead = place.wrapping_add((rows + index % lines * some) * stride);
        for _ in 0..some {
            _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
            ahead = ahead.wrapping_add(stride);
        }
        for (part, sum) in sums.iter_mut().enumerate() {
            let mut add = Add { chain: *sum, factors };
            // SAFETY: these rows may be read, as the caller says.
            unsafe {
                N::turn(&mut add, place.wrapping_add(part * EIGHT * stride), stride, EIGHT);
            }
            *sum = add.chain;
        }
        place = place.wrapping_add(SIDE);
    }
    for (chains, sum) in chains.iter_mut().zip(sums) {
        // SAFETY: a store of eight chains.
        unsafe { _mm256_storeu_ps(chains.as_mut_ptr(), sum) };
    }
}

struct Add<'a> {
    chain: __m256,
    factors: &'a [f32; SIDE],
}

impl TurnStep for Add<'_> {
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn take(&mut self, k: usize, value: __m256) {
        // SAFETY: the machine is as the caller says.
        self.chain = unsafe { _mm256_fmadd_ps(_mm256_set1_ps(self.factors[k]), value, self.chain) };
    }
}

/// An 8 × 8 square turned between registers: pairs, then fours, then halves change places.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::kernels) fn turn_eight(rows: [__m256; EIGHT]) -> [__m256; EIGHT] {
    let [a, b, c, d, e, f, g, h] = rows;
    // Within each half: elements 0 to 3 of four rows, side by side.
    let fours = |a, b, c, d| {
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (low_after, high_after) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(low, low_after),
            _mm256_shuffle_ps::<0xee>(low, low_after),
            _mm256_shuffle_ps::<0x44>(high, high_after),
            _mm256_shuffle_ps::<0xee>(high, high_after),
        ]
    };
    let (before, after) = (fours(a, b, c, d), fours(e, f, g, h));
    std::array::from_fn(|place| {
        let (one, other) = (before[place % 4], after[place % 4]);
        if place < 4 {
            _mm256_permute2f128_ps::<0x20>(one, other)
        } else {
            _mm256_permute2f128_ps::<0x31>(one, other)
        }
    })
}
