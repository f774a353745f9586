//! The tied head and the loss, a fixed number of rows at a time: the logits of a whole batch are never held.

use crate::kernels::loss::{Score, score, score_backward};
use crate::kernels::memory::zeros;
use crate::kernels::{K_BLOCK, Matrix, Start, Work};
use crate::layout::Linear;
use crate::weights::Weights;

/// Rows whose logits are held together: whole blocks of k of the embedding's gradient. Each time the whole embedding is
/// copied into panels, so that fewer rows cost speed; more cost memory.
pub(crate) const HEAD_ROWS: usize = 2 * K_BLOCK;

/// Scores each row of `normed` `[rows, width]` against its target with the head.
pub(crate) fn score_rows(
    scores: &mut [Score],
    normed: &[f32],
    targets: &[u32],
    weights: Weights<'_>,
    head: &Linear,
    logits: &mut Vec<f32>,
) {
    let chunks = normed
        .chunks(HEAD_ROWS * head.inner)
        .zip(targets.chunks(HEAD_ROWS));
    for ((normed, targets), scores) in chunks.zip(scores.chunks_mut(HEAD_ROWS)) {
        let logits = compute(logits, normed, weights, head);
        score(logits, head.outer, targets, scores);
    }
}

/// As [`score_rows`], with weights in f32; also stores the gradient of `scale` × Σ nats for `normed`, and adds the head's.
#[allow(clippy::too_many_arguments)]
pub(crate) fn score_rows_backward(
    scores: &mut [Score],
    normed: &[f32],
    targets: &[u32],
    weights: Weights<'_>,
    head: &Linear,
    scale: f32,
    normed_gradient: &mut [f32],
    head_gradient: &mut [f32],
    logits: &mut Vec<f32>,
) {
    let (vocabulary, width) = (head.outer, head.inner);
    let matrix = Matrix::new(weights.vector(&head.weight), vocabulary, width);
    let chunk = HEAD_ROWS * width;
    let chunks = normed
        .chunks(chunk)
        .zip(normed_gradient.chunks_mut(chunk))
        .zip(targets.chunks(HEAD_ROWS));
    for (((normed, gradient), targets), scores) in chunks.zip(scores.chunks_mut(HEAD_ROWS)) {
        let logits = compute(logits, normed, weights, head);
        score_backward(logits, vocabulary, targets, scores, scale);
        let rows = targets.len();
        let slopes = Matrix::new(logits, rows, vocabulary);
        let arithmetic = weights.arithmetic;
        arithmetic.multiply(gradient, Start::Zero, slopes, matrix, Work::Shared);
        let normed = Matrix::new(normed, rows, width);
        arithmetic.multiply(
            head_gradient,
            Start::Keep,
            slopes.transposed(),
            normed,
            Work::Shared,
        );
    }
}

/// The logits of some rows, at the beginning of a buffer that grows where it must.
fn compute<'a>(
    logits: &'a mut Vec<f32>,
    normed: &[f32],
    weights: Weights<'_>,
    head: &Linear,
) -> &'a mut [f32] {
    let count = normed.len() / head.inner * head.outer;
    if logits.len() < count {
        *logits = zeros(count);
    }
    let logits = &mut logits[..count];
    weights.project(logits, normed, head);
    logits
}
