//! Root-mean-square normalisation (Zhang and Sennrich, arXiv 1910.07467), forward and backward.

use rayon::prelude::*;

use super::LANES;
use super::instructions::vectorise;
use super::norm::RowScale;
use super::reduce::{add_column_sums, fold, sum};

/// Numbers that one task takes, in whole rows.
const PIECE: usize = 1 << 14;

fn rows_per_task(width: usize) -> usize {
    (PIECE / width).max(1)
}

/// output = input / √(mean square + epsilon) ⊙ weight for each row of `[rows, width]`, width = weight.len(). Of each
/// scale the second number is the reciprocal root; the first, a mean elsewhere, is 0.
pub(crate) fn rms_norm(
    output: &mut [f32],
    scales: &mut [RowScale],
    input: &[f32],
    weight: &[f32],
    epsilon: f32,
) {
    let width = weight.len();
    let rows = rows_per_task(width);
    let pieces = output
        .par_chunks_mut(rows * width)
        .zip(input.par_chunks(rows * width));
    pieces
        .zip(scales.par_chunks_mut(rows))
        .for_each(|((output, input), scales)| {
            vectorise!({
                let rows = output.chunks_exact_mut(width).zip(input.chunks_exact(width));
                for ((output, input), scale) in rows.zip(scales) {
                    let inverse = 1.0 / (sum(input, |x| x * x) / width as f32 + epsilon).sqrt();
                    *scale = [0.0, inverse];
                    for ((y, x), w) in output.iter_mut().zip(input).zip(weight) {
                        *y = x * inverse * w;
                    }
                }
            });
        });
}

/// Adds the gradient of the input to `gradient`, given that of the output.
pub(crate) fn rms_norm_backward(
    gradient: &mut [f32],
    output_gradient: &[f32],
    input: &[f32],
    scales: &[RowScale],
    weight: &[f32],
) {
    let width = weight.len();
    let rows = rows_per_task(width);
    let pieces = gradient
        .par_chunks_mut(rows * width)
        .zip(output_gradient.par_chunks(rows * width))
        .zip(input.par_chunks(rows * width));
    pieces
        .zip(scales.par_chunks(rows))
        .for_each(|(((gradient, upper), input), scales)| {
            vectorise!({
                let rows = gradient
                    .chunks_exact_mut(width)
                    .zip(upper.chunks_exact(width))
                    .zip(input.chunks_exact(width));
                for (((gradient, upper), input), &[_, inverse]) in rows.zip(scales) {
                    let mean = mean_of_product(upper, weight, input, inverse);
                    for (((d, u), w), x) in gradient.iter_mut().zip(upper).zip(weight).zip(input) {
                        *d += slope(*u, *w, *x, inverse, mean);
                    }
                }
            });
        });
}

/// As [`rms_norm_backward`], in place: `gradient` is that of the output before and that of the input after.
pub(crate) fn rms_norm_backward_in_place(
    gradient: &mut [f32],
    input: &[f32],
    scales: &[RowScale],
    weight: &[f32],
) {
    let width = weight.len();
    let rows = rows_per_task(width);
    let pieces = gradient
        .par_chunks_mut(rows * width)
        .zip(input.par_chunks(rows * width));
    pieces
        .zip(scales.par_chunks(rows))
        .for_each(|((gradient, input), scales)| {
            vectorise!({
                let rows = gradient.chunks_exact_mut(width).zip(input.chunks_exact(width));
                for ((gradient, input), &[_, inverse]) in rows.zip(scales) {
                    let mean = mean_of_product(gradient, weight, input, inverse);
                    for ((d, w), x) in gradient.iter_mut().zip(weight).zip(input) {
                        *d = slope(*d, *w, *x, inverse, mean);
                    }
                }
            });
        });
}

/// Adds the gradient of the weight.
pub(crate) fn rms_norm_weight_backward(
    weight_gradient: &mut [f32],
    output_gradient: &[f32],
    input: &[f32],
    scales: &[RowScale],
) {
    let width = weight_gradient.len();
    add_column_sums(weight_gradient, scales.len(), |row, first, sums| {
        let [_, inverse] = scales[row];
        let start = row * width + first;
        let rows = output_gradient[start..].iter().zip(&input[start..]);
        for (sum, (upper, x)) in sums.iter_mut().zip(rows) {
            *sum += upper * (x * inverse);
        }
    });
}

/// With n the normalised row and g = upper ⊙ weight: dx = (g − n·mean(g ⊙ n)) / root. This is mean(g ⊙ n).
#[inline(always)]
fn mean_of_product(upper: &[f32], weight: &[f32], input: &[f32], inverse: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let rows = upper
        .chunks(LANES)
        .zip(weight.chunks(LANES))
        .zip(input.chunks(LANES));
    for ((upper, weight), input) in rows {
        for (((lane, u), w), x) in lanes.iter_mut().zip(upper).zip(weight).zip(input) {
            *lane += u * w * (x * inverse);
        }
    }
    fold(lanes) / upper.len() as f32
}

#[inline(always)]
fn slope(upper: f32, weight: f32, input: f32, inverse: f32, mean: f32) -> f32 {
    inverse * (upper * weight - input * inverse * mean)
}

#[cfg(test)]
mod tests {
    use super::super::instructions::tests::with_each;
    use super::super::reference;
    use super::*;
    use crate::threads;

    /// Rows and widths: one of each, primes, and more than one task takes.
    const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 33), (70, 5), (7, 16), (601, 37), (3, 20_001)];

    fn check(rows: usize, width: usize) {
        let (input, upper) = (
            reference::numbers(rows * width, 1),
            reference::numbers(rows * width, 2),
        );
        let (weight, before) = (reference::numbers(width, 3), reference::numbers(rows * width, 4));
        let (mut output, mut scales) = (vec![0.0; rows * width], vec![[0.0; 2]; rows]);
        rms_norm(&mut output, &mut scales, &input, &weight, 1e-5);
        let (mut added, mut in_place) = (before.clone(), upper.clone());
        rms_norm_backward(&mut added, &upper, &input, &scales, &weight);
        rms_norm_backward_in_place(&mut in_place, &input, &scales, &weight);
        let mut weight_terms = vec![0.0; rows * width];
        for (row, &scale) in scales.iter().enumerate() {
            let range = row * width..(row + 1) * width;
            let (expected, inverse) = reference::rms_norm(&input[range.clone()], &weight, 1e-5);
            assert_eq!(output[range.clone()], expected);
            assert_eq!(scale, [0.0, inverse]);
            let slopes =
                reference::rms_norm_backward(&upper[range.clone()], &input[range.clone()], &weight, inverse);
            assert_eq!(in_place[range.clone()], slopes);
            for (index, slope) in range.zip(slopes) {
                assert_eq!(added[index], before[index] + slope);
                weight_terms[index] = upper[index] * (input[index] * inverse);
            }
        }
        let mut gradient = vec![0.5; width];
        rms_norm_weight_backward(&mut gradient, &upper, &input, &scales);
        assert_eq!(gradient, reference::column_sums(&weight_terms, width, 0.5));
    }

    #[test]
    fn has_the_bits_of_the_reference_for_every_instruction_set_and_number_of_threads() {
        with_each(|_| {
            for count in [1, 3] {
                threads::pool(count)
                    .unwrap()
                    .install(|| SHAPES.iter().for_each(|&(rows, width)| check(rows, width)));
            }
        });
    }
}
