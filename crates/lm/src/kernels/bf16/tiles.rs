//! What the innermost loops are given, and those of AVX-512.

use super::panels::{Layout, Order};

/// Where the sums of a tile come from and go to.
#[derive(Clone, Copy)]
pub(super) struct Corner {
    /// Element (0, 0) of the tile where it is stored, and the way from one row to the next.
    pub target: *mut f32,
    pub stride: usize,
    /// Rows and columns that are stored.
    pub rows: usize,
    pub columns: usize,
    /// Whether the sums are added to what is there.
    pub keep: bool,
    /// Sums `[rows, columns]` of a whole tile over the k before, which go on; null where they begin at +0.
    pub before: *const f32,
}

impl Corner {
    /// Stores the sums of one row.
    ///
    /// # Safety
    /// The row lies inside memory that the caller alone uses.
    #[allow(unsafe_code)]
    #[inline(always)]
    pub unsafe fn store(&self, row: usize, sums: &[f32]) {
        // SAFETY: as the caller says.
        let target =
            unsafe { std::slice::from_raw_parts_mut(self.target.add(row * self.stride), self.columns) };
        if self.keep {
            for (value, sum) in target.iter_mut().zip(sums) {
                *value += sum;
            }
        } else {
            target.copy_from_slice(&sums[..self.columns]);
        }
    }
}

/// The shape of a tile and the code for it.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Panels of rows of `a`, and of columns of `b`.
    pub a: Layout,
    pub b: Layout,
    /// What a thread does before the tiles of a task and after them.
    ///
    /// Calling these, and `run`, asks for the instructions the tile was chosen for.
    pub begin: unsafe fn(),
    pub end: unsafe fn(),
    /// (steps of 32 k, panel of `a`, panel of `b`, corner), between `begin` and `end`.
    ///
    /// Calling it asks for panels of that length, for a corner whose rows and columns are at most the tile's and inside
    /// memory that this call alone uses, and for sums of a whole tile before it, if any.
    pub run: unsafe fn(usize, &[u32], &[u32], Corner),
}

/// For tiles that need nothing before or after.
pub(super) fn nothing() {}

/// The tile for AVX-512: 28 of the 32 registers hold sums.
#[cfg(target_arch = "x86_64")]
pub(super) const AVX512: Tile = Tile {
    a: Layout {
        width: 14,
        order: Order::Across,
        instruction: true,
    },
    b: Layout {
        width: 32,
        order: Order::Across,
        instruction: true,
    },
    begin: nothing,
    end: nothing,
    run: avx512,
};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn avx512(steps: usize, a: &[u32], b: &[u32], corner: Corner) {
    use std::arch::x86_64::*;
    const ROWS: usize = AVX512.a.width;
    const WIDE: usize = AVX512.b.width;
    const HALF: usize = WIDE / 2;
    let pairs = steps * super::squares::PAIRS;
    let (a, b) = (&a[..pairs * ROWS], &b[..pairs * WIDE]);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    if !corner.before.is_null() {
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: a whole tile lies there, as the caller says.
            unsafe {
                let before = corner.before.add(row * WIDE);
                *sums = [_mm512_loadu_ps(before), _mm512_loadu_ps(before.add(HALF))];
            }
        }
    }
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<WIDE>().0) {
        // SAFETY: both loads lie inside the array `b`; integers and pairs of bf16 are the same 512 bits.
        let [low, high]: [__m512bh; 2] = unsafe {
            std::mem::transmute([
                _mm512_loadu_si512(b.as_ptr().cast()),
                _mm512_loadu_si512(b.as_ptr().add(HALF).cast()),
            ])
        };
        for (sums, &factors) in sums.iter_mut().zip(a) {
            // SAFETY: as above.
            let factors: __m512bh = unsafe { std::mem::transmute(_mm512_set1_epi32(factors.cast_signed())) };
            sums[0] = _mm512_dpbf16_ps(sums[0], factors, low);
            sums[1] = _mm512_dpbf16_ps(sums[1], factors, high);
        }
    }
    // The sums leave their registers here, by constant places: indexed by a row known only at run time, they would live
    // in memory all along.
    let mut values = [[0.0; WIDE]; ROWS];
    for (values, sums) in values.iter_mut().zip(sums) {
        // SAFETY: both stores lie inside the array `values`.
        unsafe {
            _mm512_storeu_ps(values.as_mut_ptr(), sums[0]);
            _mm512_storeu_ps(values.as_mut_ptr().add(HALF), sums[1]);
        }
    }
    for (row, values) in values.iter().enumerate().take(corner.rows) {
        // SAFETY: the caller gives a corner whose rows and columns are its own.
        unsafe { corner.store(row, values) };
    }
}
