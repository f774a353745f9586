//! 16 × 16 numbers turned around in registers, for matrices that are read across their storage.

use super::super::instructions::InstructionSet;
use super::super::number::Number;
#[cfg(target_arch = "x86_64")]
use super::turn_eight;

/// Rows and columns of the square.
pub(super) const SIDE: usize = 16;

/// The square whose row r < `count` begins at `values[r × stride]` and whose other rows are zeros, turned: row k of
/// the result holds element k of every row.
///
/// Numbers are moved, never computed with. Panics where there are more than 16 rows or the last one is cut off.
#[inline]
pub(super) fn turned<N: Number>(values: &[N], stride: usize, count: usize) -> [[f32; SIDE]; SIDE] {
    assert!(
        (1..=SIDE).contains(&count) && values.len() >= (count - 1) * stride + SIDE,
        "{count} rows of {SIDE} over {} numbers, {stride} from row to row",
        values.len()
    );
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::current() {
        InstructionSet::Avx512 => {
            // SAFETY: this machine has AVX-512, and the rows were just checked to lie inside `values`.
            #[allow(unsafe_code)]
            return unsafe { turned_avx512(values, stride, count) };
        }
        InstructionSet::Avx2 => {
            // SAFETY: this machine has AVX2 and F16C, and the rows were just checked to lie inside `values`.
            #[allow(unsafe_code)]
            return unsafe { turn_eight::turned(values, stride, count) };
        }
        InstructionSet::Portable => {}
    }
    let mut square = [[0.0; SIDE]; SIDE];
    for (column, values) in values.chunks(stride).take(count).enumerate() {
        for (row, &value) in square.iter_mut().zip(values) {
            row[column] = value.widen();
        }
    }
    square
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
        for (&factor, row) in factors.iter().zip(&turned(&values[index * SIDE..], stride, SIDE)) {
            for (chain, &value) in chains.iter_mut().zip(row) {
                *chain = factor.mul_add(value, *chain);
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

/// Pairs, fours and whole quarters of registers change places: 64 shuffles for 256 numbers.
///
/// # Safety
/// The machine has AVX-512 F and `values` holds all of the `count` rows.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
unsafe fn turned_avx512<N: Number>(values: &[N], stride: usize, count: usize) -> [[f32; SIDE]; SIDE] {
    use std::arch::x86_64::*;
    // SAFETY: as the caller says.
    let rows = turn_registers(unsafe { load_rows(values, stride, count) });
    let mut square = [[0.0; SIDE]; SIDE];
    for (place, row) in square.iter_mut().zip(rows) {
        // SAFETY: the store fills the array `place`.
        unsafe { _mm512_storeu_ps(place.as_mut_ptr(), row) };
    }
    square
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

/// The same between registers.
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
    fn every_number_finds_its_place() {
        let stride = 19;
        let values = reference::numbers(SIDE * stride, 1);
        with_each(|_| {
            for count in [1, 7, SIDE] {
                let square = turned(&values[..(count - 1) * stride + SIDE], stride, count);
                for (row, numbers) in square.iter().enumerate() {
                    for (column, &number) in numbers.iter().enumerate().take(count) {
                        assert_eq!(number, values[column * stride + row], "({row}, {column})");
                    }
                    assert!(numbers[count..].iter().all(|&number| number == 0.0));
                }
            }
        });
    }
}
