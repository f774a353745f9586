//! Softmax and cross-entropy over the vocabulary, row by row.

use rayon::prelude::*;

use super::instructions::vectorise;
use super::math;
use super::reduce::{maximum, sum};

/// What one prediction was worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// −ln of the probability given to the right token.
    pub nats: f64,
    /// Whether the right token had the largest logit; of equal ones the lowest index counts.
    pub correct: bool,
}

/// Scores each row of `logits` `[rows, vocabulary]` against its target.
pub(crate) fn score(logits: &[f32], vocabulary: usize, targets: &[u32], scores: &mut [Score]) {
    let rows = logits.par_chunks_exact(vocabulary).zip(targets).zip(scores);
    rows.for_each(|((logits, &target), score)| {
        *score = vectorise!({
            let largest = maximum(logits);
            let total = sum(
                logits,
                #[inline(always)]
                |logit| math::exp(logit - largest),
            );
            let target = target as usize;
            let correct = is_first(logits, target, largest);
            finish(logits[target], largest, total, correct)
        });
    });
}

/// As [`score`], and turns the logits into `scale` × the gradient of the loss: probability − (1 at the target).
pub(crate) fn score_backward(
    logits: &mut [f32],
    vocabulary: usize,
    targets: &[u32],
    scores: &mut [Score],
    scale: f32,
) {
    let rows = logits.par_chunks_exact_mut(vocabulary).zip(targets).zip(scores);
    rows.for_each(|((logits, &target), score)| {
        let target = target as usize;
        *score = vectorise!({
            let largest = maximum(logits);
            let before = logits[target];
            let correct = is_first(logits, target, largest);
            for logit in logits.iter_mut() {
                *logit = math::exp(*logit - largest);
            }
            let total = sum(
                logits,
                #[inline(always)]
                |power| power,
            );
            let factor = scale / total;
            for power in logits.iter_mut() {
                *power *= factor;
            }
            logits[target] -= scale;
            finish(before, largest, total, correct)
        });
    });
}

/// Whether the target's logit is the first of the largest.
#[inline(always)]
fn is_first(logits: &[f32], target: usize, largest: f32) -> bool {
    logits[target] == largest && logits[..target].iter().all(|&logit| logit < largest)
}

#[inline(always)]
fn finish(logit: f32, largest: f32, total: f32, correct: bool) -> Score {
    let nats = libm::log(f64::from(total)) + (f64::from(largest) - f64::from(logit));
    Score { nats, correct }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn both_forms_give_the_same_scores_and_the_gradient_of_the_loss() {
        let (rows, vocabulary) = (9, 53);
        let logits = reference::numbers(rows * vocabulary, 1);
        let targets: Vec<u32> = (0..rows as u32).map(|row| row * 5).collect();
        let (mut scores, mut again) = (vec![Score::default(); rows], vec![Score::default(); rows]);
        score(&logits, vocabulary, &targets, &mut scores);
        let mut gradient = logits.clone();
        score_backward(&mut gradient, vocabulary, &targets, &mut again, 0.5);
        assert_eq!(scores, again);
        for row in 0..rows {
            let logits = &logits[row * vocabulary..(row + 1) * vocabulary];
            let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            let target = targets[row] as usize;
            assert!((scores[row].nats - (total.ln() - f64::from(logits[target]))).abs() < 1e-6);
            for (index, &logit) in logits.iter().enumerate() {
                let probability = f64::from(logit).exp() / total;
                let expected = 0.5 * (probability - f64::from(u8::from(index == target)));
                assert!((f64::from(gradient[row * vocabulary + index]) - expected).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn of_equal_logits_the_lowest_index_is_the_prediction() {
        let mut scores = [Score::default(); 2];
        score(&[1.0, 3.0, 3.0, 1.0, 3.0, 3.0], 3, &[1, 2], &mut scores);
        assert_eq!(scores.map(|score| score.correct), [true, false]);
    }
}
