//! Products of panels with rows of activations in AVX2.
//!
//! `vpmaddubsw` multiplies levels without a sign by levels with one and adds neighbours in 16 bits, which saturate; no
//! sum here reaches that far: 8 sums of two products 15 × 127, 4 sums of two products 31 × 127, or one of two products
//! 128 × 127.

use std::arch::x86_64::*;

use super::activations::{Row, Scale};
use super::kind::{Kind, Steps};
use super::tile::{Tile, fetch_ahead};
use super::{GROUP, LANES};

/// Lanes of a register.
const WIDE: usize = 8;
/// Registers that hold a number for each lane of a panel.
const PARTS: usize = LANES / WIDE;
/// Bytes of four values of every lane.
const FOURS: usize = 4 * LANES;

/// The products of a row with the 16 rows of a panel, which is read in the order of memory.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn row<K: Kind>(panel: &[u8], row: Row<'_>) -> [f32; LANES] {
    // SAFETY: as the caller says; the panel and the row were checked to fit.
    let [[low], [high]] = unsafe { chains::<K, 1, PARTS>(&Tile::new::<K>(panel, [row]), 0) };
    stored([low, high])
}

/// The products of some rows with the 16 rows of a panel.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn rows<K: Kind, const ROWS: usize>(
    panel: &[u8],
    rows: [Row<'_>; ROWS],
) -> [[f32; LANES]; ROWS] {
    let tile = Tile::new::<K>(panel, rows);
    // Half of the lanes at a time: the chains of all rows stay in registers.
    // SAFETY: as the caller says; the panel and the rows were checked to fit.
    let ([low], [high]) = unsafe { (chains::<K, ROWS, 1>(&tile, 0), chains::<K, ROWS, 1>(&tile, 1)) };
    std::array::from_fn(|row| stored([low[row], high[row]]))
}

#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn stored(parts: [__m256; PARTS]) -> [f32; LANES] {
    let mut result = [0.0; LANES];
    for (result, part) in result.as_chunks_mut::<WIDE>().0.iter_mut().zip(parts) {
        // SAFETY: the store fills the array.
        unsafe { _mm256_storeu_ps(result.as_mut_ptr(), part) };
    }
    result
}

/// The chains of some rows over all columns, for some parts of the lanes from part `first` on.
///
/// # Safety
/// The machine has AVX2, FMA and F16C, and panel and rows are as long as the tile says.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn chains<K: Kind, const ROWS: usize, const COUNT: usize>(
    tile: &Tile<ROWS>,
    first: usize,
) -> [[__m256; ROWS]; COUNT] {
    let form = K::FORM;
    let mut chains = [[_mm256_setzero_ps(); ROWS]; COUNT];
    let (mut levels, mut scales) = (tile.levels, tile.scales);
    for span in 0..tile.spans {
        let head = tile.panel.wrapping_add(span * form.span_bytes());
        if ROWS == 1 {
            fetch_ahead::<K>(head);
        }
        for group in 0..form.span / GROUP {
            let steps = head.wrapping_add(form.head_bytes() + group * form.group_bytes());
            let weights = steps.wrapping_add(form.steps * LANES);
            for (count, chains) in chains.iter_mut().enumerate() {
                let part = first + count;
                // SAFETY: all of these places lie inside the panel and the rows.
                unsafe {
                    let whole = whole_sums::<K, ROWS>(
                        steps.wrapping_add(part * WIDE),
                        weights.wrapping_add(part * 4 * WIDE),
                        levels,
                    );
                    let [scale, minimum] = factors::<K>(head.wrapping_add(part * 2 * WIDE), steps, part);
                    for row in 0..ROWS {
                        add::<K>(&mut chains[row], whole[row], scale, minimum, &*scales[row]);
                    }
                }
            }
            levels = levels.map(|levels| levels.wrapping_add(GROUP));
            scales = scales.map(|scales| scales.wrapping_add(1));
        }
    }
    chains
}

/// Adds what 32 values give to a chain.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn add<K: Kind>(chain: &mut __m256, whole: __m256i, scale: __m256, minimum: __m256, row: &Scale) {
    let whole = if K::OFFSET == 0 {
        whole
    } else {
        _mm256_sub_epi32(whole, _mm256_set1_epi32(K::OFFSET * row.count))
    };
    let factor = _mm256_mul_ps(scale, _mm256_set1_ps(row.factor));
    *chain = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), factor, *chain);
    if K::FORM.halves == 2 {
        let sum = match K::STEPS {
            Steps::ScaleAndMinimum => row.factor * row.count as f32,
            _ => row.sum,
        };
        *chain = _mm256_fmadd_ps(minimum, _mm256_set1_ps(sum), *chain);
    }
}

/// Scale and minimum of 32 values of eight lanes. `head` begins with their scales.
///
/// # Safety
/// The machine has AVX2, FMA and F16C, and both places are those of a span.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn factors<K: Kind>(head: *const u8, steps: *const u8, part: usize) -> [__m256; 2] {
    // SAFETY: 16 bytes of the scales, and 16 of the minima where there are any.
    let (scale, minimum) = unsafe {
        (
            halves(head),
            if K::FORM.halves == 2 {
                halves(head.wrapping_add(2 * LANES))
            } else {
                _mm256_setzero_ps()
            },
        )
    };
    match K::STEPS {
        Steps::ScaleAndMinimum => {
            let steps = steps.wrapping_add(part * WIDE);
            // SAFETY: 8 bytes of either step.
            let [factor, least] = unsafe { [bytes_of(steps), bytes_of(steps.wrapping_add(LANES))] };
            let [factor, least] =
                [factor, least].map(|bytes| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
            // Its sign is turned: it is subtracted.
            let minimum = _mm256_xor_ps(_mm256_mul_ps(minimum, least), _mm256_set1_ps(-0.0));
            [_mm256_mul_ps(scale, factor), minimum]
        }
        _ => [scale, minimum],
    }
}

