//! The backward pass, written by hand: every gradient is added to a flat allocation laid out as the parameters.

use rayon::prelude::*;

use super::activations::{Activations, BlockActivations, Scratch, Shape};
use super::attention::{HeadGradients, HeadSize, attend_all_backward};
use super::block::{activate, normalise};
use super::heads::{Part, join_parts, unmerge_heads};
use crate::config::Config;
use crate::kernels::memory::zeros;
use crate::kernels::norm::{RowScale, layer_norm_backward, layer_norm_parameters_backward};
use crate::kernels::reduce::add_column_sums;
use crate::kernels::rms_norm::{rms_norm_backward, rms_norm_backward_in_place, rms_norm_weight_backward};
use crate::kernels::rotary::{Direction, Turns, rotate};
use crate::kernels::swiglu::swiglu_backward;
use crate::kernels::{Matrix, Start, Work, elementwise};
use crate::layout::{Activation, BlockPlaces, Layout, Linear, Norm, Order};
use crate::weights::{Weights, matrix};

/// Buffers of the backward pass, allocated once.
pub(crate) struct BackwardBuffers {
    /// `[rows, width]`: gradient of the residual stream.
    stream: Vec<f32>,
    /// Gradient of what a product read: `[rows, width]`, or what the heads found side by side; as long as the longer.
    narrow: Vec<f32>,
    /// `[rows, expanded width]` inside the MLP, or `[rows, joined width]`; as long as the longer.
    wide: Vec<f32>,
    /// `[rows, inner width]`: gradient of what a SwiGLU gave; a GELU's turns into that of what it read in place.
    activated: Vec<f32>,
    /// Head-major, each.
    heads: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl BackwardBuffers {
    pub fn new(config: &Config, shape: Shape) -> Self {
        let row = |width: usize| zeros(shape.rows() * width);
        let [narrow, wide, activated] = Self::widths(config);
        Self {
            stream: row(config.width),
            narrow: row(narrow),
            wide: row(wide),
            activated: row(activated),
            heads: row(config.query_width()),
            queries: row(config.query_width()),
            keys: row(config.key_value_width()),
            values: row(config.key_value_width()),
        }
    }

    /// Numbers that [`new`](Self::new) allocates.
    pub fn numbers(config: &Config, shape: Shape) -> u64 {
        let heads = 2 * (config.query_width() + config.key_value_width());
        let others: usize = Self::widths(config).iter().sum();
        (shape.rows() * (config.width + others + heads)) as u64
    }

    /// The gradient of `final_normed`, which the head leaves for the backward pass.
    pub fn final_gradient(&mut self) -> &mut [f32] {
        &mut self.narrow[..self.stream.len()]
    }

    /// Widths of `narrow`, `wide` and `activated`.
    fn widths(config: &Config) -> [usize; 3] {
        let activated = config.expanded_width() - config.inner_width;
        [
            config.width.max(config.query_width()),
            config.expanded_width().max(config.joined_width()),
            activated,
        ]
    }
}

/// What all parts of the backward pass read and write.
struct Pass<'a> {
    config: &'a Config,
    weights: Weights<'a>,
    gradients: &'a mut [f32],
    shape: Shape,
    turns: Option<&'a Turns>,
}

/// Adds to `gradients` those of all parameters but the head's part, given in `buffers.final_gradient()` the gradient of
/// `final_normed` and the activations that a forward pass over `tokens` kept; what that did not keep is computed again.
/// Weights are in f32. Runs in the current pool.
pub(crate) fn backward(
    config: &Config,
    layout: &Layout,
    weights: Weights<'_>,
    tokens: &[u32],
    activations: &mut Activations,
    gradients: &mut [f32],
    buffers: &mut BackwardBuffers,
) {
    let Activations {
        shape,
        residual,
        blocks,
        final_scales,
        turns,
        scratch,
        ..
    } = activations;
    let mut pass = Pass {
        config,
        weights,
        gradients,
        shape: *shape,
        turns: turns.as_ref(),
    };
    buffers.stream.fill(0.0);
    pass.norm(buffers, &layout.last_norm, &residual[config.layers], final_scales);
    for (index, places) in layout.blocks.iter().enumerate().rev() {
        let (kept, input) = (&mut blocks[index], &residual[index]);
        pass.mlp(places, kept, scratch, buffers);
        pass.attention(places, kept, scratch, input, buffers);
        pass.norm(buffers, &places.norm_1, input, &kept.scales_1);
    }
    if let Some(positions) = &layout.positions {
        let gradient = &mut gradients[positions.clone()];
        add_positions(gradient, &buffers.stream, *shape, config.width);
    }
    let gradient = &mut gradients[layout.embedding.clone()];
    add_tokens(gradient, &buffers.stream, tokens, config.width);
}

