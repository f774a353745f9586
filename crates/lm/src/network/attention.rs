//! Causal attention, forward and backward, one head at a time and in blocks of queries: no length × length matrix is
//! ever held.

use std::cell::Cell;

use rayon::prelude::*;

use crate::config::Config;
use crate::kernels::softmax::{causal_softmax, softmax_backward};
use crate::kernels::{Matrix, Start, Work, multiply};

/// Queries treated together.
const QUERIES: usize = 64;
/// Multiplications below which heads share a task: the few of a single token take less time than a thread to wake up.
const WORTH_A_TASK: usize = 1 << 16;

thread_local! {
    /// Scores and slopes of a block of queries, kept from one head to the next.
    static SCRATCH: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Lends the thread's scratch for the work on one head.
fn with_scratch(work: impl FnOnce(&mut [Vec<f32>; 2])) {
    let mut scratch = SCRATCH.take();
    work(&mut scratch);
    SCRATCH.set(scratch);
}

/// The scores' factor: 1/√(head width).
fn score_scale(head_width: usize) -> f32 {
    1.0 / (head_width as f32).sqrt()
}

/// How the keys of a head are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// `[room, head width]`, as they come.
    ByPosition,
    /// `[head width, room]`: a query alone reads them in the order of memory.
    ByNumber,
}

/// Attention of all heads of all sequences, head-major: `queries` `[heads, new, head width]` are at positions `first`..
/// and see keys and `values` `[heads / group, room, head width]`; each of those serves `group` heads of queries.
pub(crate) fn attend_all(
    output: &mut [f32],
    [queries, keys, values]: [&[f32]; 3],
    order: KeyOrder,
    size: HeadSize,
    first: usize,
) {
    let HeadSize {
        width,
        group,
        new,
        room,
    } = size;
    let numbers = room * width;
    let together = (WORTH_A_TASK / (2 * new * (first + new) * width)).max(1);
    let heads = output
        .par_chunks_mut(new * width)
        .zip(queries.par_chunks(new * width));
    heads
        .enumerate()
        .with_min_len(together)
        .for_each(|(head, (output, queries))| {
            let seen = head / group * numbers..(head / group + 1) * numbers;
            let keys = match order {
                KeyOrder::ByPosition => Matrix::new(&keys[seen.clone()], room, width).transposed(),
                KeyOrder::ByNumber => Matrix::new(&keys[seen.clone()], width, room),
            };
            let values = &values[seen];
            with_scratch(|[scores, _]| attend(output, queries, keys, values, width, first, scores));
        });
}

/// The backward pass of [`attend_all`] from position 0 and without spare room, given the gradient of its output. The
/// gradients of keys and values add up over the heads that they serve, in order.
pub(crate) fn attend_all_backward(
    gradients: HeadGradients<'_>,
    output_gradient: &[f32],
    [queries, keys, values]: [&[f32]; 3],
    size: HeadSize,
) {
    let (head, group) = (size.new * size.width, size.group * size.new * size.width);
    let targets = gradients
        .keys
        .par_chunks_mut(head)
        .zip(gradients.values.par_chunks_mut(head))
        .zip(gradients.queries.par_chunks_mut(group));
    let inputs = queries
        .par_chunks(group)
        .zip(keys.par_chunks(head))
        .zip(values.par_chunks(head));
    let tasks = targets.zip(inputs).zip(output_gradient.par_chunks(group));
    tasks.for_each(|((((dk, dv), dq), ((q, k), v)), upper)| {
        dk.fill(0.0);
        dv.fill(0.0);
        let heads = dq.chunks_mut(head).zip(q.chunks(head)).zip(upper.chunks(head));
        for ((dq, q), upper) in heads {
            let gradients = HeadGradients {
                queries: dq,
                keys: dk,
                values: dv,
            };
            with_scratch(|[scores, slopes]| {
                attend_backward(gradients, upper, [q, k, v], size.width, [scores, slopes]);
            });
        }
    });
}

/// The size of each head, and how many heads of queries share one of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSize {
    pub width: usize,
    pub group: usize,
    /// Rows of queries.
    pub new: usize,
    /// Rows of keys and values that there is room for.
    pub room: usize,
}

impl HeadSize {
    pub fn new(config: &Config, new: usize, room: usize) -> Self {
        Self {
            width: config.head_width,
            group: config.heads / config.key_value_heads,
            new,
            room,
        }
    }
}

/// Attention of one head: `queries` `[new, head width]` are at positions `first`.. and see keys, the columns of `keys`, and
/// `values` `[at least first + new, head width]` up to their own position.
///
/// A row's bits do not depend on the rows beside it: what it does not see has probability 0, which adds nothing to a
/// chain. (It may turn −0 into +0; `merge_heads` does that to every result.)
fn attend(
    output: &mut [f32],
    queries: &[f32],
    keys: Matrix<'_>,
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

/// Gradients of queries, keys and values.
pub(crate) struct HeadGradients<'a> {
    pub queries: &'a mut [f32],
    pub keys: &'a mut [f32],
    pub values: &'a mut [f32],
}

/// The backward pass of [`attend`] from position 0, given the gradient of its output: stores the gradient of the queries
/// and adds those of keys and values. The probabilities are computed again.
fn attend_backward(
    gradients: HeadGradients<'_>,
    output_gradient: &[f32],
    [queries, keys, values]: [&[f32]; 3],
    head_width: usize,
    [scores, slopes]: [&mut Vec<f32>; 2],
) {
    let block = QUERIES * head_width;
    let blocks = gradients
        .queries
        .chunks_mut(block)
        .zip(queries.chunks(block))
        .zip(output_gradient.chunks(block));
    for (index, ((query_gradient, queries), upper)) in blocks.enumerate() {
        let (rows, start) = (queries.len() / head_width, index * QUERIES);
        let seen = start + rows;
        let k = Matrix::new(keys, seen, head_width);
        probabilities(scores, queries, k.transposed(), head_width, start);
        let p = Matrix::new(scores, rows, seen);
        let upper = Matrix::new(upper, rows, head_width);
        slopes.resize(rows * seen, 0.0);
        let v = Matrix::new(values, seen, head_width);
        multiply(slopes, Start::Zero, upper, v.transposed(), Work::Alone);
        softmax_backward(slopes, scores, seen, score_scale(head_width));
        let slope = Matrix::new(slopes, rows, seen);
        let q = Matrix::new(queries, rows, head_width);
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

/// Probabilities of a block of queries at positions `start`.. over the keys up to the last of them.
fn probabilities(scores: &mut Vec<f32>, queries: &[f32], keys: Matrix<'_>, head_width: usize, start: usize) {
    let rows = queries.len() / head_width;
    let seen = start + rows;
    scores.resize(rows * seen, 0.0);
    let q = Matrix::new(queries, rows, head_width);
    multiply(scores, Start::Zero, q, keys.first_columns(seen), Work::Alone);
    causal_softmax(scores, seen, start, score_scale(head_width));
}
