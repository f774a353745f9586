//! Causal attention of one head, forward and backward, in blocks of queries: no length × length matrix is ever held.

use std::cell::Cell;

use rayon::prelude::*;

use super::activations::Shape;
use crate::kernels::softmax::{causal_softmax, softmax_backward};
use crate::kernels::{Matrix, Start, Work, multiply};

/// Queries treated together.
const QUERIES: usize = 64;

thread_local! {
    /// Scores and slopes of a block of queries, kept from one head to the next.
    static SCRATCH: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Lends the thread's scratch for the work on one head.
pub(crate) fn with_scratch(work: impl FnOnce(&mut [Vec<f32>; 2])) {
    let mut scratch = SCRATCH.take();
    work(&mut scratch);
    SCRATCH.set(scratch);
}

/// The scores' factor: 1/√(head width).
pub(crate) fn score_scale(head_width: usize) -> f32 {
    1.0 / (head_width as f32).sqrt()
}

/// Attention of one head: `queries` `[new, head width]` are at positions `first`.. and see `keys` and `values`
/// `[at least first + new, head width]` up to their own position.
///
/// A row's bits do not depend on the rows beside it: what it does not see has probability 0, which adds nothing to a
/// chain. (It may turn −0 into +0; [`merge_heads`] does that to every result.)
pub(crate) fn attend(
    output: &mut [f32],
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    head_width: usize,
    first: usize,
    scores: &mut Vec<f32>,
) {
    let blocks = output
        .chunks_mut(QUERIES * head_width)
        .zip(queries.chunks(QUERIES * head_width));
    for (index, (output, queries)) in blocks.enumerate() {
        let (rows, start) = (queries.len() / head_width, first + index * QUERIES);
        probabilities(scores, queries, keys, head_width, start);
        let seen = start + rows;
        let (p, v) = (
            Matrix::new(scores, rows, seen),
            Matrix::new(values, seen, head_width),
        );
        multiply(output, Start::Zero, p, v, Work::Alone);
    }
}

/// One head's buffers in the backward pass: gradients of queries, keys and values, to be filled.
pub(crate) struct HeadGradients<'a> {
    pub queries: &'a mut [f32],
    pub keys: &'a mut [f32],
    pub values: &'a mut [f32],
}

/// The backward pass of [`attend`] from position 0, given the gradient of its output. The probabilities are computed
/// again.
pub(crate) fn attend_backward(
    gradients: HeadGradients<'_>,
    output_gradient: &[f32],
    [queries, keys, values]: [&[f32]; 3],
    head_width: usize,
    [scores, slopes]: [&mut Vec<f32>; 2],
) {
    gradients.keys.fill(0.0);
    gradients.values.fill(0.0);
    let block = QUERIES * head_width;
    let blocks = gradients
        .queries
        .chunks_mut(block)
        .zip(queries.chunks(block))
        .zip(output_gradient.chunks(block));
    for (index, ((query_gradient, queries), upper)) in blocks.enumerate() {
        let (rows, start) = (queries.len() / head_width, index * QUERIES);
        let seen = start + rows;
        probabilities(scores, queries, keys, head_width, start);
        let p = Matrix::new(scores, rows, seen);
        let upper = Matrix::new(upper, rows, head_width);
        slopes.resize(rows * seen, 0.0);
        let v = Matrix::new(values, seen, head_width);
        multiply(slopes, Start::Zero, upper, v.transposed(), Work::Alone);
        softmax_backward(slopes, scores, seen, score_scale(head_width));
        let slope = Matrix::new(slopes, rows, seen);
        let (q, k) = (
            Matrix::new(queries, rows, head_width),
            Matrix::new(keys, seen, head_width),
        );
        multiply(query_gradient, Start::Zero, slope, k, Work::Alone);
        let filled = seen * head_width;
        multiply(
            &mut gradients.keys[..filled],
            Start::Keep,
            slope.transposed(),
            q,
            Work::Alone,
        );
        multiply(
            &mut gradients.values[..filled],
            Start::Keep,
            p.transposed(),
            upper,
            Work::Alone,
        );
    }
}

/// Lays head-major results side by side: `[rows, width]`.
pub(crate) fn merge_heads(output: &mut [f32], heads: &[f32], shape: Shape, width: usize, head_width: usize) {
    let count = width / head_width;
    output
        .par_chunks_mut(width)
        .enumerate()
        .with_min_len(32)
        .for_each(|(row, output)| {
            let (sequence, position) = (row / shape.length, row % shape.length);
            for (head, output) in output.chunks_exact_mut(head_width).enumerate() {
                let start = ((sequence * count + head) * shape.length + position) * head_width;
                for (value, &found) in output.iter_mut().zip(&heads[start..]) {
                    // −0 becomes +0: see `attend`.
                    *value = found + 0.0;
                }
            }
        });
}

/// Takes one part (0 queries, 1 keys, 2 values) of `projected` `[rows, 3 × width]`, adds its bias, head-major.
pub(crate) fn split_heads(
    heads: &mut [f32],
    projected: &[f32],
    bias: &[f32],
    part: usize,
    shape: Shape,
    head_width: usize,
) {
    let width = bias.len() / 3;
    let count = width / head_width;
    heads
        .par_chunks_mut(shape.length * head_width)
        .enumerate()
        .for_each(|(index, head)| {
            let (sequence, column) = (index / count, part * width + (index % count) * head_width);
            let bias = &bias[column..column + head_width];
            for (position, values) in head.chunks_exact_mut(head_width).enumerate() {
                let row = &projected[(sequence * shape.length + position) * 3 * width + column..];
                for ((value, x), b) in values.iter_mut().zip(row).zip(bias) {
                    *value = x + b;
                }
            }
        });
}

/// Probabilities of a block of queries at positions `start`.. over the keys up to the last of them.
fn probabilities(scores: &mut Vec<f32>, queries: &[f32], keys: &[f32], head_width: usize, start: usize) {
    let rows = queries.len() / head_width;
    let seen = start + rows;
    scores.resize(rows * seen, 0.0);
    let (q, k) = (
        Matrix::new(queries, rows, head_width),
        Matrix::new(keys, seen, head_width),
    );
    multiply(scores, Start::Zero, q, k.transposed(), Work::Alone);
    causal_softmax(scores, seen, start, score_scale(head_width));
}
