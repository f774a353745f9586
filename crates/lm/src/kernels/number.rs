//! What matrices may hold: f32, or bf16 or f16 as a store of half the size. All become f32 without a rounding.

use half::{bf16, f16};

#[cfg(target_arch = "x86_64")]
use super::matmul::{load_eight, turn_eight};

/// A number that is an f32 without a rounding.
pub(crate) trait Number: Copy + Default + Send + Sync + 'static {
    /// How many fill a line of the cache.
    const IN_LINE: usize = 64 / size_of::<Self>();

    /// Its value, a NaN with its bits.
    fn widen(self) -> f32;

    /// The values of 16 numbers.
    ///
    /// # Safety
    /// The machine has AVX-512 F, and the 16 numbers from `place` on may be read.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe fn load(place: *const Self) -> std::arch::x86_64::__m512;

    /// `count` ≤ 8 rows of 16 numbers, the first from `place` on and each `stride` after the one before, turned: register k
    /// holds the values of number k of every row, and zeros for the rows that are missing.
    ///
    /// # Safety
    /// The machine has AVX2 and F16C, and the rows may be read.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe fn load_turned(place: *const Self, stride: usize, count: usize)
    -> [std::arch::x86_64::__m256; 16];
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn load(place: *const Self) -> std::arch::x86_64::__m512 {
        // SAFETY: as the caller says.
        unsafe { std::arch::x86_64::_mm512_loadu_ps(place) }
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_turned(
        place: *const Self,
        stride: usize,
        count: usize,
    ) -> [std::arch::x86_64::__m256; 16] {
        // SAFETY: as the caller says.
        let [low, high] = [0, 8].map(|half| unsafe { load_eight(place.wrapping_add(half), stride, count) });
        let (low, high) = (turn_eight(low), turn_eight(high));
        std::array::from_fn(|k| if k < 8 { low[k] } else { high[k - 8] })
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
    unsafe fn load(place: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::*;
        // SAFETY: as the caller says.
        unsafe {
            let halves = _mm256_loadu_si256(place.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }

    // Pairs are turned as one number each, half as many moves.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_turned(
        place: *const Self,
        stride: usize,
        count: usize,
    ) -> [std::arch::x86_64::__m256; 16] {
        use std::arch::x86_64::*;
        // SAFETY: as the caller says.
        let pairs = turn_eight(unsafe { load_eight(place, stride, count) });
        std::array::from_fn(|k| {
            let pair = _mm256_castps_si256(pairs[k / 2]);
            _mm256_castsi256_ps(if k % 2 == 0 {
                _mm256_slli_epi32::<16>(pair)
            } else {
                _mm256_and_si256(pair, _mm256_set1_epi32(-65536))
            })
        })
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
    unsafe fn load(place: *const Self) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::*;
        // SAFETY: as the caller says.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(place.cast())) }
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load_turned(
        place: *const Self,
        stride: usize,
        count: usize,
    ) -> [std::arch::x86_64::__m256; 16] {
        use std::arch::x86_64::*;
        let mut halves = [[_mm256_setzero_ps(); 8]; 2];
        for row in 0..count {
            let place = place.wrapping_add(row * stride);
            for (half, rows) in halves.iter_mut().enumerate() {
                // SAFETY: as the caller says.
                let numbers = unsafe { _mm_loadu_si128(place.wrapping_add(8 * half).cast()) };
                rows[row] = _mm256_cvtph_ps(numbers);
            }
        }
        let [low, high] = halves.map(|rows| turn_eight(rows));
        std::array::from_fn(|k| if k < 8 { low[k] } else { high[k - 8] })
    }
}
