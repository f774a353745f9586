//! The forward pass with a cache of keys and values, for generation.

use super::activations::{HeadInputs, Scratch, Shape, turns, turns_numbers};
use super::attention::{HeadSize, KeyOrder, attend_all};
use super::block::{AfterAttention, Block, embed, normalise};
use super::heads::{Part, merge_heads};
use crate::config::Config;
use crate::kernels::memory::zeros;
use crate::kernels::norm::RowScale;
use crate::kernels::rotary::Turns;
use crate::model::Model;

/// Tokens that go through the blocks together: a long prompt takes no more memory than this many. Not a rule for bits,
/// as rows do not influence each other.
const ROWS_AT_ONCE: usize = 1024;

/// A sequence in progress: the keys and values of what it has read.
///
/// Reading tokens at once, one by one or in any parts gives the same bits.
pub(crate) struct Session<'a> {
    model: &'a Model,
    capacity: usize,
    /// Tokens read so far.
    position: usize,
    /// Per block, keys `[key-value heads, head width, capacity]` and values `[key-value heads, capacity, head width]`.
    cache: Vec<[Vec<f32>; 2]>,
    turns: Option<Turns>,
}

impl<'a> Session<'a> {
    /// A session that will read at most `capacity` tokens, which is no more than the model's context.
    pub fn new(model: &'a Model, capacity: usize) -> Self {
        let config = model.config();
        let size = capacity * config.key_value_width();
        let cache = (0..config.layers).map(|_| [zeros(size), zeros(size)]).collect();
        Self {
            model,
            capacity,
            position: 0,
            cache,
            turns: turns(config, capacity),
        }
    }

    /// Numbers that a session takes.
    pub fn numbers(config: &Config, capacity: usize) -> u64 {
        2 * (config.layers * config.key_value_width() * capacity) as u64 + turns_numbers(config, capacity)
    }

    /// Numbers that reading so many tokens at once takes besides.
    pub fn reading_numbers(config: &Config, tokens: usize) -> u64 {
        let rows = tokens.min(ROWS_AT_ONCE);
        let row = 3 * config.width + 2 + 2 * config.query_width() + config.expanded_width();
        rows as u64 * (row as u64 + HeadInputs::numbers(config) + Scratch::numbers(config, false))
            + (config.vocabulary + 2 * config.width) as u64
    }

    /// Reads tokens (at least one, and no more than fit) and gives the logits after the last of them. Runs in the
    /// current pool.
    pub fn read(&mut self, tokens: &[u32]) -> Vec<f32> {
        let (config, layout, weights) = (self.model.config(), self.model.layout(), self.model.weights());
        let mut last = Vec::new();
        for part in tokens.chunks(ROWS_AT_ONCE) {
            last = self.read_part(part);
        }
        let mut normed = vec![0.0; config.width];
        normalise(
            &mut normed,
            &mut [[0.0; 2]],
            &last,
            weights,
            &layout.last_norm,
            config.epsilon,
        );
        let mut logits = vec![0.0; config.vocabulary];
        weights.project(&mut logits, &normed, &layout.head_linear());
        logits
    }

    /// Reads a few tokens and gives the residual stream after the last of them.
    fn read_part(&mut self, tokens: &[u32]) -> Vec<f32> {
        let config = self.model.config();
        let (rows, layout) = (tokens.len(), self.model.layout());
        let mut buffers = Buffers::new(config, rows);
        embed(
            &mut buffers.stream,
            tokens,
            self.model.weights(),
            layout,
            rows,
            self.position,
        );
        for block in 0..config.layers {
            self.run_block(block, rows, &mut buffers);
        }
        self.position += rows;
        buffers.stream.split_off((rows - 1) * config.width)
    }

