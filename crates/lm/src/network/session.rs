//! The forward pass with a cache of keys and values, for generation.

use rayon::prelude::*;

use super::activations::{Scratch, Shape};
use super::attention::{attend, merge_heads, split_heads, with_scratch};
use super::block::{AfterAttention, after_attention, at, before_attention};
use crate::kernels::norm::{RowScale, layer_norm};
use crate::kernels::{Matrix, Start, Work, elementwise, multiply};
use crate::model::Model;

/// A sequence in progress: the keys and values of what it has read.
///
/// Reading tokens at once, one by one or in any parts gives the same bits.
pub(crate) struct Session<'a> {
    model: &'a Model,
    capacity: usize,
    /// Tokens read so far.
    position: usize,
    /// Per block, keys and values `[heads, capacity, head width]`.
    cache: Vec<[Vec<f32>; 2]>,
}

impl<'a> Session<'a> {
    /// A session that will read at most `capacity` tokens, which is no more than the model's context.
    pub fn new(model: &'a Model, capacity: usize) -> Self {
        let config = model.config();
        let size = capacity * config.n_embd;
        let cache = (0..config.n_layer)
            .map(|_| [vec![0.0; size], vec![0.0; size]])
            .collect();
        Self {
            model,
            capacity,
            position: 0,
            cache,
        }
    }

    /// Numbers that the cache of a session takes.
    pub fn numbers(config: &crate::Gpt2Config, capacity: usize) -> u64 {
        2 * (config.n_layer * config.n_embd * capacity) as u64
    }

    /// Reads tokens (at least one, and no more than fit) and gives the logits after the last of them. Runs in the
    /// current pool.
    pub fn read(&mut self, tokens: &[u32]) -> Vec<f32> {
        let (config, layout, parameters) =
            (self.model.config(), self.model.layout(), self.model.parameters());
        let (rows, width) = (tokens.len(), config.n_embd);
        let mut buffers = Buffers::new(rows, width);
        let embedding = at(parameters, &layout.wte);
        let positions = &at(parameters, &layout.wpe)[self.position * width..];
        elementwise::embed(&mut buffers.stream, tokens, embedding, positions, rows);
        for block in 0..config.n_layer {
            self.run_block(block, rows, &mut buffers);
        }
        self.position += rows;
        let last = &buffers.stream[(rows - 1) * width..];
        let (weight, bias) = (
            at(parameters, &layout.ln_f_weight),
            at(parameters, &layout.ln_f_bias),
        );
        let mut normed = vec![0.0; width];
        layer_norm(
            &mut normed,
            &mut [[0.0; 2]],
            last,
            weight,
            bias,
            config.layer_norm_epsilon,
        );
        let mut logits = vec![0.0; config.vocab_size];
        let head = Matrix::new(embedding, config.vocab_size, width).transposed();
        multiply(
            &mut logits,
            Start::Zero,
            Matrix::new(&normed, 1, width),
            head,
            Work::Shared,
        );
        logits
    }

    fn run_block(&mut self, block: usize, rows: usize, buffers: &mut Buffers) {
        let (config, parameters) = (self.model.config(), self.model.parameters());
        let ranges = &self.model.layout().blocks[block];
        let (head_width, epsilon) = (config.head_width(), config.layer_norm_epsilon);
        let Buffers {
            stream,
            output,
            normed,
            scales,
            queries,
            attended,
            middle,
            sums,
            activated,
            scratch,
        } = buffers;
        let Scratch { projected, narrow } = scratch;
        before_attention(projected, normed, scales, stream, parameters, ranges, epsilon);
        let shape = Shape {
            batch: 1,
            length: rows,
        };
        let bias = at(parameters, &ranges.c_attn_bias);
        split_heads(queries, projected, bias, 0, shape, head_width);
        let head = self.capacity * head_width;
        let new = self.position * head_width..(self.position + rows) * head_width;
        for (part, cache) in self.cache[block].iter_mut().enumerate() {
            // `narrow` is free here: the new keys or values pass through it into their places.
            split_heads(narrow, projected, bias, part + 1, shape, head_width);
            for (cache, fresh) in cache
                .chunks_exact_mut(head)
                .zip(narrow.chunks_exact(rows * head_width))
            {
                cache[new.clone()].copy_from_slice(fresh);
            }
        }
        let [keys, values] = &self.cache[block];
        let first = self.position;
        let inputs = queries
            .par_chunks(rows * head_width)
            .zip(keys.par_chunks(head))
            .zip(values.par_chunks(head));
        narrow.par_chunks_mut(rows * head_width).zip(inputs).for_each(
            |(output, ((queries, keys), values))| {
                with_scratch(|[scores, _]| attend(output, queries, keys, values, head_width, first, scores));
            },
        );
        merge_heads(attended, narrow, shape, config.n_embd, head_width);
        let after = AfterAttention {
            middle,
            scales_2: scales,
            normed_2: normed,
            sums,
            activated,
            narrow,
        };
        after_attention(output, after, stream, attended, parameters, ranges, epsilon);
        std::mem::swap(stream, output);
    }
}

struct Buffers {
    stream: Vec<f32>,
    output: Vec<f32>,
    normed: Vec<f32>,
    scales: Vec<RowScale>,
    queries: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    sums: Vec<f32>,
    activated: Vec<f32>,
    scratch: Scratch,
}

impl Buffers {
    fn new(rows: usize, width: usize) -> Self {
        let row = || vec![0.0; rows * width];
        Self {
            stream: row(),
            output: row(),
            normed: row(),
            scales: vec![[0.0; 2]; rows],
            queries: row(),
            attended: row(),
            middle: row(),
            sums: vec![0.0; 4 * rows * width],
            activated: vec![0.0; 4 * rows * width],
            scratch: Scratch::new(rows, width),
        }
    }
}
