//! The tied head and the loss, a fixed number of rows at a time: the logits of a whole batch are never held.

use crate::kernels::loss::{Score, score, score_backward};
use crate::kernels::memory::zeros;
use crate::kernels::{K_BLOCK, Matrix, Start, Work, multiply};

/// Rows whose logits are held together: whole blocks of k of the embedding's gradient. Each time the whole embedding is
/// copied into panels, so that fewer rows cost speed; more cost memory.
pub(crate) const HEAD_ROWS: usize = 2 * K_BLOCK;

/// Scores each row of `normed` `[rows, width]` against its target with the head `embedding` `[vocabulary, width]`.
pub(crate) fn score_rows(
    scores: &mut [Score],
    normed: &[f32],
    targets: &[u32],
    embedding: &[f32],
    width: usize,
    logits: &mut Vec<f32>,
) {
    let vocabulary = embedding.len() / width;
    let chunks = normed.chunks(HEAD_ROWS * width).zip(targets.chunks(HEAD_ROWS));
    for ((normed, targets), scores) in chunks.zip(scores.chunks_mut(HEAD_ROWS)) {
        let logits = compute(logits, normed, embedding, width);
        score(logits, vocabulary, targets, scores);
    }
}

/// As [`score_rows`]; also stores the gradient of `scale` × Σ nats for `normed`, and adds the embedding's.
#[allow(clippy::too_many_arguments)]
pub(crate) fn score_rows_backward(
    scores: &mut [Score],
    normed: &[f32],
    targets: &[u32],
    embedding: &[f32],
    width: usize,
    scale: f32,
    normed_gradient: &mut [f32],
    embedding_gradient: &mut [f32],
    logits: &mut Vec<f32>,
) {
    let vocabulary = embedding.len() / width;
    let chunk = HEAD_ROWS * width;
    let chunks = normed
        .chunks(chunk)
        .zip(normed_gradient.chunks_mut(chunk))
        .zip(targets.chunks(HEAD_ROWS));
    for (((normed, gradient), targets), scores) in chunks.zip(scores.chunks_mut(HEAD_ROWS)) {
        let logits = compute(logits, normed, embedding, width);
        score_backward(logits, vocabulary, targets, scores, scale);
        let rows = targets.len();
        let slopes = Matrix::new(logits, rows, vocabulary);
        multiply(
            gradient,
            Start::Zero,
            slopes,
            Matrix::new(embedding, vocabulary, width),
            Work::Shared,
        );
        let normed = Matrix::new(normed, rows, width);
        multiply(
            embedding_gradient,
            Start::Keep,
            slopes.transposed(),
            normed,
            Work::Shared,
        );
    }
}

/// The logits of some rows, at the beginning of a buffer that grows where it must.
fn compute<'a>(logits: &'a mut Vec<f32>, normed: &[f32], embedding: &[f32], width: usize) -> &'a mut [f32] {
    let (rows, vocabulary) = (normed.len() / width, embedding.len() / width);
    if logits.len() < rows * vocabulary {
        *logits = zeros(rows * vocabulary);
    }
    let logits = &mut logits[..rows * vocabulary];
    let head = Matrix::new(embedding, vocabulary, width).transposed();
    multiply(
        logits,
        Start::Zero,
        Matrix::new(normed, rows, width),
        head,
        Work::Shared,
    );
    logits
}
