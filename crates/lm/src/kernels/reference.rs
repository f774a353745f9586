//! The plain form of every kernel, one operation after another, for the tests to compare bits with.

use super::{K_BLOCK, LANES, Start, math};

/// Awkward but tame numbers of both signs, the same for the same seed.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = crate::random::Random::new("test numbers", seed, 0);
    (0..count)
        .map(|_| (random.unit_f64() * 4.0 - 2.0) as f32)
        .collect()
}

/// Rule 1: row-major a `[rows, depth]` · b `[depth, columns]`.
pub(crate) fn multiply(
    target: &mut [f32],
    start: Start,
    a: &[f32],
    b: &[f32],
    rows: usize,
    columns: usize,
    depth: usize,
) {
    for row in 0..rows {
        for column in 0..columns {
            let element = &mut target[row * columns + column];
            for first in (0..depth).step_by(K_BLOCK) {
                let mut chain = 0.0_f32;
                for k in first..depth.min(first + K_BLOCK) {
                    chain = a[row * depth + k].mul_add(b[k * columns + column], chain);
                }
                *element = if first == 0 && start == Start::Zero {
                    chain
                } else {
                    *element + chain
                };
            }
        }
    }
}

/// Rule 2.
pub(crate) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (index, &value) in values.iter().enumerate() {
        lanes[index % LANES] += f(value);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// Rule 3.
pub(crate) fn column_sums(values: &[f32], columns: usize, before: f32) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..columns)
        .map(|column| {
            let mut total = before;
            for first in (0..rows).step_by(K_BLOCK) {
                let mut block = 0.0;
                for row in first..rows.min(first + K_BLOCK) {
                    block += values[row * columns + column];
                }
                total += block;
            }
            total
        })
        .collect()
}

/// Softmax of `scale` × the first `visible` scores; zero beyond.
pub(crate) fn softmax(scores: &[f32], visible: usize, scale: f32) -> Vec<f32> {
    let largest = scores[..visible]
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores[..visible]
        .iter()
        .map(|score| math::exp((score - largest) * scale))
        .collect();
    let inverse = 1.0 / sum(&powers, |power| power);
    let mut result: Vec<f32> = powers.iter().map(|power| power * inverse).collect();
    result.resize(scores.len(), 0.0);
    result
}

/// Layer normalisation of one row: the result, the mean and the reciprocal deviation.
pub(crate) fn layer_norm(row: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> (Vec<f32>, f32, f32) {
    let count = row.len() as f32;
    let mean = sum(row, |value| value) / count;
    let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    let normed = row
        .iter()
        .zip(weight.iter().zip(bias))
        .map(|(x, (w, b))| (x - mean) * scale * w + b)
        .collect();
    (normed, mean, scale)
}

/// Root-mean-square normalisation of one row: the result and the reciprocal root.
pub(crate) fn rms_norm(row: &[f32], weight: &[f32], epsilon: f32) -> (Vec<f32>, f32) {
    let inverse = 1.0 / (sum(row, |value| value * value) / row.len() as f32 + epsilon).sqrt();
    (
        row.iter().zip(weight).map(|(x, w)| x * inverse * w).collect(),
        inverse,
    )
}

/// The gradient of a row's input, given that of its output.
pub(crate) fn rms_norm_backward(upper: &[f32], row: &[f32], weight: &[f32], inverse: f32) -> Vec<f32> {
    let products: Vec<f32> = (0..row.len())
        .map(|index| upper[index] * weight[index] * (row[index] * inverse))
        .collect();
    let mean = sum(&products, |value| value) / row.len() as f32;
    (0..row.len())
        .map(|index| inverse * (upper[index] * weight[index] - row[index] * inverse * mean))
        .collect()
}

/// One head's row turned by the angles of a position.
pub(crate) fn rotate(row: &[f32], frequencies: &[f64], factor: f64, position: usize, sign: f32) -> Vec<f32> {
    let half = frequencies.len();
    (0..2 * half)
        .map(|index| {
            let angle = position as f64 * frequencies[index % half];
            let cosine = (libm::cos(angle) * factor) as f32;
            let sine = (libm::sin(angle) * factor) as f32 * sign;
            if index < half {
                row[index] * cosine - row[index + half] * sine
            } else {
                row[index] * cosine + row[index - half] * sine
            }
        })
        .collect()
}