/// Eight 16-bit numbers.
///
/// # Safety
/// The machine has F16C, and 16 bytes may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn halves(place: *const u8) -> __m256 {
    // SAFETY: as the caller says.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(place.cast()) })
}

/// Eight bytes.
///
/// # Safety
/// They may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn bytes_of(place: *const u8) -> __m128i {
    // SAFETY: as the caller says.
    unsafe { _mm_loadl_epi64(place.cast()) }
}

/// The sums over 32 values, exact. `steps` and `weights` begin with those of the first of eight lanes.
///
/// # Safety
/// The machine has AVX2, and all places are those of 32 values.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn whole_sums<K: Kind, const ROWS: usize>(
    steps: *const u8,
    weights: *const u8,
    levels: [*const i8; ROWS],
) -> [__m256i; ROWS] {
    // SAFETY: as the caller says.
    unsafe {
        match K::STEPS {
            Steps::Sixteens => {
                let first = signed_sums::<ROWS, 4>(weights, levels);
                let half = levels.map(|levels| levels.wrapping_add(GROUP / 2));
                let second = signed_sums::<ROWS, 4>(weights.wrapping_add(4 * FOURS), half);
                let [one, other] =
                    [0, LANES].map(|at| _mm256_cvtepi8_epi32(bytes_of(steps.wrapping_add(at))));
                std::array::from_fn(|row| {
                    _mm256_add_epi32(
                        _mm256_mullo_epi32(first[row], one),
                        _mm256_mullo_epi32(second[row], other),
                    )
                })
            }
            _ if K::FORM.nibbles => nibble_sums(weights, levels),
            _ if K::SIGNED => signed_sums::<ROWS, 8>(weights, levels),
            _ => unsigned_sums(weights, levels),
        }
    }
}

/// Levels of 4 bits.
///
/// # Safety
/// As [`whole_sums`].
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn nibble_sums<const ROWS: usize>(weights: *const u8, levels: [*const i8; ROWS]) -> [__m256i; ROWS] {
    let low_half = _mm256_set1_epi8(15);
    let mut sums = [_mm256_setzero_si256(); ROWS];
    for index in 0..4 {
        // SAFETY: 32 bytes of the weights, and 4 of the levels of each row.
        unsafe {
            let bytes = load(weights.wrapping_add(index * FOURS));
            let low = _mm256_and_si256(bytes, low_half);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low_half);
            for row in 0..ROWS {
                let (first, second) = (four(levels[row], index), four(levels[row], index + 4));
                let products = _mm256_add_epi16(
                    _mm256_maddubs_epi16(low, first),
                    _mm256_maddubs_epi16(high, second),
                );
                sums[row] = _mm256_add_epi16(sums[row], products);
            }
        }
    }
    sums.map(|sum| widened(sum))
}

/// Levels of 8 bits below 32.
///
/// # Safety
/// As [`whole_sums`].
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn unsigned_sums<const ROWS: usize>(weights: *const u8, levels: [*const i8; ROWS]) -> [__m256i; ROWS] {
    let mut sums = [_mm256_setzero_si256(); ROWS];
    for half in [0, 4] {
        let mut narrow = [_mm256_setzero_si256(); ROWS];
        for index in half..half + 4 {
            // SAFETY: 32 bytes of the weights, and 4 of the levels of each row.
            unsafe {
                let bytes = load(weights.wrapping_add(index * FOURS));
                for row in 0..ROWS {
                    let products = _mm256_maddubs_epi16(bytes, four(levels[row], index));
                    narrow[row] = _mm256_add_epi16(narrow[row], products);
                }
            }
        }
        for row in 0..ROWS {
            sums[row] = _mm256_add_epi32(sums[row], widened(narrow[row]));
        }
    }
    sums
}

/// Levels of 8 bits with a sign, over some fours of the 32 values: the sign moves to the activations.
///
/// # Safety
/// As [`whole_sums`].
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn signed_sums<const ROWS: usize, const COUNT: usize>(
    weights: *const u8,
    levels: [*const i8; ROWS],
) -> [__m256i; ROWS] {
    let mut sums = [_mm256_setzero_si256(); ROWS];
    for index in 0..COUNT {
        // SAFETY: 32 bytes of the weights, and 4 of the levels of each row.
        unsafe {
            let bytes = load(weights.wrapping_add(index * FOURS));
            let size = _mm256_abs_epi8(bytes);
            for row in 0..ROWS {
                let turned = _mm256_sign_epi8(four(levels[row], index), bytes);
                sums[row] = _mm256_add_epi32(sums[row], widened(_mm256_maddubs_epi16(size, turned)));
            }
        }
    }
    sums
}

/// Sums of neighbours in 32 bits.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn widened(narrow: __m256i) -> __m256i {
    _mm256_madd_epi16(narrow, _mm256_set1_epi16(1))
}

/// Four activations, for every lane.
///
/// # Safety
/// They may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn four(levels: *const i8, index: usize) -> __m256i {
    // SAFETY: as the caller says.
    _mm256_set1_epi32(unsafe { levels.wrapping_add(4 * index).cast::<i32>().read_unaligned() })
}

/// # Safety
/// 32 bytes may be read.
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn load(place: *const u8) -> __m256i {
    // SAFETY: as the caller says.
    unsafe { _mm256_loadu_si256(place.cast()) }
}
