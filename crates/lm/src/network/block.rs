//! A transformer block, forward: what training, evaluation and generation share.

use super::activations::{HeadInputs, Shape};
use super::heads::{Part, split_heads};
use crate::config::Config;
use crate::kernels::norm::{RowScale, layer_norm};
use crate::kernels::rms_norm::rms_norm;
use crate::kernels::rotary::{Direction, Turns, rotate};
use crate::kernels::swiglu::add_bias_swiglu;
use crate::kernels::{elementwise, gather};
use crate::layout::{Activation, BlockPlaces, Layout, Linear, Norm};
use crate::weights::Weights;

/// Normalises each row of `input`.
pub(crate) fn normalise(
    output: &mut [f32],
    scales: &mut [RowScale],
    input: &[f32],
    weights: Weights<'_>,
    norm: &Norm,
    epsilon: f32,
) {
    match norm {
        Norm::Layer { weight, bias } => layer_norm(
            output,
            scales,
            input,
            weights.vector(weight),
            weights.vector(bias),
            epsilon,
        ),
        Norm::RootMeanSquare { weight } => {
            rms_norm(output, scales, input, weights.vector(weight), epsilon);
        }
    }
}

/// Adds the bias to `sums` `[rows, expanded width]`, if any, and stores the activation of that `[rows, width]`.
pub(crate) fn activate(
    activated: &mut [f32],
    sums: &mut [f32],
    bias: Option<&[f32]>,
    activation: Activation,
    width: usize,
) {
    match activation {
        Activation::Gelu => elementwise::add_bias_gelu(sums, activated, bias, width),
        Activation::SwiGlu => add_bias_swiglu(sums, activated, bias, width),
    }
}

/// The residual stream before the first block: each token's row, and its position's where positions are learnt. Each of
/// the sequences of `length` tokens begins at position `first`.
pub(crate) fn embed(
    stream: &mut [f32],
    tokens: &[u32],
    weights: Weights<'_>,
    layout: &Layout,
    length: usize,
    first: usize,
) {
    let width = stream.len() / tokens.len();
    weights.gather(stream, tokens, &layout.embedding);
    if let Some(positions) = &layout.positions {
        elementwise::add_positions(stream, &weights.vector(positions)[first * width..], width, length);
    }
}

/// One block: its options, its place in the parameters, and the angles of its positions.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub config: &'a Config,
    pub weights: Weights<'a>,
    pub places: &'a BlockPlaces,
    pub turns: Option<&'a Turns>,
}

/// Where [`Block::after_attention`] writes; the names are those of `BlockActivations` and `Scratch`.
pub(crate) struct AfterAttention<'a> {
    pub middle: &'a mut [f32],
    pub scales_2: &'a mut [RowScale],
    pub normed: &'a mut [f32],
    pub sums: &'a mut [f32],
    /// Empty where GELU takes the place of the sums.
    pub activated: &'a mut [f32],
    /// `[rows, width]`
    pub narrow: &'a mut [f32],
}

impl Block<'_> {
    /// Normalises the residual stream and projects it to queries, keys and values side by side, without biases.
    pub fn before_attention(
        &self,
        projected: &mut [f32],
        normed: &mut [f32],
        scales: &mut [RowScale],
        input: &[f32],
    ) {
        let norm = &self.places.norm_1;
        normalise(normed, scales, input, self.weights, norm, self.config.epsilon);
        self.weights.project(projected, normed, &self.places.attention_in);
    }

    /// Takes queries, keys or values out of `projected`, head-major: adds their bias, then normalises and rotates them
    /// where the model does so. What a normalisation reads is left in `inputs`. The rows of each sequence are at
    /// positions `first`..
    pub fn take_heads(
        &self,
        heads: &mut [f32],
        inputs: Option<&mut HeadInputs>,
        projected: &[f32],
        part: Part,
        shape: Shape,
        first: usize,
    ) {
        let bias = self.places.attention_in.bias.as_ref();
        let bias = bias.map(|range| self.weights.vector(range));
        let columns = part.columns(self.config);
        let weight = self.places.head_norms.as_ref().and_then(|norms| part.of(norms));
        match (weight, inputs) {
            (Some(weight), Some(inputs)) => {
                split_heads(&mut inputs.values, projected, bias, columns, shape.length);
                let weight = self.weights.vector(weight);
                rms_norm(
                    heads,
                    &mut inputs.scales,
                    &inputs.values,
                    weight,
                    self.config.epsilon,
                );
            }
            _ => split_heads(heads, projected, bias, columns, shape.length),
        }
        if let Some(turns) = self.turns.filter(|_| part != Part::Values) {
            rotate(heads, turns, shape.length, first, Direction::Forward);
        }
    }

    /// The projection of what attention found joins the residual stream, then the MLP's does.
    pub fn after_attention(
        &self,
        output: &mut [f32],
        buffers: AfterAttention<'_>,
        input: &[f32],
        attended: &[f32],
    ) {
        let AfterAttention {
            middle,
            scales_2,
            normed,
            sums,
            activated,
            narrow,
        } = buffers;
        let (weights, places) = (self.weights, self.places);
        weights.project(narrow, attended, &places.attention_out);
        self.add_residual(middle, input, narrow, &places.attention_out);
        normalise(
            normed,
            scales_2,
            middle,
            weights,
            &places.norm_2,
            self.config.epsilon,
        );
        weights.project(sums, normed, &places.mlp_in);
        let bias = places.mlp_in.bias.as_ref().map(|range| weights.vector(range));
        let inner_width = self.config.inner_width;
        let activated = match places.activation {
            Activation::Gelu if activated.is_empty() => {
                elementwise::add_bias_gelu_in_place(sums, bias, inner_width);
                sums
            }
            activation => {
                activate(activated, sums, bias, activation, inner_width);
                activated
            }
        };
        weights.project(narrow, activated, &places.mlp_out);
        self.add_residual(output, middle, narrow, &places.mlp_out);
    }

    /// output = residual + (sums + bias of the projection)
    fn add_residual(&self, output: &mut [f32], residual: &[f32], sums: &[f32], linear: &Linear) {
        match &linear.bias {
            Some(bias) => elementwise::add_residual(output, residual, sums, self.weights.vector(bias)),
            None => gather::add(output, residual, sums),
        }
    }
}
