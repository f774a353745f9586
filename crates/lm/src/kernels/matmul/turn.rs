//! 16 × 16 numbers turned around in registers, for matrices that are read across their storage.

use super::super::instructions::InstructionSet;
use super::super::number::Number;
#[cfg(target_arch = "x86_64")]
use super::turn_eight;

/// Rows and columns of the square.
pub(super) const SIDE: usize = 16;

/// Turns a square straight into a panel: for k < 16, number k of the row that begins at `values[r × stride]` becomes
/// `panel[k × width + r]`, for each r < `lanes`. Only `count` rows are read, the others are zeros.
///
/// Numbers are moved, never computed with. Panics unless 1 ≤ `count` ≤ `lanes` ≤ 16 and `lanes` ≤ `width`, and where the
/// last row or the panel is cut off.
#[inline]
pub(super) fn turn_into<N: Number>(
    panel: &mut [f32],
    width: usize,
    lanes: usize,
    values: &[N],
    stride: usize,
    count: usize,
) {
    assert!(
        (1..=lanes).contains(&count)
            && lanes <= SIDE.min(width)
            && values.len() >= (count - 1) * stride + SIDE
            && panel.len() >= (SIDE - 1) * width + lanes,
        "{count} rows of {SIDE} over {} numbers, {stride} from row to row, into {lanes} of {width} lanes over {}",
        values.len(),
        panel.len()
    );
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::current() {
        InstructionSet::Avx512 => {
            // SAFETY: this machine has AVX-512, and rows and panel were just checked.
            #[allow(unsafe_code)]
            return unsafe { turn_into_avx512(panel, width, lanes, values, stride, count) };
        }
        InstructionSet::Avx2
            if lanes == SIDE || (lanes, width) == (turn_eight::NARROW, turn_eight::NARROW) =>
        {
            // SAFETY: this machine has AVX2 and F16C, and rows and panel were just checked.
            #[allow(unsafe_code)]
            return unsafe { turn_eight::turn_into(panel, width, values, stride, count) };
        }
        InstructionSet::Avx2 | InstructionSet::Portable => {}
    }
    for (k, places) in panel.chunks_mut(width).take(SIDE).enumerate() {
        for (lane, place) in places[..lanes].iter_mut().enumerate() {
            *place = if lane < count {
                values[lane * stride + k].widen()
            } else {
                0.0
            };
        }
    }
}

/// Adds to chain c, for k = 0, 1, …, `factors[k]` × element k of the row that begins at `values[c × stride]`, each
/// with one rounding.
///
/// Panics where the last row is cut off.
#[inline(always)]
pub(super) fn add_turned<N: Number>(
    chains: &mut [f32; SIDE],
    factors: &[[f32; SIDE]],
    values: &[N],
    stride: usize,
) {
    assert!(
        values.len() >= (SIDE - 1) * stride + SIDE * factors.len(),
        "{SIDE} rows of {SIDE} × {} over {} numbers, {stride} from row to row",
        factors.len(),
        values.len()
    );
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::current() {
        InstructionSet::Avx512 => {
            // SAFETY: this machine has AVX-512, and the rows were just checked to lie inside `values`.
            #[allow(unsafe_code)]
            return unsafe { add_turned_avx512(chains, factors, values, stride) };
        }
        InstructionSet::Avx2 => {
            // SAFETY: this machine has AVX2, FMA and F16C, and the rows were just checked to lie inside `values`.
            #[allow(unsafe_code)]
            return unsafe { turn_eight::add_turned(chains, factors, values, stride) };
        }
        InstructionSet::Portable => {}
    }
    for (index, factors) in factors.iter().enumerate() {
        for (chain, values) in chains.iter_mut().zip(values.chunks(stride)) {
            for (&factor, value) in factors.iter().zip(&values[index * SIDE..]) {
                *chain = factor.mul_add(value.widen(), *chain);
            }
        }
    }
}

/// As [`add_turned`], without leaving the registers.
///
/// # Safety
/// The machine has AVX-512 F and `values` holds all of the rows.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
unsafe fn add_turned_avx512<N: Number>(
    chains: &mut [f32; SIDE],
    factors: &[[f32; SIDE]],
    values: &[N],
    stride: usize,
) {
    use std::arch::x86_64::*;
    // SAFETY: the load and the store are of the array `chains`.
    let mut chain = unsafe { _mm512_loadu_ps(chains.as_ptr()) };
    for (index, factors) in factors.iter().enumerate() {
        // SAFETY: as the caller says.
        let rows = turn_registers(unsafe { load_rows(&values[index * SIDE..], stride, SIDE) });
        for (row, &factor) in rows.into_iter().zip(factors) {
            chain = _mm512_fmadd_ps(_mm512_set1_ps(factor), row, chain);
        }
    }
    // SAFETY: as above.
    unsafe { _mm512_storeu_ps(chains.as_mut_ptr(), chain) };
}

