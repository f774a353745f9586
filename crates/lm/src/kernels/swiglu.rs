//! The gated MLP's activation (Shazeer, arXiv 2002.05202): the SiLU of a gate times a value.

use rayon::prelude::*;

use super::instructions::vectorise;
use super::math;

/// Numbers that one task takes, in whole rows.
const PIECE: usize = 8192;

fn rows_per_task(width: usize) -> usize {
    (PIECE / width).max(1)
}

/// Adds the bias, where there is one, to each row of `sums` `[rows, 2 × width]`, whose first half is gates and second
/// half values, and stores silu(gate) ⊙ value in `activated` `[rows, width]`.
pub(crate) fn add_bias_swiglu(sums: &mut [f32], activated: &mut [f32], bias: Option<&[f32]>, width: usize) {
    let rows = rows_per_task(width);
    sums.par_chunks_mut(2 * rows * width)
        .zip(activated.par_chunks_mut(rows * width))
        .for_each(|(sums, activated)| {
            vectorise!({
                let rows = sums
                    .chunks_exact_mut(2 * width)
                    .zip(activated.chunks_exact_mut(width));
                for (sums, activated) in rows {
                    if let Some(bias) = bias {
                        for (sum, bias) in sums.iter_mut().zip(bias) {
                            *sum += bias;
                        }
                    }
                    let (gates, values) = sums.split_at(width);
                    for ((active, &gate), value) in activated.iter_mut().zip(gates).zip(values) {
                        *active = silu(gate) * value;
                    }
                }
            });
        });
}

/// Stores in `gradient` `[rows, 2 × width]` that of `sums`, given that of what was activated, `[rows, width]`.
pub(crate) fn swiglu_backward(gradient: &mut [f32], output_gradient: &[f32], sums: &[f32], width: usize) {
    let rows = rows_per_task(width);
    gradient
        .par_chunks_mut(2 * rows * width)
        .zip(output_gradient.par_chunks(rows * width))
        .zip(sums.par_chunks(2 * rows * width))
        .for_each(|((gradient, upper), sums)| {
            vectorise!({
                let rows = gradient
                    .chunks_exact_mut(2 * width)
                    .zip(upper.chunks_exact(width))
                    .zip(sums.chunks_exact(2 * width));
                for ((gradient, upper), sums) in rows {
                    let (gate_gradient, value_gradient) = gradient.split_at_mut(width);
                    let (gates, values) = sums.split_at(width);
                    let targets = gate_gradient.iter_mut().zip(value_gradient);
                    for (((dg, dv), u), (&gate, value)) in targets.zip(upper).zip(gates.iter().zip(values)) {
                        *dg = u * value * silu_slope(gate);
                        *dv = u * silu(gate);
                    }
                }
            });
        });
}

/// x · sigmoid(x) (Elfwing et al., arXiv 1702.03118).
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x * math::sigmoid(x)
}

/// The derivative of [`silu`].
#[inline(always)]
pub(crate) fn silu_slope(x: f32) -> f32 {
    let gate = math::sigmoid(x);
    gate + x * (gate * (1.0 - gate))
}

#[cfg(test)]
mod tests {
    use super::super::instructions::tests::with_each;
    use super::super::reference;
    use super::*;
    use crate::threads;

    fn check(rows: usize, width: usize, bias: Option<&[f32]>) {
        let before = reference::numbers(rows * 2 * width, 1);
        let upper = reference::numbers(rows * width, 2);
        let (mut sums, mut activated) = (before.clone(), vec![0.0; rows * width]);
        add_bias_swiglu(&mut sums, &mut activated, bias, width);
        let mut gradient = vec![0.0; rows * 2 * width];
        swiglu_backward(&mut gradient, &upper, &sums, width);
        for row in 0..rows {
            for column in 0..width {
                let (at, index) = (row * 2 * width + column, row * width + column);
                let bias = |column: usize| bias.map_or(0.0, |bias| bias[column]);
                let (gate, value) = (
                    before[at] + bias(column),
                    before[at + width] + bias(column + width),
                );
                assert_eq!([sums[at], sums[at + width]], [gate, value]);
                assert_eq!(activated[index], silu(gate) * value);
                assert_eq!(gradient[at], upper[index] * value * silu_slope(gate));
                assert_eq!(gradient[at + width], upper[index] * silu(gate));
            }
        }
    }

    #[test]
    fn has_the_bits_of_the_plain_loops_at_odd_shapes() {
        let bias = reference::numbers(2 * 9000, 3);
        with_each(|_| {
            for (count, rows, width) in [(1, 1, 1), (2, 37, 301), (8, 131, 17), (3, 2, 9000)] {
                threads::pool(count).unwrap().install(|| {
                    check(rows, width, None);
                    check(rows, width, Some(&bias[..2 * width]));
                });
            }
        });
    }

    #[test]
    fn silu_and_its_slope_are_those_of_their_definition() {
        let expected = |x: f64| x / (1.0 + (-x).exp());
        for step in -400..=400 {
            let x = step as f32 / 40.0;
            let wide = f64::from(x);
            assert!((f64::from(silu(x)) - expected(wide)).abs() < 2e-6, "silu({x})");
            let slope = (expected(wide + 1e-5) - expected(wide - 1e-5)) / 2e-5;
            assert!((f64::from(silu_slope(x)) - slope).abs() < 2e-6, "slope({x})");
        }
        assert!(silu(-1e30).abs() < 1e-6);
        assert_eq!(silu(1e30), 1e30);
    }
}
