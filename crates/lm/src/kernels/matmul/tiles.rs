//! The innermost loops: tiles of a product over one block of k, in registers.

/// Tiles below each other, which read the same panel of `b`: where their sums go, what they are added to, and which of
/// them count.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// Element (0, 0) of the first tile where it is stored, and the way from one row to the next.
    pub target: *mut f32,
    pub stride: usize,
    /// The same for what the sums are added to, unless they are the first.
    pub earlier: Option<(*const f32, usize)>,
    /// What later tiles read, to be brought nearer in the meantime: any address, and the way from that of one tile to that
    /// of the next.
    pub ahead: (*const f32, usize),
    /// Rows of all tiles, and columns, that are read and stored.
    pub rows: usize,
    pub columns: usize,
}

impl Strip {
    /// One of the tiles, of so many rows.
    #[inline(always)]
    fn corner(&self, index: usize, rows: usize) -> Corner {
        let row = index * rows;
        Corner {
            target: self.target.wrapping_add(row * self.stride),
            stride: self.stride,
            earlier: self
                .earlier
                .map(|(earlier, stride)| (earlier.wrapping_add(row * stride), stride)),
            ahead: self.ahead.0.wrapping_add(index * self.ahead.1),
            rows: rows.min(self.rows - row),
            columns: self.columns,
        }
    }
}

/// The same of one tile.
#[derive(Clone, Copy)]
struct Corner {
    target: *mut f32,
    stride: usize,
    earlier: Option<(*const f32, usize)>,
    ahead: *const f32,
    rows: usize,
    columns: usize,
}

impl Corner {
    /// Stores the sums of one row, added to the earlier ones.
    ///
    /// # Safety
    /// The row lies, in both places, inside memory that the caller alone uses.
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn store(&self, row: usize, sums: &[f32]) {
        for (column, &sum) in sums.iter().enumerate().take(self.columns) {
            // SAFETY: as the caller says.
            unsafe {
                let sum = match self.earlier {
                    Some((earlier, stride)) => *earlier.add(row * stride + column) + sum,
                    None => sum,
                };
                *self.target.add(row * self.stride + column) = sum;
            }
        }
    }
}

/// The shape of a tile and the code for it.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Rows of `a` in a panel.
    pub rows: usize,
    /// Columns of `b` in a panel.
    pub columns: usize,
    /// (depth, panels of `a` `[depth, rows]`, panel of `b` `[depth, columns]`, strip).
    ///
    /// Calling it asks for as many panels as the strip has tiles, and for a strip whose columns are at most the tile's and
    /// which lies, in both of its places, inside memory that this call alone uses; and for the instruction set the tile
    /// was chosen for.
    pub run: unsafe fn(usize, &[f32], &[f32], Strip),
}

/// The tile for machines without one of their own, written so that the compiler can make vectors of it.
pub(super) const PORTABLE: Tile = Tile {
    rows: 4,
    columns: 16,
    run: portable,
};

/// The tile for AVX-512: 28 of the 32 registers hold sums.
#[cfg(target_arch = "x86_64")]
pub(super) const AVX512: Tile = Tile {
    rows: 14,
    columns: 32,
    run: avx512,
};

/// The tile for AVX2: 12 of the 16 registers hold sums.
#[cfg(target_arch = "x86_64")]
pub(super) const AVX2: Tile = Tile {
    rows: 6,
    columns: 16,
    run: avx2,
};

