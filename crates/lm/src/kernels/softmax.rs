//! Causal softmax of attention scores.

use super::instructions::vectorise;
use super::math;
use super::reduce::{maximum, sum, sum_pairs};

/// Turns scores into probabilities in place: row r of `[rows, columns]` sees the first `first + r + 1` columns; what
/// it does not see becomes 0. `scale` multiplies the scores.
pub(crate) fn causal_softmax(scores: &mut [f32], columns: usize, first: usize, scale: f32) {
    vectorise!({
        for (row, scores) in scores.chunks_exact_mut(columns).enumerate() {
            let (seen, hidden) = scores.split_at_mut(first + row + 1);
            let largest = maximum(seen);
            for score in seen.iter_mut() {
                *score = math::exp((*score - largest) * scale);
            }
            let inverse = 1.0 / sum(seen, |power| power);
            for power in seen {
                *power *= inverse;
            }
            hidden.fill(0.0);
        }
    });
}

/// Turns the gradients of probabilities into those of the unscaled scores, in place, row by row:
/// p ⊙ (dp − Σ p·dp) × scale. Hidden columns have p = 0 and get 0.
pub(crate) fn softmax_backward(gradients: &mut [f32], probabilities: &[f32], columns: usize, scale: f32) {
    vectorise!({
        for (gradients, probabilities) in gradients
            .chunks_exact_mut(columns)
            .zip(probabilities.chunks_exact(columns))
        {
            let mean = sum_pairs(gradients, probabilities, |gradient, probability| {
                gradient * probability
            });
            for (gradient, probability) in gradients.iter_mut().zip(probabilities) {
                *gradient = probability * (*gradient - mean) * scale;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn has_the_bits_of_the_reference_and_hides_the_future() {
        let (rows, columns, first) = (5, 40, 20);
        let scores = reference::numbers(rows * columns, 1);
        let mut result = scores.clone();
        causal_softmax(&mut result, columns, first, 0.25);
        for row in 0..rows {
            let range = row * columns..(row + 1) * columns;
            let expected = reference::softmax(&scores[range.clone()], first + row + 1, 0.25);
            assert_eq!(result[range], expected);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_what_it_cannot_see() {
        let scores = reference::numbers(10, 2);
        let mut alone = scores[..7].to_vec();
        causal_softmax(&mut alone, 7, 6, 1.0);
        let mut among = scores;
        causal_softmax(&mut among, 10, 6, 1.0);
        assert_eq!(alone, among[..7]);
    }
}
