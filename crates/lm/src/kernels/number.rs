//! What matrices may hold: f32, or bf16 or f16 as a store of half the size. All become f32 without a rounding.

use half::{bf16, f16};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use super::matmul::turn_eight;

/// A number that is an f32 without a rounding.
pub(crate) trait Number: Copy + Default + Send + Sync + 'static {
    /// How many fill a line of the cache.
    const IN_LINE: usize = 64 / size_of::<Self>();

    /// Its value; of a NaN, some NaN.
    fn widen(self) -> f32;

    /// The values of 16 numbers.
    ///
    /// # Safety
    /// The machine has AVX-512 F, and the 16 numbers from `place` on may be read.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe fn load(place: *const Self) -> __m512;

    /// Eight rows of 16 numbers, the first from `place` on and each `stride` after the one before, turned: for k = 0 to
    /// 15, a step is given register `value` with number k of every row. `count` ≤ 8 rows are read, the others are zeros.
    ///
    /// As few registers are in use at once as there can be, so that those of the step stay where they are.
    ///
    /// # Safety
    /// The machine has AVX2 and F16C, and the rows may be read.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe fn turn<S: TurnStep>(step: &mut S, place: *const Self, stride: usize, count: usize);
}

/// What is done with each register of rows that are turned.
#[cfg(target_arch = "x86_64")]
pub(crate) trait TurnStep {
    /// # Safety
    /// The machine has what the step was made for.
    #[allow(unsafe_code)]
    unsafe fn take(&mut self, k: usize, value: __m256);
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn load(place: *const Self) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { _mm512_loadu_ps(place) }
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn turn<S: TurnStep>(step: &mut S, place: *const Self, stride: usize, count: usize) {
        for first in [0, 8] {
            // SAFETY: as the caller says.
            let rows = eight(count, |row| unsafe {
                _mm256_loadu_ps(place.wrapping_add(row * stride + first))
            });
            for (k, value) in turn_eight(rows).into_iter().enumerate() {
                // SAFETY: as the caller says.
                unsafe { step.take(first + k, value) };
            }
        }
    }
}

impl Number for bf16 {
    // By its bits and not `to_f32`, which changes those of a NaN and takes longer to ask for one.
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn load(place: *const Self) -> __m512 {
        // SAFETY: as the caller says.
        unsafe {
            let halves = _mm256_loadu_si256(place.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }

    // Pairs are turned as one number each: half as many moves.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn turn<S: TurnStep>(step: &mut S, place: *const Self, stride: usize, count: usize) {
        // SAFETY: as the caller says; 16 of these numbers are as long as eight f32.
        let rows = eight(count, |row| unsafe {
            _mm256_loadu_ps(place.wrapping_add(row * stride).cast())
        });
        for (index, pair) in turn_eight(rows).into_iter().enumerate() {
            let pair = _mm256_castps_si256(pair);
            let even = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pair));
            let odd = _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32(-65536)));
            // SAFETY: as the caller says.
            unsafe {
                step.take(2 * index, even);
                step.take(2 * index + 1, odd);
            }
        }
    }
}

impl Number for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn load(place: *const Self) -> __m512 {
        // SAFETY: as the caller says.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(place.cast())) }
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn turn<S: TurnStep>(step: &mut S, place: *const Self, stride: usize, count: usize) {
        for first in [0, 8] {
            let rows = eight(count, |row| {
                let place = place.wrapping_add(row * stride + first);
                // SAFETY: as the caller says.
                _mm256_cvtph_ps(unsafe { _mm_loadu_si128(place.cast()) })
            });
            for (k, value) in turn_eight(rows).into_iter().enumerate() {
                // SAFETY: as the caller says.
                unsafe { step.take(first + k, value) };
            }
        }
    }
}

/// `count` registers, and zeros for the others of eight.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn eight(count: usize, load: impl Fn(usize) -> __m256) -> [__m256; 8] {
    let mut rows = [_mm256_setzero_ps(); 8];
    for (index, row) in rows.iter_mut().enumerate().take(count) {
        *row = load(index);
    }
    rows
}
