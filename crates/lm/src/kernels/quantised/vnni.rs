//! Products of panels with rows of activations in AVX-512 VNNI.
//!
//! `vpdpbusd` multiplies four levels without a sign by four with one and adds all four products to a sum in 32 bits, which
//! 32 of them never fill. So levels with a sign are taken 128 larger, which turning their highest bit does, and 128 times
//! the sum of the activations is taken off again.

use std::arch::x86_64::*;

use super::activations::{Row, Scale};
use super::kind::{Kind, Steps};
use super::tile::{Tile, fetch_ahead};
use super::{GROUP, LANES};

/// Bytes of four values of every lane.
const FOURS: usize = 4 * LANES;
/// What levels with a sign are enlarged by.
const TURNED: i32 = 128;

/// The products of some rows with the 16 rows of a panel.
///
/// # Safety
/// The machine has AVX-512 F, BW and VL, VNNI and F16C.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
pub(super) unsafe fn rows<K: Kind, const ROWS: usize>(
    panel: &[u8],
    rows: [Row<'_>; ROWS],
) -> [[f32; LANES]; ROWS] {
    let form = K::FORM;
    let tile = Tile::new::<K>(panel, rows);
    let mut chains = [_mm512_setzero_ps(); ROWS];
    let (mut levels, mut scales) = (tile.levels, tile.scales);
    for span in 0..tile.spans {
        let head = tile.panel.wrapping_add(span * form.span_bytes());
        if ROWS == 1 {
            fetch_ahead::<K>(head);
        }
        for group in 0..form.span / GROUP {
            let steps = head.wrapping_add(form.head_bytes() + group * form.group_bytes());
            let weights = steps.wrapping_add(form.steps * LANES);
            // SAFETY: all of these places lie inside the panel and the rows.
            unsafe {
                let rows = scales.map(|scale| &*scale);
                let whole = whole_sums::<K, ROWS>(steps, weights, levels, rows);
                let [scale, minimum] = factors::<K>(head, steps);
                for row in 0..ROWS {
                    add::<K>(&mut chains[row], whole[row], scale, minimum, rows[row]);
                }
            }
            levels = levels.map(|levels| levels.wrapping_add(GROUP));
            scales = scales.map(|scales| scales.wrapping_add(1));
        }
    }
    chains.map(|chain| {
        let mut result = [0.0; LANES];
        // SAFETY: the store fills the array.
        unsafe { _mm512_storeu_ps(result.as_mut_ptr(), chain) };
        result
    })
}

/// Adds what 32 values give to a chain.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
fn add<K: Kind>(chain: &mut __m512, whole: __m512i, scale: __m512, minimum: __m512, row: &Scale) {
    let factor = _mm512_mul_ps(scale, _mm512_set1_ps(row.factor));
    *chain = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), factor, *chain);
    if K::FORM.halves == 2 {
        let sum = match K::STEPS {
            Steps::ScaleAndMinimum => row.factor * row.count as f32,
            _ => row.sum,
        };
        *chain = _mm512_fmadd_ps(minimum, _mm512_set1_ps(sum), *chain);
    }
}

/// Scale and minimum of 32 values of every lane.
///
/// # Safety
/// Both places are those of a span.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn factors<K: Kind>(head: *const u8, steps: *const u8) -> [__m512; 2] {
    // SAFETY: 32 bytes of the scales, and 32 of the minima where there are any.
    let (scale, minimum) = unsafe {
        (
            halves(head),
            if K::FORM.halves == 2 {
                halves(head.wrapping_add(2 * LANES))
            } else {
                _mm512_setzero_ps()
            },
        )
    };
    match K::STEPS {
        Steps::ScaleAndMinimum => {
            // SAFETY: 16 bytes of either step.
            let [factor, least] = unsafe { [bytes_of(steps), bytes_of(steps.wrapping_add(LANES))] };
            let [factor, least] =
                [factor, least].map(|bytes| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)));
            // Its sign is turned: it is subtracted.
            let minimum = _mm512_castps_si512(_mm512_mul_ps(minimum, least));
            let minimum = _mm512_xor_si512(minimum, _mm512_set1_epi32(i32::MIN));
            [_mm512_mul_ps(scale, factor), _mm512_castsi512_ps(minimum)]
        }
        _ => [scale, minimum],
    }
}

/// The sums over 32 values, exact, without what a type subtracts from its levels.
///
/// # Safety
/// All places are those of 32 values.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn whole_sums<K: Kind, const ROWS: usize>(
    steps: *const u8,
    weights: *const u8,
    levels: [*const i8; ROWS],
    rows: [&Scale; ROWS],
) -> [__m512i; ROWS] {
    // SAFETY: as the caller says.
    unsafe {
        if K::STEPS == Steps::Sixteens {
            return sixteens(steps, weights, levels, rows);
        }
        let (offset, sums) = if K::FORM.nibbles {
            (K::OFFSET, nibble_sums(weights, levels))
        } else {
            let offset = if K::SIGNED { TURNED } else { K::OFFSET };
            let [early, late] = [0, 4].map(|first| byte_sums::<ROWS>(weights, levels, first, K::SIGNED));
            (
                offset,
                std::array::from_fn(|row| _mm512_add_epi32(early[row], late[row])),
            )
        };
        if offset == 0 {
            return sums;
        }
        std::array::from_fn(|row| _mm512_sub_epi32(sums[row], _mm512_set1_epi32(offset * rows[row].count)))
    }
}

