//! How much memory a job needs, for those who give it.
//!
//! The estimates count the engine's own buffers exactly and leave out what is small (stacks, the tokenizer, a text and
//! its tokens); a caller should add some tens of megabytes.

use crate::config::Gpt2Config;
use crate::evaluate::Scorer;
use crate::network::{Activations, BackwardBuffers, HEAD_ROWS, Session, Shape};
use crate::train::TrainOptions;

const BYTES: u64 = 4;

/// Bytes that a [`Trainer`](crate::Trainer) holds: parameters, gradients, two moments, activations and the logits of
/// a few rows; not counting a checkpoint, which takes three times the parameters while it is written.
pub fn training_bytes(config: &Gpt2Config, options: &TrainOptions) -> u64 {
    let shape = Shape {
        batch: options.batch,
        length: options.sequence,
    };
    let state = 4 * config.parameter_count() as u64;
    let logits = (HEAD_ROWS.min(shape.rows()) * config.vocab_size) as u64;
    let held_out = Scorer::numbers(config, options.sequence);
    let working = Activations::numbers(config, shape, true) + BackwardBuffers::numbers(config, shape);
    BYTES * (state + logits + working + held_out)
}

/// Bytes that [`generate`](crate::generate()) holds at most: parameters, the cache of a full context, and the buffers
/// of a prompt that fills it.
pub fn inference_bytes(config: &Gpt2Config) -> u64 {
    let (context, width) = (config.n_positions, config.n_embd);
    let prompt = 17 * (context * width) as u64;
    BYTES
        * (config.parameter_count() as u64
            + Session::numbers(config, context)
            + prompt
            + 3 * config.vocab_size as u64)
}

/// Bytes that [`evaluate`](crate::evaluate()) holds: parameters and the activations of one block.
pub fn evaluation_bytes(config: &Gpt2Config) -> u64 {
    BYTES * (config.parameter_count() as u64 + Scorer::numbers(config, config.n_positions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_the_small_gpt2_are_what_its_sizes_say() {
        let config = Gpt2Config::new(50257, 1024, 768, 12, 12).unwrap();
        let options = TrainOptions {
            batch: 1,
            sequence: 1024,
            ..TrainOptions::default()
        };
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        // 124 M parameters four times over are 2.0 GB; 12 blocks keep 16 × 768 numbers for each of 1024 tokens: 0.6 GB.
        assert!((2.6..3.1).contains(&gigabytes(training_bytes(&config, &options))));
        assert!((0.55..0.75).contains(&gigabytes(inference_bytes(&config))));
        assert!((0.55..0.75).contains(&gigabytes(evaluation_bytes(&config))));
    }

    #[test]
    fn activations_allocate_what_is_counted() {
        let config = Gpt2Config::new(11, 8, 12, 3, 2).unwrap();
        let shape = Shape { batch: 2, length: 8 };
        for keep in [true, false] {
            let made = Activations::new(&config, shape, keep);
            let block = |block: &crate::network::BlockActivations| {
                2 * (block.scales_1.len() + block.scales_2.len())
                    + [
                        &block.normed_1,
                        &block.queries,
                        &block.keys,
                        &block.values,
                        &block.attended,
                        &block.middle,
                    ]
                    .into_iter()
                    .chain([&block.normed_2, &block.sums, &block.activated])
                    .map(Vec::len)
                    .sum::<usize>()
            };
            let allocated = made.residual.iter().map(Vec::len).sum::<usize>()
                + made.blocks.iter().map(block).sum::<usize>()
                + 2 * made.final_scales.len()
                + made.final_normed.len()
                + made.scratch.projected.len()
                + made.scratch.narrow.len();
            assert_eq!(
                Activations::numbers(&config, shape, keep),
                allocated as u64,
                "keep: {keep}"
            );
        }
    }
}
