//! Sums in a fixed order.

use rayon::prelude::*;

use super::K_BLOCK;
use super::instructions::vectorise;

/// Virtual lanes of a sum along a row; a multiple of every vector width in use.
pub(crate) const LANES: usize = 16;

/// Numbers in one piece of a sum over a whole allocation.
const PIECE: usize = 4096;
/// Columns that one task sums over all rows.
const STRIP: usize = 32;

/// Folds lanes in halves: 16 to 8 to 4 to 2 to 1.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Σ f(a\[j\]) with lanes.
#[inline(always)]
pub(crate) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += f(chunk[lane]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f(value);
    }
    fold(lanes)
}

/// Σ f(a\[j\], b\[j\]) with lanes, over two rows of equal length.
#[inline(always)]
pub(crate) fn sum_pairs(one: &[f32], other: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (ones, rest_of_one) = one.as_chunks::<LANES>();
    let (others, rest_of_other) = other.as_chunks::<LANES>();
    for (a, b) in ones.iter().zip(others) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(rest_of_one.iter().zip(rest_of_other)) {
        *lane += f(a, b);
    }
    fold(lanes)
}

/// The largest value, -∞ for none. NaN is passed over.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    rest.iter()
        .fold(lanes.into_iter().fold(f32::NEG_INFINITY, larger), |a, &b| {
            larger(a, b)
        })
}

/// Adds to `totals[c]` the sum over rows of `value(row, c)` of a matrix `[rows, columns]`; rule 3 of the module.
///
/// `add_row(row, first, sums)` adds one row's values of the columns from `first` on into `sums`.
pub(crate) fn add_column_sums(
    totals: &mut [f32],
    rows: usize,
    add_row: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    totals
        .par_chunks_mut(STRIP)
        .enumerate()
        .for_each(|(strip, totals)| {
            vectorise!({
                for start in (0..rows).step_by(K_BLOCK) {
                    let mut sums = [0.0; STRIP];
                    let sums = &mut sums[..totals.len()];
                    for row in start..rows.min(start + K_BLOCK) {
                        add_row(row, strip * STRIP, sums);
                    }
                    for (total, sum) in totals.iter_mut().zip(sums) {
                        *total += *sum;
                    }
                }
            });
        });
}

/// Σ v² in f64 over pieces of fixed size.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    let pieces: Vec<f64> = values
        .par_chunks(PIECE)
        .map(|piece| {
            vectorise!({
                let mut lanes = [0.0_f64; LANES];
                for chunk in piece.chunks(LANES) {
                    for (lane, &value) in lanes.iter_mut().zip(chunk) {
                        *lane += f64::from(value) * f64::from(value);
                    }
                }
                lanes.into_iter().sum()
            })
        })
        .collect();
    pieces.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn sums_have_the_bits_of_the_reference() {
        for length in [0, 1, 7, 15, 16, 17, 31, 32, 33, 100, 257] {
            let values = reference::numbers(length, 1);
            let others = reference::numbers(length, 2);
            assert_eq!(
                sum(&values, |v| v * v).to_bits(),
                reference::sum(&values, |v| v * v).to_bits()
            );
            let products: Vec<f32> = values.iter().zip(&others).map(|(a, b)| a * b).collect();
            let pairs = sum_pairs(&values, &others, |a, b| a * b);
            assert_eq!(pairs.to_bits(), reference::sum(&products, |v| v).to_bits());
            assert_eq!(
                maximum(&values),
                values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
        }
    }

    #[test]
    fn column_sums_add_block_sums_in_order() {
        let (rows, columns) = (600, 45);
        let values = reference::numbers(rows * columns, 3);
        let mut totals = vec![1.0; columns];
        add_column_sums(&mut totals, rows, |row, first, sums| {
            for (sum, value) in sums.iter_mut().zip(&values[row * columns + first..]) {
                *sum += value;
            }
        });
        let expected = reference::column_sums(&values, columns, 1.0);
        assert_eq!(totals, expected);
    }

    #[test]
    fn the_sum_of_squares_is_close_to_the_plain_one() {
        let values = reference::numbers(10_001, 4);
        let plain: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        assert!((sum_of_squares(&values) - plain).abs() < 1e-9 * plain);
    }
}
