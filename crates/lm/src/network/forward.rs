//! The forward pass over whole sequences.

use super::activations::{Activations, BlockActivations, HeadInputs, Scratch, Shape};
use super::attention::{HeadSize, KeyOrder, attend_all};
use super::block::{AfterAttention, Block, embed, normalise};
use super::heads::{Part, merge_heads};
use crate::config::Config;
use crate::layout::Layout;
use crate::weights::Weights;

/// Runs `tokens` `[batch, length]`, each sequence from position 0, up to the input of the head, which is left in
/// `final_normed`. Runs in the current pool.
pub(crate) fn forward(
    config: &Config,
    layout: &Layout,
    weights: Weights<'_>,
    tokens: &[u32],
    activations: &mut Activations,
) {
    let Activations {
        shape,
        residual,
        blocks,
        final_scales,
        final_normed,
        turns,
        scratch,
    } = activations;
    let (streams, kept) = (residual.len(), blocks.len());
    embed(&mut residual[0], tokens, weights, layout, shape.length, 0);
    for (index, places) in layout.blocks.iter().enumerate() {
        // Taken out to borrow two of the streams at once; without `keep` there are only two, used in turn.
        let input = std::mem::take(&mut residual[index % streams]);
        let output = &mut residual[(index + 1) % streams];
        let block = Block {
            config,
            weights,
            places,
            turns: turns.as_ref(),
        };
        run_block(block, *shape, &input, output, &mut blocks[index % kept], scratch);
        residual[index % streams] = input;
    }
    let last = &residual[config.layers % streams];
    normalise(
        final_normed,
        final_scales,
        last,
        weights,
        &layout.last_norm,
        config.epsilon,
    );
}

fn run_block(
    block: Block<'_>,
    shape: Shape,
    input: &[f32],
    output: &mut [f32],
    kept: &mut BlockActivations,
    scratch: &mut Scratch,
) {
    let config = block.config;
    let Scratch {
        projected,
        narrow,
        normed,
        activated,
    } = scratch;
    block.before_attention(projected, normed, &mut kept.scales_1, input);
    for (part, heads) in Part::ALL
        .into_iter()
        .zip([&mut kept.queries, &mut kept.keys, &mut kept.values])
    {
        let inputs = HeadInputs::of(&mut kept.head_inputs, part);
        block.take_heads(heads, inputs, projected, part, shape, 0);
    }
    let found = &mut narrow[..kept.queries.len()];
    let inputs = [&kept.queries[..], &kept.keys, &kept.values];
    attend_all(
        found,
        inputs,
        KeyOrder::ByPosition,
        HeadSize::new(config, shape.length, shape.length),
        0,
    );
    merge_heads(&mut kept.attended, found, shape, config);
    let buffers = AfterAttention {
        middle: &mut kept.middle,
        scales_2: &mut kept.scales_2,
        normed,
        sums: &mut kept.sums,
        activated,
        narrow: &mut narrow[..input.len()],
    };
    block.after_attention(output, buffers, input, &kept.attended);
}
