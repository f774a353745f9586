//! The forward pass over whole sequences.

use rayon::prelude::*;

use super::activations::{Activations, BlockActivations, Scratch, Shape};
use super::attention::{attend, merge_heads, split_heads, with_scratch};
use super::block::{AfterAttention, after_attention, at, before_attention};
use crate::config::Gpt2Config;
use crate::kernels::elementwise;
use crate::kernels::norm::layer_norm;
use crate::layout::{BlockRanges, Layout};

/// Runs `tokens` `[batch, length]`, each sequence from position 0, up to the input of the head, which is left in
/// `final_normed`. Runs in the current pool.
pub(crate) fn forward(
    config: &Gpt2Config,
    layout: &Layout,
    parameters: &[f32],
    tokens: &[u32],
    activations: &mut Activations,
) {
    let Activations {
        shape,
        residual,
        blocks,
        final_scales,
        final_normed,
        scratch,
    } = activations;
    let (streams, kept) = (residual.len(), blocks.len());
    let (embedding, positions) = (at(parameters, &layout.wte), at(parameters, &layout.wpe));
    elementwise::embed(&mut residual[0], tokens, embedding, positions, shape.length);
    for (index, ranges) in layout.blocks.iter().enumerate() {
        // Taken out to borrow two of the streams at once; without `keep` there are only two, used in turn.
        let input = std::mem::take(&mut residual[index % streams]);
        let output = &mut residual[(index + 1) % streams];
        run_block(
            config,
            parameters,
            ranges,
            *shape,
            &input,
            output,
            &mut blocks[index % kept],
            scratch,
        );
        residual[index % streams] = input;
    }
    let last = &residual[config.n_layer % streams];
    let (weight, bias) = (
        at(parameters, &layout.ln_f_weight),
        at(parameters, &layout.ln_f_bias),
    );
    layer_norm(
        final_normed,
        final_scales,
        last,
        weight,
        bias,
        config.layer_norm_epsilon,
    );
}

#[allow(clippy::too_many_arguments)]
fn run_block(
    config: &Gpt2Config,
    parameters: &[f32],
    ranges: &BlockRanges,
    shape: Shape,
    input: &[f32],
    output: &mut [f32],
    kept: &mut BlockActivations,
    scratch: &mut Scratch,
) {
    let (head_width, epsilon) = (config.head_width(), config.layer_norm_epsilon);
    let Scratch { projected, narrow } = scratch;
    before_attention(
        projected,
        &mut kept.normed_1,
        &mut kept.scales_1,
        input,
        parameters,
        ranges,
        epsilon,
    );
    let bias = at(parameters, &ranges.c_attn_bias);
    for (part, heads) in [&mut kept.queries, &mut kept.keys, &mut kept.values]
        .into_iter()
        .enumerate()
    {
        split_heads(heads, projected, bias, part, shape, head_width);
    }
    let head = shape.length * head_width;
    let inputs = kept
        .queries
        .par_chunks(head)
        .zip(kept.keys.par_chunks(head))
        .zip(kept.values.par_chunks(head));
    let heads = narrow.par_chunks_mut(head).zip(inputs);
    heads.for_each(|(output, ((queries, keys), values))| {
        with_scratch(|[scores, _]| attend(output, queries, keys, values, head_width, 0, scores));
    });
    merge_heads(&mut kept.attended, narrow, shape, config.n_embd, head_width);
    let buffers = AfterAttention {
        middle: &mut kept.middle,
        scales_2: &mut kept.scales_2,
        normed_2: &mut kept.normed_2,
        sums: &mut kept.sums,
        activated: &mut kept.activated,
        narrow,
    };
    after_attention(
        output,
        buffers,
        input,
        &kept.attended,
        parameters,
        ranges,
        epsilon,
    );
}