/// Two halves of the 32 values, each multiplied by its step.
///
/// # Safety
/// As [`whole_sums`].
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn sixteens<const ROWS: usize>(
    steps: *const u8,
    weights: *const u8,
    levels: [*const i8; ROWS],
    rows: [&Scale; ROWS],
) -> [__m512i; ROWS] {
    // SAFETY: 16 bytes of either step, and the 32 values.
    unsafe {
        let [one, other] = [0, LANES].map(|at| _mm512_cvtepi8_epi32(bytes_of(steps.wrapping_add(at))));
        let [first, second] = [0, 4].map(|first| byte_sums::<ROWS>(weights, levels, first, true));
        std::array::from_fn(|row| {
            let early = sum_of_sixteen(levels[row]);
            let late = rows[row].count - early;
            let first = _mm512_sub_epi32(first[row], _mm512_set1_epi32(TURNED * early));
            let second = _mm512_sub_epi32(second[row], _mm512_set1_epi32(TURNED * late));
            _mm512_add_epi32(_mm512_mullo_epi32(first, one), _mm512_mullo_epi32(second, other))
        })
    }
}

/// Levels of 4 bits.
///
/// # Safety
/// As [`whole_sums`].
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn nibble_sums<const ROWS: usize>(weights: *const u8, levels: [*const i8; ROWS]) -> [__m512i; ROWS] {
    let low_half = _mm512_set1_epi8(15);
    // Two chains a row: an instruction takes longer than the others of its row give it.
    let (mut lows, mut highs) = ([_mm512_setzero_si512(); ROWS], [_mm512_setzero_si512(); ROWS]);
    for index in 0..4 {
        // SAFETY: 64 bytes of the weights, and 4 of the levels of each row.
        unsafe {
            let bytes = load(weights.wrapping_add(index * FOURS));
            let low = _mm512_and_si512(bytes, low_half);
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low_half);
            for row in 0..ROWS {
                lows[row] = _mm512_dpbusd_epi32(lows[row], low, four(levels[row], index));
                highs[row] = _mm512_dpbusd_epi32(highs[row], high, four(levels[row], index + 4));
            }
        }
    }
    std::array::from_fn(|row| _mm512_add_epi32(lows[row], highs[row]))
}

/// Levels of 8 bits, those with a sign 128 larger, over 16 of the 32 values: four fours from `first` on.
///
/// # Safety
/// As [`whole_sums`].
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn byte_sums<const ROWS: usize>(
    weights: *const u8,
    levels: [*const i8; ROWS],
    first: usize,
    signed: bool,
) -> [__m512i; ROWS] {
    let turn = _mm512_set1_epi8(if signed { i8::MIN } else { 0 });
    let mut sums = [_mm512_setzero_si512(); ROWS];
    for index in first..first + 4 {
        // SAFETY: 64 bytes of the weights, and 4 of the levels of each row.
        unsafe {
            let bytes = _mm512_xor_si512(load(weights.wrapping_add(index * FOURS)), turn);
            for row in 0..ROWS {
                sums[row] = _mm512_dpbusd_epi32(sums[row], bytes, four(levels[row], index));
            }
        }
    }
    sums
}

/// The sum of 16 activations.
///
/// # Safety
/// They may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn sum_of_sixteen(levels: *const i8) -> i32 {
    // SAFETY: as the caller says.
    let levels = unsafe { _mm_loadu_si128(levels.cast()) };
    let fours = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), levels);
    let twos = _mm_add_epi32(fours, _mm_shuffle_epi32::<0b00_00_11_10>(fours));
    _mm_cvtsi128_si32(_mm_add_epi32(twos, _mm_shuffle_epi32::<0b00_00_00_01>(twos)))
}

/// Four activations, for every lane.
///
/// # Safety
/// They may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn four(levels: *const i8, index: usize) -> __m512i {
    // SAFETY: as the caller says.
    _mm512_set1_epi32(unsafe { levels.wrapping_add(4 * index).cast::<i32>().read_unaligned() })
}

/// Sixteen 16-bit numbers.
///
/// # Safety
/// They may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn halves(place: *const u8) -> __m512 {
    // SAFETY: as the caller says.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(place.cast()) })
}

/// Sixteen bytes.
///
/// # Safety
/// They may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn bytes_of(place: *const u8) -> __m128i {
    // SAFETY: as the caller says.
    unsafe { _mm_loadu_si128(place.cast()) }
}

/// # Safety
/// 64 bytes may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
#[inline]
unsafe fn load(place: *const u8) -> __m512i {
    // SAFETY: as the caller says.
    unsafe { _mm512_loadu_si512(place.cast()) }
}
