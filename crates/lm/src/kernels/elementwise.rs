//! Kernels that treat every element by itself.

use rayon::prelude::*;

use super::instructions::vectorise;
use super::math;

/// Elements of one task, in whole rows.
const PIECE: usize = 8192;

fn rows_per_task(width: usize) -> usize {
    (PIECE / width).max(1)
}

/// Adds the bias, if any, to each row of `sums` `[rows, width]` and stores the GELU of that in `activated`.
pub(crate) fn add_bias_gelu(sums: &mut [f32], activated: &mut [f32], bias: Option<&[f32]>, width: usize) {
    let piece = rows_per_task(width) * width;
    sums.par_chunks_mut(piece)
        .zip(activated.par_chunks_mut(piece))
        .for_each(|(sums, activated)| {
            vectorise!({
                if let Some(bias) = bias {
                    for row in sums.chunks_exact_mut(width) {
                        row.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
                    }
                }
                for (sum, active) in sums.iter().zip(activated) {
                    *active = math::gelu(*sum);
                }
            });
        });
}

/// Adds the bias, if any, to each row of `sums` `[rows, width]` and puts the GELU of that in its place: where nothing reads
/// the sums again, half of what [`add_bias_gelu`] moves need not be moved.
pub(crate) fn add_bias_gelu_in_place(sums: &mut [f32], bias: Option<&[f32]>, width: usize) {
    sums.par_chunks_mut(rows_per_task(width) * width)
        .for_each(|sums| {
            vectorise!(match bias {
                Some(bias) => {
                    for row in sums.chunks_exact_mut(width) {
                        for (sum, bias) in row.iter_mut().zip(bias) {
                            *sum = math::gelu(*sum + bias);
                        }
                    }
                }
                None => {
                    for sum in sums.iter_mut() {
                        *sum = math::gelu(*sum);
                    }
                }
            });
        });
}

/// gradient ⊙= GELU'(sums).
pub(crate) fn gelu_backward(gradient: &mut [f32], sums: &[f32]) {
    gradient
        .par_chunks_mut(PIECE)
        .zip(sums.par_chunks(PIECE))
        .for_each(|(gradient, sums)| {
            vectorise!({
                for (gradient, &sum) in gradient.iter_mut().zip(sums) {
                    *gradient *= math::gelu_slope(sum);
                }
            });
        });
}

/// output = residual + (sums + bias), row by row.
pub(crate) fn add_residual(output: &mut [f32], residual: &[f32], sums: &[f32], bias: &[f32]) {
    let width = bias.len();
    let piece = rows_per_task(width) * width;
    let rows = output.par_chunks_mut(piece).zip(residual.par_chunks(piece));
    rows.zip(sums.par_chunks(piece))
        .for_each(|((output, residual), sums)| {
            vectorise!({
                let rows = output.chunks_exact_mut(width).zip(residual.chunks_exact(width));
                for ((output, residual), sums) in rows.zip(sums.chunks_exact(width)) {
                    for (((y, x), sum), bias) in output.iter_mut().zip(residual).zip(sums).zip(bias) {
                        *y = x + (sum + bias);
                    }
                }
            });
        });
}

/// Adds the row of its position to each row of sequences of `length`.
pub(crate) fn add_positions(stream: &mut [f32], positions: &[f32], width: usize, length: usize) {
    stream
        .par_chunks_mut(width)
        .enumerate()
        .with_min_len(32)
        .for_each(|(index, row)| {
            for (y, p) in row.iter_mut().zip(&positions[(index % length) * width..]) {
                *y += p;
            }
        });
}

/// What AdamW (Loshchilov and Hutter, arXiv 1711.05101) needs at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    /// 1 − learning rate × weight decay.
    pub keep: f32,
    /// Learning rate / (1 − beta1^step).
    pub rate: f32,
    /// √(1 − beta2^step).
    pub second_correction: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// What the gradient is multiplied with: the clipping.
    pub gradient_scale: f32,
}

/// One AdamW update of a tensor.
pub(crate) fn adam(
    parameters: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradients: &[f32],
    step: AdamStep,
) {
    let pieces = parameters.par_chunks_mut(PIECE).zip(first.par_chunks_mut(PIECE));
    pieces
        .zip(second.par_chunks_mut(PIECE))
        .zip(gradients.par_chunks(PIECE))
        .for_each(|(((parameters, first), second), gradients)| {
            vectorise!({
                for (((p, m), v), g) in parameters.iter_mut().zip(first).zip(second).zip(gradients) {
                    let gradient = g * step.gradient_scale;
                    *m = step.beta1 * *m + (1.0 - step.beta1) * gradient;
                    *v = step.beta2 * *v + (1.0 - step.beta2) * (gradient * gradient);
                    let deviation = v.sqrt() / step.second_correction + step.epsilon;
                    *p = *p * step.keep - step.rate * (*m / deviation);
                }
            });
        });
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn bias_gelu_and_residual_have_the_bits_of_the_plain_loops() {
        let (rows, width) = (37, 301);
        let sums = reference::numbers(rows * width, 1);
        let bias = reference::numbers(width, 2);
        let residual = reference::numbers(rows * width, 3);
        let (mut with_bias, mut activated, mut output) = (sums.clone(), sums.clone(), sums.clone());
        add_bias_gelu(&mut with_bias, &mut activated, Some(&bias), width);
        let mut again = vec![0.0; rows * width];
        add_bias_gelu(&mut with_bias, &mut again, None, width);
        assert_eq!(again, activated);
        let mut in_place = sums.clone();
        add_bias_gelu_in_place(&mut in_place, Some(&bias), width);
        assert_eq!(in_place, activated);
        let mut in_place = with_bias.clone();
        add_bias_gelu_in_place(&mut in_place, None, width);
        assert_eq!(in_place, activated);
        add_residual(&mut output, &residual, &sums, &bias);
        let mut slope = vec![1.0; rows * width];
        gelu_backward(&mut slope, &with_bias);
        for index in 0..rows * width {
            let sum = sums[index] + bias[index % width];
            assert_eq!(with_bias[index].to_bits(), sum.to_bits());
            assert_eq!(activated[index].to_bits(), math::gelu(sum).to_bits());
            assert_eq!(output[index].to_bits(), (residual[index] + sum).to_bits());
            assert_eq!(slope[index].to_bits(), math::gelu_slope(sum).to_bits());
        }
    }

    #[test]
    fn adam_moves_against_the_gradient_by_the_learning_rate_at_first() {
        let step = AdamStep {
            keep: 1.0,
            rate: 0.1 / (1.0 - 0.9),
            second_correction: (1.0_f32 - 0.99).sqrt(),
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 0.0,
            gradient_scale: 1.0,
        };
        let (mut parameters, mut first, mut second) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
        adam(&mut parameters, &mut first, &mut second, &[3.0, -0.2], step);
        assert!(
            (parameters[0] - 0.9).abs() < 1e-5 && (parameters[1] - 1.1).abs() < 1e-5,
            "{parameters:?}"
        );
    }
}
