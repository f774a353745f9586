//! Sixteen lanes over 32 k: rounded, made pairs, and turned where a panel has them in the other order.

use super::super::instructions::vectorise;
use super::super::number::Number;
use super::panels::Order;
use super::reference::rounded;

/// Lanes, and pairs, of a square.
pub(super) const SIDE: usize = 16;
pub(super) const PAIRS: usize = super::STEP / 2;

/// What happens to a square.
#[derive(Clone, Copy)]
pub(super) struct Square {
    /// How its numbers lie: 32 rows of 16 lanes, or 16 rows of 32 k.
    pub from: Order,
    /// How its pairs shall lie.
    pub order: Order,
    /// Whether this machine rounds to bf16 by an instruction.
    pub instruction: bool,
}

impl Square {
    /// Copies the square whose rows begin `step` numbers apart, to the first `columns` places of 16 rows of `panel`
    /// that begin `stride` places apart.
    ///
    /// Panics where one of them is cut off.
    #[inline]
    pub fn copy<N: Number>(
        self,
        panel: &mut [u32],
        stride: usize,
        columns: usize,
        values: &[N],
        step: usize,
    ) {
        let (rows, length) = match self.from {
            Order::Across => (2 * PAIRS, SIDE),
            Order::Along => (SIDE, 2 * PAIRS),
        };
        assert!(
            values.len() >= (rows - 1) * step + length
                && panel.len() >= (SIDE - 1) * stride + columns
                && columns <= SIDE,
            "a square of bf16 beyond its matrix or its panel"
        );
        #[cfg(target_arch = "x86_64")]
        if self.instruction {
            // SAFETY: only tiles for machines with these instructions ask for them, and all places were just checked.
            #[allow(unsafe_code)]
            unsafe {
                self.copy_avx512(panel, stride, columns, values, step);
            }
            return;
        }
        let pairs = vectorise!(self.pairs(values, step));
        for (index, row) in panel.chunks_mut(stride).take(SIDE).enumerate() {
            for (column, place) in row.iter_mut().take(columns).enumerate() {
                *place = if self.from == self.order {
                    pairs[index][column]
                } else {
                    pairs[column][index]
                };
            }
        }
    }

    /// The pairs in the order of the matrix.
    #[inline(always)]
    fn pairs<N: Number>(self, values: &[N], step: usize) -> [[u32; SIDE]; SIDE] {
        let pair = |even: N, odd: N| u32::from(rounded(even.widen())) | u32::from(rounded(odd.widen())) << 16;
        let mut pairs = [[0; SIDE]; SIDE];
        for (index, pairs) in pairs.iter_mut().enumerate() {
            match self.from {
                Order::Across => {
                    let (even, odd) = (
                        &values[2 * index * step..][..SIDE],
                        &values[(2 * index + 1) * step..][..SIDE],
                    );
                    for ((place, &even), &odd) in pairs.iter_mut().zip(even).zip(odd) {
                        *place = pair(even, odd);
                    }
                }
                Order::Along => {
                    let row = values[index * step..][..2 * PAIRS].as_chunks::<2>().0;
                    for (place, &[even, odd]) in pairs.iter_mut().zip(row) {
                        *place = pair(even, odd);
                    }
                }
            }
        }
        pairs
    }

    /// As [`copy`](Self::copy), in registers. The instruction rounds as [`rounded`] does, denormals and NaNs included.
    ///
    /// # Safety
    /// The machine has AVX-512 F, BW and BF16; `panel` and `values` hold all of the rows.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[inline]
    unsafe fn copy_avx512<N: Number>(
        self,
        panel: &mut [u32],
        stride: usize,
        columns: usize,
        values: &[N],
        step: usize,
    ) {
        use std::arch::x86_64::*;
        let mut rows = [_mm512_setzero_ps(); SIDE];
        match self.from {
            Order::Across => {
                // SAFETY: the load is of the array `ALTERNATE`.
                let order = unsafe { _mm512_loadu_si512(ALTERNATE.as_ptr().cast()) };
                for (index, row) in rows.iter_mut().enumerate() {
                    let even = values.as_ptr().wrapping_add(2 * index * step);
                    let odd = even.wrapping_add(step);
                    // SAFETY: `values` holds all of the rows, as the caller says.
                    let pair = unsafe { halves(N::load(even), N::load(odd)) };
                    *row = _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, pair));
                }
            }
            Order::Along => {
                for (index, row) in rows.iter_mut().enumerate() {
                    let place = values.as_ptr().wrapping_add(index * step);
                    // The next lanes at the same k are wanted soon, and no hardware guesses that. A prefetch never
                    // faults.
                    let next = place.wrapping_add(SIDE * step);
                    _mm_prefetch::<_MM_HINT_T1>(next.cast());
                    _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(SIDE).cast());
                    // SAFETY: as above.
                    let pair = unsafe { halves(N::load(place), N::load(place.wrapping_add(SIDE))) };
                    *row = _mm512_castsi512_ps(pair);
                }
            }
        }
        if self.from != self.order {
            rows = super::super::matmul::turn_registers(rows);
        }
        let mask = (u32::MAX >> (32 - columns)) as u16;
        for (index, row) in rows.into_iter().enumerate() {
            let row = _mm512_castps_si512(row);
            // SAFETY: `panel` holds all of the rows, as the caller says.
            unsafe { _mm512_mask_storeu_epi32(panel.as_mut_ptr().add(index * stride).cast(), mask, row) };
        }
    }
}

/// Number n of the lower half of a register and number n of the upper side by side.
#[cfg(target_arch = "x86_64")]
const ALTERNATE: [u16; 2 * SIDE] = {
    let mut places = [0; 2 * SIDE];
    let mut place = 0;
    while place < 2 * SIDE {
        places[place] = (place / 2 + place % 2 * SIDE) as u16;
        place += 1;
    }
    places
};

/// 16 numbers rounded to bf16, in the lower half of a register, and 16 others in the upper.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
fn halves(low: std::arch::x86_64::__m512, high: std::arch::x86_64::__m512) -> std::arch::x86_64::__m512i {
    // SAFETY: two types for the same 512 bits.
    unsafe { std::mem::transmute(std::arch::x86_64::_mm512_cvtne2ps_pbh(high, low)) }
}
