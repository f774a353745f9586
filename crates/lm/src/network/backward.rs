//! The backward pass, written by hand: every gradient is added to a flat allocation laid out as the parameters.

use std::ops::Range;

use rayon::prelude::*;

use super::activations::{Activations, BlockActivations, Shape};
use super::attention::{HeadGradients, attend_backward, with_scratch};
use super::block::at;
use crate::config::Gpt2Config;
use crate::kernels::memory::zeros;
use crate::kernels::norm::{RowScale, layer_norm_backward, layer_norm_parameters_backward};
use crate::kernels::reduce::add_column_sums;
use crate::kernels::{Matrix, Start, Work, elementwise, multiply};
use crate::layout::{BlockRanges, Layout};

/// Buffers of the backward pass, allocated once.
pub(crate) struct BackwardBuffers {
    /// `[rows, width]`: gradient of the residual stream.
    stream: Vec<f32>,
    /// `[rows, width]`: gradient of what a product read; before, of what the head read.
    pub narrow: Vec<f32>,
    /// `[rows, 4 × width]`: gradient inside the MLP, or of the joined queries, keys and values.
    wide: Vec<f32>,
    /// Head-major, each.
    heads: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl BackwardBuffers {
    pub fn new(config: &Gpt2Config, shape: Shape) -> Self {
        let row = || zeros(shape.rows() * config.n_embd);
        Self {
            stream: row(),
            narrow: row(),
            wide: zeros(4 * shape.rows() * config.n_embd),
            heads: row(),
            queries: row(),
            keys: row(),
            values: row(),
        }
    }

    /// Numbers that [`new`](Self::new) allocates.
    pub fn numbers(config: &Gpt2Config, shape: Shape) -> u64 {
        10 * (shape.rows() * config.n_embd) as u64
    }
}

/// Adds to `gradients` those of all parameters but the head's part, given in `buffers.narrow` the gradient of
/// `final_normed` and the activations that a forward pass over `tokens` kept. Runs in the current pool.
pub(crate) fn backward(
    config: &Gpt2Config,
    layout: &Layout,
    parameters: &[f32],
    tokens: &[u32],
    activations: &Activations,
    gradients: &mut [f32],
    buffers: &mut BackwardBuffers,
) {
    let shape = activations.shape;
    buffers.stream.fill(0.0);
    let norm = NormPlace {
        weight: &layout.ln_f_weight,
        bias: &layout.ln_f_bias,
    };
    let last = &activations.residual[config.n_layer];
    norm_backward(
        buffers,
        norm,
        parameters,
        gradients,
        last,
        &activations.final_scales,
    );
    for (index, ranges) in layout.blocks.iter().enumerate().rev() {
        let (kept, input) = (&activations.blocks[index], &activations.residual[index]);
        mlp_backward(parameters, ranges, kept, gradients, buffers);
        attention_backward(config, parameters, ranges, shape, kept, gradients, buffers);
        let norm = NormPlace {
            weight: &ranges.ln_1_weight,
            bias: &ranges.ln_1_bias,
        };
        norm_backward(buffers, norm, parameters, gradients, input, &kept.scales_1);
    }
    add_positions(
        &mut gradients[layout.wpe.clone()],
        &buffers.stream,
        shape,
        config.n_embd,
    );
    add_tokens(
        &mut gradients[layout.wte.clone()],
        &buffers.stream,
        tokens,
        config.n_embd,
    );
}

#[derive(Clone, Copy)]
struct NormPlace<'a> {
    weight: &'a Range<usize>,
    bias: &'a Range<usize>,
}

/// From the gradient of a normalisation's output, in `narrow`, to its parameters' and its part of the stream's.
fn norm_backward(
    buffers: &mut BackwardBuffers,
    place: NormPlace<'_>,
    parameters: &[f32],
    gradients: &mut [f32],
    input: &[f32],
    scales: &[RowScale],
) {
    // Weight and bias lie side by side in the layout.
    let (weights, biases) = gradients[place.weight.start..place.bias.end].split_at_mut(place.weight.len());
    layer_norm_parameters_backward(weights, biases, &buffers.narrow, input, scales);
    layer_norm_backward(
        &mut buffers.stream,
        &buffers.narrow,
        input,
        scales,
        at(parameters, place.weight),
    );
}

/// From the stream after the MLP to the stream before it.
fn mlp_backward(
    parameters: &[f32],
    ranges: &BlockRanges,
    kept: &BlockActivations,
    gradients: &mut [f32],
    buffers: &mut BackwardBuffers,
) {
    let width = ranges.ln_2_weight.len();
    let projection = Projection {
        weight: &ranges.mlp_proj_weight,
        bias: &ranges.mlp_proj_bias,
        inner: 4 * width,
    };
    projection.backward(
        &mut buffers.wide,
        &buffers.stream,
        &kept.activated,
        parameters,
        gradients,
    );
    elementwise::gelu_backward(&mut buffers.wide, &kept.sums);
    let projection = Projection {
        weight: &ranges.c_fc_weight,
        bias: &ranges.c_fc_bias,
        inner: width,
    };
    projection.backward(
        &mut buffers.narrow,
        &buffers.wide,
        &kept.normed_2,
        parameters,
        gradients,
    );
    let norm = NormPlace {
        weight: &ranges.ln_2_weight,
        bias: &ranges.ln_2_bias,
    };
    norm_backward(buffers, norm, parameters, gradients, &kept.middle, &kept.scales_2);
}

