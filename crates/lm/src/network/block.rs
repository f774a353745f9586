//! The parts of a transformer block that treat every token by itself, shared by training and generation.

use std::ops::Range;

use crate::kernels::norm::{RowScale, layer_norm};
use crate::kernels::{Matrix, Start, Work, elementwise, multiply};
use crate::layout::BlockRanges;

/// The part of the parameters at a place.
pub(crate) fn at<'a>(parameters: &'a [f32], range: &Range<usize>) -> &'a [f32] {
    &parameters[range.clone()]
}

/// target = input · weight, for `weight` `[inner, outer]`.
pub(crate) fn project(target: &mut [f32], input: &[f32], weight: &[f32], inner: usize) {
    let (rows, outer) = (input.len() / inner, weight.len() / inner);
    multiply(
        target,
        Start::Zero,
        Matrix::new(input, rows, inner),
        Matrix::new(weight, inner, outer),
        Work::Shared,
    );
}

/// Before attention: normalises the residual stream and projects it to queries, keys and values (bias not yet added).
pub(crate) fn before_attention(
    projected: &mut [f32],
    normed: &mut [f32],
    scales: &mut [RowScale],
    input: &[f32],
    parameters: &[f32],
    ranges: &BlockRanges,
    epsilon: f32,
) {
    let weight = at(parameters, &ranges.ln_1_weight);
    layer_norm(
        normed,
        scales,
        input,
        weight,
        at(parameters, &ranges.ln_1_bias),
        epsilon,
    );
    project(
        projected,
        normed,
        at(parameters, &ranges.c_attn_weight),
        weight.len(),
    );
}

/// Where [`after_attention`] writes; the names are those of `BlockActivations`.
pub(crate) struct AfterAttention<'a> {
    pub middle: &'a mut [f32],
    pub scales_2: &'a mut [RowScale],
    pub normed_2: &'a mut [f32],
    pub sums: &'a mut [f32],
    pub activated: &'a mut [f32],
    pub narrow: &'a mut [f32],
}

/// After attention: its projection joins the residual stream, then the MLP's does.
pub(crate) fn after_attention(
    output: &mut [f32],
    buffers: AfterAttention<'_>,
    input: &[f32],
    attended: &[f32],
    parameters: &[f32],
    ranges: &BlockRanges,
    epsilon: f32,
) {
    let AfterAttention {
        middle,
        scales_2,
        normed_2,
        sums,
        activated,
        narrow,
    } = buffers;
    let weight = at(parameters, &ranges.ln_2_weight);
    let width = weight.len();
    project(narrow, attended, at(parameters, &ranges.attn_proj_weight), width);
    elementwise::add_residual(middle, input, narrow, at(parameters, &ranges.attn_proj_bias));
    layer_norm(
        normed_2,
        scales_2,
        middle,
        weight,
        at(parameters, &ranges.ln_2_bias),
        epsilon,
    );
    project(sums, normed_2, at(parameters, &ranges.c_fc_weight), width);
    elementwise::add_bias_gelu(sums, activated, at(parameters, &ranges.c_fc_bias));
    project(
        narrow,
        activated,
        at(parameters, &ranges.mlp_proj_weight),
        4 * width,
    );
    elementwise::add_residual(output, middle, narrow, at(parameters, &ranges.mlp_proj_bias));
}