impl Pass<'_> {
    /// From the gradient of a normalisation's output, in `narrow`, to its parameters' and its part of the stream's.
    fn norm(&mut self, buffers: &mut BackwardBuffers, norm: &Norm, input: &[f32], scales: &[RowScale]) {
        let BackwardBuffers { stream, narrow, .. } = buffers;
        let upper = &narrow[..stream.len()];
        match norm {
            Norm::Layer { weight, bias } => {
                // Weight and bias lie side by side in the layout.
                let both = &mut self.gradients[weight.start..bias.end];
                let (weights, biases) = both.split_at_mut(weight.len());
                layer_norm_parameters_backward(weights, biases, upper, input, scales);
                layer_norm_backward(stream, upper, input, scales, self.weights.vector(weight));
            }
            Norm::RootMeanSquare { weight } => {
                rms_norm_weight_backward(&mut self.gradients[weight.clone()], upper, input, scales);
                rms_norm_backward(stream, upper, input, scales, self.weights.vector(weight));
            }
        }
    }

    /// From the stream after the MLP to the stream before it.
    fn mlp(
        &mut self,
        places: &BlockPlaces,
        kept: &mut BlockActivations,
        scratch: &mut Scratch,
        buffers: &mut BackwardBuffers,
    ) {
        let BackwardBuffers {
            stream,
            narrow,
            wide,
            activated,
            ..
        } = buffers;
        let sums = &mut wide[..kept.sums.len()];
        let (activation, width) = (places.activation, self.config.inner_width);
        activate(&mut scratch.activated, &mut kept.sums, None, activation, width);
        match activation {
            Activation::Gelu => {
                self.linear(&places.mlp_out, sums, stream, &scratch.activated);
                elementwise::gelu_backward(sums, &kept.sums);
            }
            Activation::SwiGlu => {
                self.linear(&places.mlp_out, activated, stream, &scratch.activated);
                swiglu_backward(sums, activated, &kept.sums, width);
            }
        }
        self.normalise(
            &mut scratch.normed,
            &mut kept.scales_2,
            &kept.middle,
            &places.norm_2,
        );
        let normed = &mut narrow[..stream.len()];
        self.linear(&places.mlp_in, normed, sums, &scratch.normed);
        self.norm(buffers, &places.norm_2, &kept.middle, &kept.scales_2);
    }

    /// From the stream after attention to the gradient of the first normalisation's output, in `narrow`.
    fn attention(
        &mut self,
        places: &BlockPlaces,
        kept: &mut BlockActivations,
        scratch: &mut Scratch,
        input: &[f32],
        buffers: &mut BackwardBuffers,
    ) {
        let (config, shape) = (self.config, self.shape);
        let BackwardBuffers {
            stream,
            narrow,
            wide,
            heads,
            queries,
            keys,
            values,
            ..
        } = buffers;
        let attended = &mut narrow[..kept.attended.len()];
        self.linear(&places.attention_out, attended, stream, &kept.attended);
        unmerge_heads(heads, attended, shape, config);
        let gradients = HeadGradients {
            queries,
            keys,
            values,
        };
        let inputs = [&kept.queries[..], &kept.keys, &kept.values];
        let size = HeadSize::new(config, shape.length, shape.length);
        attend_all_backward(gradients, heads, inputs, size);
        self.heads(Part::Queries, queries, places, kept);
        self.heads(Part::Keys, keys, places, kept);
        let joined = &mut wide[..shape.rows() * config.joined_width()];
        join_parts(joined, [queries, keys, values], shape, config);
        self.normalise(&mut scratch.normed, &mut kept.scales_1, input, &places.norm_1);
        let normed = &mut narrow[..stream.len()];
        self.linear(&places.attention_in, normed, joined, &scratch.normed);
    }

    /// The output of a normalisation again. Its scales come out as they were.
    fn normalise(&self, normed: &mut [f32], scales: &mut [RowScale], input: &[f32], norm: &Norm) {
        normalise(normed, scales, input, self.weights, norm, self.config.epsilon);
    }

    /// From the gradient of queries or keys as attention read them to that of the product, in place.
    fn heads(&mut self, part: Part, gradient: &mut [f32], places: &BlockPlaces, kept: &BlockActivations) {
        if let Some(turns) = self.turns {
            rotate(gradient, turns, self.shape.length, 0, Direction::Backward);
        }
        let weight = places.head_norms.as_ref().and_then(|norms| part.of(norms));
        let inputs = kept.head_inputs.as_ref().and_then(|pair| part.of(pair));
        if let (Some(weight), Some(inputs)) = (weight, inputs) {
            let (values, scales) = (&inputs.values, &inputs.scales);
            rms_norm_weight_backward(&mut self.gradients[weight.clone()], gradient, values, scales);
            rms_norm_backward_in_place(gradient, values, scales, self.weights.vector(weight));
        }
    }

    /// For output = input · matrix + bias: adds the gradients of matrix and bias and stores that of the input.
    fn linear(&mut self, place: &Linear, input_gradient: &mut [f32], upper: &[f32], input: &[f32]) {
        let Linear { inner, outer, .. } = *place;
        let rows = input.len() / inner;
        if let Some(bias) = &place.bias {
            add_column_sums(&mut self.gradients[bias.clone()], rows, |row, first, sums| {
                for (sum, value) in sums.iter_mut().zip(&upper[row * outer + first..]) {
                    *sum += value;
                }
            });
        }
        let x = Matrix::new(input, rows, inner);
        let upper = Matrix::new(upper, rows, outer);
        let weight = &mut self.gradients[place.weight.clone()];
        let arithmetic = self.weights.arithmetic;
        match place.order {
            Order::InOut => arithmetic.multiply(weight, Start::Keep, x.transposed(), upper, Work::Shared),
            Order::OutIn => arithmetic.multiply(weight, Start::Keep, upper.transposed(), x, Work::Shared),
        }
        let weight = matrix(self.weights.vector(&place.weight), place).transposed();
        arithmetic.multiply(input_gradient, Start::Zero, upper, weight, Work::Shared);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::variants;

    #[test]
    fn buffers_allocate_what_is_counted() {
        for config in variants() {
            let shape = Shape { batch: 2, length: 3 };
            let made = BackwardBuffers::new(&config, shape);
            let all = [
                &made.stream,
                &made.narrow,
                &made.wide,
                &made.activated,
                &made.heads,
                &made.queries,
                &made.keys,
                &made.values,
            ];
            let allocated: usize = all.into_iter().map(Vec::len).sum();
            assert_eq!(
                BackwardBuffers::numbers(&config, shape),
                allocated as u64,
                "{config:?}"
            );
        }
    }
}
