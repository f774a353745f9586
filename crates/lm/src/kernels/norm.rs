//! Layer normalisation (Ba et al., arXiv 1607.06450), forward and backward.

use rayon::prelude::*;

use super::instructions::vectorise;
use super::reduce::{add_column_sums, sum, sum_pairs};

/// Rows that one task takes.
const ROWS: usize = 32;

/// Mean and reciprocal deviation of a row.
pub(crate) type RowScale = [f32; 2];

/// output = (input − mean) / deviation ⊙ weight + bias for each row of `[rows, width]`, width = weight.len().
pub(crate) fn layer_norm(
    output: &mut [f32],
    scales: &mut [RowScale],
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) {
    let width = weight.len();
    let rows = output
        .par_chunks_mut(ROWS * width)
        .zip(input.par_chunks(ROWS * width));
    rows.zip(scales.par_chunks_mut(ROWS))
        .for_each(|((output, input), scales)| {
            vectorise!({
                for ((output, input), scale) in output
                    .chunks_exact_mut(width)
                    .zip(input.chunks_exact(width))
                    .zip(scales)
                {
                    *scale = row_scale(input, epsilon);
                    let [mean, inverse] = *scale;
                    for (((y, x), w), b) in output.iter_mut().zip(input).zip(weight).zip(bias) {
                        *y = (x - mean) * inverse * w + b;
                    }
                }
            });
        });
}

/// Adds the gradient of the input to `gradient`, given that of the output.
pub(crate) fn layer_norm_backward(
    gradient: &mut [f32],
    output_gradient: &[f32],
    input: &[f32],
    scales: &[RowScale],
    weight: &[f32],
) {
    let width = weight.len();
    let rows = gradient
        .par_chunks_mut(ROWS * width)
        .zip(output_gradient.par_chunks(ROWS * width));
    rows.zip(input.par_chunks(ROWS * width))
        .zip(scales.par_chunks(ROWS))
        .for_each(|(((gradient, output_gradient), input), scales)| {
            vectorise!({
                let rows = gradient
                    .chunks_exact_mut(width)
                    .zip(output_gradient.chunks_exact(width));
                for (((gradient, upper), input), scale) in rows.zip(input.chunks_exact(width)).zip(scales) {
                    row_backward(gradient, upper, input, *scale, weight);
                }
            });
        });
}

/// Adds the gradients of weight and bias.
pub(crate) fn layer_norm_parameters_backward(
    weight_gradient: &mut [f32],
    bias_gradient: &mut [f32],
    output_gradient: &[f32],
    input: &[f32],
    scales: &[RowScale],
) {
    let width = weight_gradient.len();
    add_column_sums(weight_gradient, scales.len(), |row, first, sums| {
        let [mean, inverse] = scales[row];
        let start = row * width + first;
        for ((sum, upper), x) in sums
            .iter_mut()
            .zip(&output_gradient[start..])
            .zip(&input[start..])
        {
            *sum += upper * ((x - mean) * inverse);
        }
    });
    add_column_sums(bias_gradient, scales.len(), |row, first, sums| {
        for (sum, upper) in sums.iter_mut().zip(&output_gradient[row * width + first..]) {
            *sum += upper;
        }
    });
}

#[inline(always)]
fn row_scale(row: &[f32], epsilon: f32) -> RowScale {
    let count = row.len() as f32;
    let mean = sum(row, |value| value) / count;
    let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
    [mean, 1.0 / (variance + epsilon).sqrt()]
}

/// With n the normalised row and g = upper ⊙ weight: dx = (g − mean(g) − n·mean(g ⊙ n)) / deviation.
#[inline(always)]
fn row_backward(
    gradient: &mut [f32],
    upper: &[f32],
    input: &[f32],
    [mean, inverse]: RowScale,
    weight: &[f32],
) {
    let count = gradient.len() as f32;
    // Both sums over the same g; the second needs three rows, so g ⊙ n is kept in the lanes' order by hand.
    let mean_of_gradient = sum_pairs(upper, weight, |upper, weight| upper * weight) / count;
    let mut lanes = [0.0; super::LANES];
    for ((upper, weight), input) in upper
        .chunks(super::LANES)
        .zip(weight.chunks(super::LANES))
        .zip(input.chunks(super::LANES))
    {
        for (((lane, u), w), x) in lanes.iter_mut().zip(upper).zip(weight).zip(input) {
            *lane += u * w * ((x - mean) * inverse);
        }
    }
    let mean_of_product = super::reduce::fold(lanes) / count;
    for (((d, u), w), x) in gradient.iter_mut().zip(upper).zip(weight).zip(input) {
        let normed = (x - mean) * inverse;
        *d += inverse * (u * w - mean_of_gradient - normed * mean_of_product);
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn has_the_bits_of_the_reference() {
        for width in [1, 5, 16, 33] {
            let rows = 70;
            let input = reference::numbers(rows * width, 1);
            let (weight, bias) = (reference::numbers(width, 2), reference::numbers(width, 3));
            let (mut output, mut scales) = (vec![0.0; rows * width], vec![[0.0; 2]; rows]);
            layer_norm(&mut output, &mut scales, &input, &weight, &bias, 1e-5);
            let made = output.chunks(width).zip(input.chunks(width)).zip(scales);
            for ((output, input), scale) in made {
                let (expected, mean, inverse) = reference::layer_norm(input, &weight, &bias, 1e-5);
                assert_eq!(output, expected);
                assert_eq!(scale, [mean, inverse]);
            }
        }
    }
}