#[allow(unsafe_code)]
unsafe fn portable(depth: usize, a: &[f32], b: &[f32], strip: Strip) {
    const ROWS: usize = PORTABLE.rows;
    const WIDE: usize = PORTABLE.columns;
    let b = b[..depth * WIDE].as_chunks::<WIDE>().0;
    for (index, a) in a.chunks_exact(depth * ROWS).enumerate() {
        let corner = strip.corner(index, ROWS);
        let mut sums = [[0.0_f32; WIDE]; ROWS];
        for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b) {
            for (sums, &factor) in sums.iter_mut().zip(a) {
                for (sum, &value) in sums.iter_mut().zip(b) {
                    *sum = factor.mul_add(value, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate().take(corner.rows) {
            // SAFETY: the caller gives a strip whose rows and columns are its own.
            unsafe { corner.store(row, sums) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(depth: usize, a: &[f32], b: &[f32], strip: Strip) {
    use std::arch::x86_64::*;
    const ROWS: usize = AVX512.rows;
    const WIDE: usize = AVX512.columns;
    const HALF: usize = WIDE / 2;
    let (b_parts, b_last) = b[..depth * WIDE].as_chunks::<WIDE>().0.as_chunks::<2>();
    for (index, a) in a.chunks_exact(depth * ROWS).enumerate() {
        let corner = strip.corner(index, ROWS);
        let mut ahead = corner.ahead;
        let whole = corner.rows == ROWS && corner.columns == WIDE;
        if whole {
            // Both places come near while the sums are made.
            for row in 0..ROWS {
                let line = corner.target.wrapping_add(row * corner.stride).cast::<i8>();
                _mm_prefetch::<_MM_HINT_T1>(line);
                _mm_prefetch::<_MM_HINT_T1>(line.wrapping_add(HALF * size_of::<f32>()));
            }
        }
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        // One k: a macro and not a function, so that the sums never leave their registers.
        macro_rules! add {
            ($a:expr, $b:expr) => {
                let (a, b): (&[f32; ROWS], &[f32; WIDE]) = ($a, $b);
                // SAFETY: both loads lie inside the array `b`.
                let (low, high) = unsafe {
                    (
                        _mm512_loadu_ps(b.as_ptr()),
                        _mm512_loadu_ps(b.as_ptr().add(HALF)),
                    )
                };
                for (sums, &factor) in sums.iter_mut().zip(a) {
                    let factor = _mm512_set1_ps(factor);
                    sums[0] = _mm512_fmadd_ps(factor, low, sums[0]);
                    sums[1] = _mm512_fmadd_ps(factor, high, sums[1]);
                }
            };
        }
        let (a_pairs, a_last) = a.as_chunks::<ROWS>().0.as_chunks::<2>();
        for ([a, a_next], [b, b_next]) in a_pairs.iter().zip(b_parts) {
            // A prefetch never faults.
            _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(HALF).cast());
            ahead = ahead.wrapping_add(WIDE);
            add!(a, b);
            add!(a_next, b_next);
        }
        if let (Some(a), Some(b)) = (a_last.first(), b_last.first()) {
            add!(a, b);
        }
        if whole {
            for (row, [mut low, mut high]) in sums.into_iter().enumerate() {
                // SAFETY: the whole tile lies, in both places, inside memory that the caller alone uses.
                unsafe {
                    if let Some((earlier, stride)) = corner.earlier {
                        let earlier = earlier.add(row * stride);
                        low = _mm512_add_ps(_mm512_loadu_ps(earlier), low);
                        high = _mm512_add_ps(_mm512_loadu_ps(earlier.add(HALF)), high);
                    }
                    let target = corner.target.add(row * corner.stride);
                    _mm512_storeu_ps(target, low);
                    _mm512_storeu_ps(target.add(HALF), high);
                }
            }
            continue;
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
            // SAFETY: the caller gives a strip whose rows and columns are its own.
            unsafe { corner.store(row, values) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(depth: usize, a: &[f32], b: &[f32], strip: Strip) {
    use std::arch::x86_64::*;
    const ROWS: usize = AVX2.rows;
    const WIDE: usize = AVX2.columns;
    const HALF: usize = WIDE / 2;
    let (b_parts, b_last) = b[..depth * WIDE].as_chunks::<WIDE>().0.as_chunks::<4>();
    for (index, a) in a.chunks_exact(depth * ROWS).enumerate() {
        let corner = strip.corner(index, ROWS);
        let whole = corner.rows == ROWS && corner.columns == WIDE;
        if whole {
            // Both places come near while the sums are made.
            let (earlier, stride) = corner
                .earlier
                .unwrap_or((corner.target.cast_const(), corner.stride));
            for row in 0..ROWS {
                _mm_prefetch::<_MM_HINT_T0>(corner.target.wrapping_add(row * corner.stride).cast());
                _mm_prefetch::<_MM_HINT_T0>(earlier.wrapping_add(row * stride).cast());
            }
        }
        let mut ahead = corner.ahead;
        let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
        // One k: a macro and not a function, so that the sums never leave their registers.
        macro_rules! add {
            ($a:expr, $b:expr) => {
                let (a, b): (&[f32; ROWS], &[f32; WIDE]) = ($a, $b);
                // SAFETY: both loads lie inside the array `b`.
                let (low, high) = unsafe {
                    (
                        _mm256_loadu_ps(b.as_ptr()),
                        _mm256_loadu_ps(b.as_ptr().add(HALF)),
                    )
                };
                for (sums, &factor) in sums.iter_mut().zip(a) {
                    let factor = _mm256_set1_ps(factor);
                    sums[0] = _mm256_fmadd_ps(factor, low, sums[0]);
                    sums[1] = _mm256_fmadd_ps(factor, high, sums[1]);
                }
            };
        }
        let (a_fours, a_last) = a.as_chunks::<ROWS>().0.as_chunks::<4>();
        for (a, b) in a_fours.iter().zip(b_parts) {
            // A prefetch never faults.
            _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
            _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(WIDE).cast());
            ahead = ahead.wrapping_add(4 * ROWS);
            let [a0, a1, a2, a3] = a;
            let [b0, b1, b2, b3] = b;
            add!(a0, b0);
            add!(a1, b1);
            add!(a2, b2);
            add!(a3, b3);
        }
        for (a, b) in a_last.iter().zip(b_last) {
            add!(a, b);
        }
        if whole {
            for (row, [mut low, mut high]) in sums.into_iter().enumerate() {
                // SAFETY: the whole tile lies, in both places, inside memory that the caller alone uses.
                unsafe {
                    if let Some((earlier, stride)) = corner.earlier {
                        let earlier = earlier.add(row * stride);
                        low = _mm256_add_ps(_mm256_loadu_ps(earlier), low);
                        high = _mm256_add_ps(_mm256_loadu_ps(earlier.add(HALF)), high);
                    }
                    let target = corner.target.add(row * corner.stride);
                    _mm256_storeu_ps(target, low);
                    _mm256_storeu_ps(target.add(HALF), high);
                }
            }
            continue;
        }
        let mut values = [[0.0; WIDE]; ROWS];
        for (values, sums) in values.iter_mut().zip(sums) {
            // SAFETY: both stores lie inside the array `values`.
            unsafe {
                _mm256_storeu_ps(values.as_mut_ptr(), sums[0]);
                _mm256_storeu_ps(values.as_mut_ptr().add(HALF), sums[1]);
            }
        }
        for (row, values) in values.iter().enumerate().take(corner.rows) {
            // SAFETY: the caller gives a strip whose rows and columns are its own.
            unsafe { corner.store(row, values) };
        }
    }
}