/// As [`turn_into`].
///
/// # Safety
/// The machine has AVX-512 F, `values` holds all of the `count` rows and the panel `lanes` of each of 16.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
unsafe fn turn_into_avx512<N: Number>(
    panel: &mut [f32],
    width: usize,
    lanes: usize,
    values: &[N],
    stride: usize,
    count: usize,
) {
    use std::arch::x86_64::*;
    // SAFETY: as the caller says.
    let rows = turn_registers(unsafe { load_rows(values, stride, count) });
    let stored = u16::MAX >> (SIDE - lanes);
    for (k, row) in rows.into_iter().enumerate() {
        // SAFETY: as the caller says; nothing is stored outside of the mask.
        unsafe { _mm512_mask_storeu_ps(panel.as_mut_ptr().add(k * width), stored, row) };
    }
}

/// `count` rows of 16 numbers, and zeros for the others.
///
/// # Safety
/// The machine has AVX-512 F and `values` holds all of the `count` rows.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load_rows<N: Number>(
    values: &[N],
    stride: usize,
    count: usize,
) -> [std::arch::x86_64::__m512; SIDE] {
    use std::arch::x86_64::*;
    let mut rows = [_mm512_setzero_ps(); SIDE];
    for (index, row) in rows.iter_mut().enumerate().take(count) {
        let place = values.as_ptr().wrapping_add(index * stride);
        // The next rows at the same k are wanted soon, and no hardware guesses that. A prefetch never faults.
        _mm_prefetch::<_MM_HINT_T1>(place.wrapping_add(SIDE * stride).cast());
        // SAFETY: row `index` lies inside `values`, as the caller says.
        *row = unsafe { N::load(place) };
    }
    rows
}

/// A square turned between registers: pairs, fours and whole quarters change places, 64 shuffles for 256 numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
pub(in crate::kernels) fn turn_registers(
    rows: [std::arch::x86_64::__m512; SIDE],
) -> [std::arch::x86_64::__m512; SIDE] {
    use std::arch::x86_64::*;
    let zero = _mm512_setzero_ps();
    // Within each quarter: element 0 or 1 (then 2 or 3) of rows 4i and 4i + 1, side by side with those of 4i + 2, 4i + 3.
    let mut fours = [zero; SIDE];
    for group in 0..4 {
        let [a, b, c, d] = std::array::from_fn(|row| rows[4 * group + row]);
        let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let (low_after, high_after) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        let pair = |one, two| {
            let (one, two) = (_mm512_castps_pd(one), _mm512_castps_pd(two));
            (_mm512_unpacklo_pd(one, two), _mm512_unpackhi_pd(one, two))
        };
        let (first, second) = pair(low, low_after);
        let (third, fourth) = pair(high, high_after);
        for (place, four) in [first, second, third, fourth].into_iter().enumerate() {
            fours[4 * group + place] = _mm512_castpd_ps(four);
        }
    }
    // fours[4g + p] holds, in quarter q, element 4q + p of rows 4g to 4g + 3. Quarters q of the four groups join.
    let mut turned = [zero; SIDE];
    for place in 0..4 {
        let [a, b, c, d] = std::array::from_fn(|group| fours[4 * group + place]);
        let (even, odd) = (
            _mm512_shuffle_f32x4::<0x88>(a, b),
            _mm512_shuffle_f32x4::<0xdd>(a, b),
        );
        let (even_after, odd_after) = (
            _mm512_shuffle_f32x4::<0x88>(c, d),
            _mm512_shuffle_f32x4::<0xdd>(c, d),
        );
        turned[place] = _mm512_shuffle_f32x4::<0x88>(even, even_after);
        turned[4 + place] = _mm512_shuffle_f32x4::<0x88>(odd, odd_after);
        turned[8 + place] = _mm512_shuffle_f32x4::<0xdd>(even, even_after);
        turned[12 + place] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_after);
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::super::super::instructions::tests::with_each;
    use super::super::super::reference;
    use super::*;

    #[test]
    fn every_number_finds_its_place_and_nothing_else_changes() {
        let stride = 19;
        let values = reference::numbers(SIDE * stride, 1);
        with_each(|_| {
            for (width, lanes) in [(4, 4), (6, 6), (14, 14), (16, 16), (32, 16)] {
                for count in 1..=lanes {
                    let mut panel = vec![7.0; (SIDE - 1) * width + lanes];
                    let rows = &values[..(count - 1) * stride + SIDE];
                    turn_into(&mut panel, width, lanes, rows, stride, count);
                    for (index, &number) in panel.iter().enumerate() {
                        let expected = match (index / width, index % width) {
                            (k, lane) if lane < count => values[lane * stride + k],
                            (_, lane) if lane < lanes => 0.0,
                            _ => 7.0,
                        };
                        assert_eq!(number, expected, "{count} of {lanes} of {width}, {index}");
                    }
                }
            }
        });
    }
}
