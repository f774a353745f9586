//! How much memory a job needs, for those who give it.
//!
//! The estimates count the engine's own buffers exactly and leave out what is small (stacks, the tokenizer, a text and
//! its tokens); a caller should add some tens of megabytes.

use crate::config::Config;
use crate::evaluate::Scorer;
use crate::network::{Activations, BackwardBuffers, HEAD_ROWS, Session, Shape};
use crate::train::TrainOptions;

const BYTES: u64 = 4;

/// Bytes that a [`Trainer`](crate::Trainer) holds: parameters, gradients, two moments, activations and the logits of
/// a few rows; not counting a checkpoint, which takes three times the parameters while it is written.
pub fn training_bytes(config: &Config, options: &TrainOptions) -> u64 {
    let shape = Shape {
        batch: options.batch,
        length: options.sequence,
    };
    let state = 4 * config.parameter_count() as u64;
    let logits = (HEAD_ROWS.min(shape.rows()) * config.vocabulary) as u64;
    let held_out = Scorer::numbers(config, options.sequence);
    let working = Activations::numbers(config, shape, true) + BackwardBuffers::numbers(config, shape);
    BYTES * (state + logits + working + held_out)
}

/// Bytes that [`generate`](crate::generate()) holds at most: weights that take so many bytes in memory, the cache of a
/// full context, and the buffers with which a prompt that fills it is read.
pub fn inference_bytes(config: &Config, weights: u64) -> u64 {
    let context = config.context;
    // The sampler copies the logits twice.
    let sampling = 2 * config.vocabulary as u64;
    let working = Session::numbers(config, context) + Session::reading_numbers(config, context) + sampling;
    weights + BYTES * working
}

/// Bytes that [`evaluate`](crate::evaluate()) holds: weights that take so many bytes in memory, and the activations of
/// one block.
pub fn evaluation_bytes(config: &Config, weights: u64) -> u64 {
    weights + BYTES * Scorer::numbers(config, config.context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::variants;
    use crate::network::BlockActivations;

    #[test]
    fn estimates_of_the_small_gpt2_are_what_its_sizes_say() {
        let config = Config::gpt2(50257, 1024, 768, 12, 12).unwrap();
        let options = TrainOptions {
            batch: 1,
            sequence: 1024,
            ..TrainOptions::default()
        };
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        // 124 M parameters four times over are 2.0 GB; 12 blocks keep 10 × 768 numbers for each of 1024 tokens: 0.4 GB.
        assert!((2.4..2.8).contains(&gigabytes(training_bytes(&config, &options))));
        let (wide, quantised) = (
            4 * config.parameter_count() as u64,
            config.parameter_count() as u64 / 2,
        );
        for (stored, range) in [(wide, 0.55..0.75), (quantised, 0.1..0.3)] {
            assert!(range.contains(&gigabytes(inference_bytes(&config, stored))));
            assert!(range.contains(&gigabytes(evaluation_bytes(&config, stored))));
        }
    }

    #[test]
    fn activations_allocate_what_is_counted() {
        for config in variants() {
            let shape = Shape { batch: 2, length: 5 };
            for keep in [true, false] {
                let made = Activations::new(&config, shape, keep);
                let allocated = made.residual.iter().map(Vec::len).sum::<usize>()
                    + made.blocks.iter().map(block_numbers).sum::<usize>()
                    + 2 * made.final_scales.len()
                    + made.final_normed.len()
                    + made.scratch.projected.len()
                    + made.scratch.narrow.len()
                    + made.scratch.normed.len()
                    + made.scratch.activated.len()
                    + made.turns.map_or(0, |_| 5 * config.head_width);
                assert_eq!(
                    Activations::numbers(&config, shape, keep),
                    allocated as u64,
                    "keep: {keep}, {config:?}"
                );
            }
        }
    }

    fn block_numbers(block: &BlockActivations) -> usize {
        let inputs = block.head_inputs.iter().flatten();
        let inputs: usize = inputs
            .map(|inputs| inputs.values.len() + 2 * inputs.scales.len())
            .sum();
        let scales = 2 * (block.scales_1.len() + block.scales_2.len());
        let rows = [
            &block.queries,
            &block.keys,
            &block.values,
            &block.attended,
            &block.middle,
            &block.sums,
        ];
        inputs + scales + rows.into_iter().map(Vec::len).sum::<usize>()
    }
}
