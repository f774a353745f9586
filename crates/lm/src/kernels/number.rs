//! What matrices may hold: f32, or bf16 as a store of half the size. Both become f32 without a rounding.

use half::bf16;

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
}