/// From the stream after attention to the gradient of the first normalisation's output, in `narrow`.
fn attention_backward(
    config: &Gpt2Config,
    parameters: &[f32],
    ranges: &BlockRanges,
    shape: Shape,
    kept: &BlockActivations,
    gradients: &mut [f32],
    buffers: &mut BackwardBuffers,
) {
    let (width, head_width) = (config.n_embd, config.head_width());
    let projection = Projection {
        weight: &ranges.attn_proj_weight,
        bias: &ranges.attn_proj_bias,
        inner: width,
    };
    projection.backward(
        &mut buffers.narrow,
        &buffers.stream,
        &kept.attended,
        parameters,
        gradients,
    );
    unmerge(&mut buffers.heads, &buffers.narrow, shape, width, head_width);
    let head = shape.length * head_width;
    let targets = buffers
        .queries
        .par_chunks_mut(head)
        .zip(buffers.keys.par_chunks_mut(head));
    let targets = targets
        .zip(buffers.values.par_chunks_mut(head))
        .zip(buffers.heads.par_chunks(head));
    let inputs = kept
        .queries
        .par_chunks(head)
        .zip(kept.keys.par_chunks(head))
        .zip(kept.values.par_chunks(head));
    targets
        .zip(inputs)
        .for_each(|((((queries, keys), values), upper), ((q, k), v))| {
            let gradients = HeadGradients {
                queries,
                keys,
                values,
            };
            with_scratch(|[scores, slopes]| {
                attend_backward(gradients, upper, [q, k, v], head_width, [scores, slopes]);
            });
        });
    let joined = &mut buffers.wide[..shape.rows() * 3 * width];
    join_parts(
        joined,
        [&buffers.queries, &buffers.keys, &buffers.values],
        shape,
        width,
        head_width,
    );
    let projection = Projection {
        weight: &ranges.c_attn_weight,
        bias: &ranges.c_attn_bias,
        inner: width,
    };
    projection.backward(&mut buffers.narrow, joined, &kept.normed_1, parameters, gradients);
}

/// output = input · weight + bias, with `weight` `[inner, outer]`.
struct Projection<'a> {
    weight: &'a Range<usize>,
    bias: &'a Range<usize>,
    inner: usize,
}

impl Projection<'_> {
    /// Adds the gradients of weight and bias and stores that of the input.
    fn backward(
        &self,
        input_gradient: &mut [f32],
        upper: &[f32],
        input: &[f32],
        parameters: &[f32],
        gradients: &mut [f32],
    ) {
        let outer = self.bias.len();
        let rows = input.len() / self.inner;
        add_column_sums(&mut gradients[self.bias.clone()], rows, |row, first, sums| {
            for (sum, value) in sums.iter_mut().zip(&upper[row * outer + first..]) {
                *sum += value;
            }
        });
        let (x, upper) = (
            Matrix::new(input, rows, self.inner),
            Matrix::new(upper, rows, outer),
        );
        multiply(
            &mut gradients[self.weight.clone()],
            Start::Keep,
            x.transposed(),
            upper,
            Work::Shared,
        );
        let weight = Matrix::new(at(parameters, self.weight), self.inner, outer);
        multiply(
            input_gradient,
            Start::Zero,
            upper,
            weight.transposed(),
            Work::Shared,
        );
    }
}

/// The inverse of `merge_heads`.
fn unmerge(heads: &mut [f32], rows: &[f32], shape: Shape, width: usize, head_width: usize) {
    let count = width / head_width;
    heads
        .par_chunks_mut(shape.length * head_width)
        .enumerate()
        .for_each(|(index, head)| {
            let (sequence, column) = (index / count, (index % count) * head_width);
            for (position, values) in head.chunks_exact_mut(head_width).enumerate() {
                let start = (sequence * shape.length + position) * width + column;
                values.copy_from_slice(&rows[start..start + head_width]);
            }
        });
}

/// The inverse of `split_heads` for all three parts: `[rows, 3 × width]`.
fn join_parts(joined: &mut [f32], parts: [&[f32]; 3], shape: Shape, width: usize, head_width: usize) {
    let count = width / head_width;
    joined
        .par_chunks_mut(3 * width)
        .enumerate()
        .with_min_len(32)
        .for_each(|(row, joined)| {
            let (sequence, position) = (row / shape.length, row % shape.length);
            for (joined, part) in joined.chunks_exact_mut(width).zip(parts) {
                for (head, values) in joined.chunks_exact_mut(head_width).enumerate() {
                    let start = ((sequence * count + head) * shape.length + position) * head_width;
                    values.copy_from_slice(&part[start..start + head_width]);
                }
            }
        });
}

/// Each position's gradient is summed over the sequences in order.
fn add_positions(gradient: &mut [f32], stream: &[f32], shape: Shape, width: usize) {
    gradient[..shape.length * width]
        .par_chunks_mut(width)
        .enumerate()
        .with_min_len(8)
        .for_each(|(position, gradient)| {
            for sequence in 0..shape.batch {
                let start = (sequence * shape.length + position) * width;
                for (sum, value) in gradient.iter_mut().zip(&stream[start..]) {
                    *sum += value;
                }
            }
        });
}

/// Each token's gradient is summed over its places in order.
fn add_tokens(gradient: &mut [f32], stream: &[f32], tokens: &[u32], width: usize) {
    let mut places: Vec<(u32, u32)> = tokens.iter().zip(0..).map(|(&token, row)| (token, row)).collect();
    places.sort_unstable();
    gradient
        .par_chunks_mut(width)
        .enumerate()
        .with_min_len(64)
        .for_each(|(token, gradient)| {
            let first = places.partition_point(|&(other, _)| (other as usize) < token);
            for &(_, row) in places[first..]
                .iter()
                .take_while(|&&(other, _)| other as usize == token)
            {
                for (sum, value) in gradient.iter_mut().zip(&stream[row as usize * width..]) {
                    *sum += value;
                }
            }
        });
}