    fn run_block(&mut self, index: usize, rows: usize, buffers: &mut Buffers) {
        let config = self.model.config();
        let block = Block {
            config,
            weights: self.model.weights(),
            places: &self.model.layout().blocks[index],
            turns: self.turns.as_ref(),
        };
        let Scratch {
            projected, normed, ..
        } = &mut buffers.scratch;
        block.before_attention(projected, normed, &mut buffers.scales, &buffers.stream);
        let (first, cache) = (self.position, &mut self.cache[index]);
        remember(&block, cache, self.capacity, first, rows, buffers);
        let (queries, [keys, values]) = (&buffers.queries, cache);
        let Scratch {
            narrow,
            normed,
            activated,
            ..
        } = &mut buffers.scratch;
        let found = &mut narrow[..queries.len()];
        let size = HeadSize::new(config, rows, self.capacity);
        attend_all(found, [queries, keys, values], KeyOrder::ByNumber, size, first);
        merge_heads(&mut buffers.attended, found, one_sequence(rows), config);
        let (input, attended) = (&buffers.stream, &buffers.attended);
        let after = AfterAttention {
            middle: &mut buffers.middle,
            scales_2: &mut buffers.scales,
            normed,
            sums: &mut buffers.sums,
            activated,
            narrow: &mut narrow[..input.len()],
        };
        block.after_attention(&mut buffers.output, after, input, attended);
        std::mem::swap(&mut buffers.stream, &mut buffers.output);
    }
}

/// Takes the queries of new tokens at positions `first`.. out of their product, and puts their keys and values into the
/// cache.
fn remember(
    block: &Block<'_>,
    cache: &mut [Vec<f32>; 2],
    capacity: usize,
    first: usize,
    rows: usize,
    buffers: &mut Buffers,
) {
    let Buffers {
        queries,
        head_inputs,
        scratch: Scratch {
            projected, narrow, ..
        },
        ..
    } = buffers;
    let (config, shape) = (block.config, one_sequence(rows));
    let inputs = HeadInputs::of(head_inputs, Part::Queries);
    block.take_heads(queries, inputs, projected, Part::Queries, shape, first);
    let head_width = config.head_width;
    for (part, cache) in [Part::Keys, Part::Values].into_iter().zip(cache) {
        // `narrow` is free here: the new keys or values pass through it into their places.
        let fresh = &mut narrow[..rows * config.key_value_width()];
        let inputs = HeadInputs::of(head_inputs, part);
        block.take_heads(fresh, inputs, projected, part, shape, first);
        let heads = cache
            .chunks_exact_mut(capacity * head_width)
            .zip(fresh.chunks_exact(rows * head_width));
        for (cache, fresh) in heads {
            if part == Part::Values {
                cache[first * head_width..(first + rows) * head_width].copy_from_slice(fresh);
                continue;
            }
            for (number, cache) in cache.chunks_exact_mut(capacity).enumerate() {
                for (row, key) in cache[first..first + rows].iter_mut().enumerate() {
                    *key = fresh[row * head_width + number];
                }
            }
        }
    }
}

fn one_sequence(length: usize) -> Shape {
    Shape { batch: 1, length }
}

struct Buffers {
    stream: Vec<f32>,
    output: Vec<f32>,
    scales: Vec<RowScale>,
    head_inputs: Option<[HeadInputs; 2]>,
    queries: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    sums: Vec<f32>,
    scratch: Scratch,
}

impl Buffers {
    fn new(config: &Config, rows: usize) -> Self {
        let row = |width: usize| vec![0.0; rows * width];
        Self {
            stream: row(config.width),
            output: row(config.width),
            scales: vec![[0.0; 2]; rows],
            head_inputs: HeadInputs::pair(config, rows),
            queries: row(config.query_width()),
            attended: row(config.query_width()),
            middle: row(config.width),
            sums: row(config.expanded_width()),
            scratch: Scratch::new(config, rows, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::variants;

    #[test]
    fn a_session_allocates_what_is_counted() {
        for config in variants() {
            let model = Model::random(config.clone(), 1).unwrap();
            let session = Session::new(&model, 7);
            let cache: usize = session.cache.iter().flatten().map(Vec::len).sum();
            let turns = session.turns.map_or(0, |_| 7 * config.head_width);
            assert_eq!(Session::numbers(&config, 7), (cache + turns) as u64, "{config:?}");
            let made = Buffers::new(&config, 3);
            let inputs: usize = made
                .head_inputs
                .iter()
                .flatten()
                .map(|inputs| inputs.values.len() + 2 * inputs.scales.len())
                .sum();
            let rows = [
                &made.stream,
                &made.output,
                &made.queries,
                &made.attended,
                &made.middle,
                &made.sums,
                &made.scratch.projected,
                &made.scratch.narrow,
                &made.scratch.normed,
                &made.scratch.activated,
            ];
            let rows: usize = rows.into_iter().map(Vec::len).sum();
            let logits = config.vocabulary + 2 * config.width;
            assert_eq!(
                Session::reading_numbers(&config, 3),
                (rows + inputs + 2 * made.scales.len() + logits) as u64,
                "{config:?}"
            );
        }
    }
}
