//! The decoder in f64, as plainly as its definition.

use std::ops::Range;

use crate::config::Config;
use crate::layout::{Activation, BlockPlaces, Layout, Linear, Norm, Order};

/// The loss of one batch in f64, straight from the definition. Parameters are laid out as the model's.
pub(super) fn loss(
    config: &Config,
    parameters: &[f64],
    tokens: &[u32],
    targets: &[u32],
    length: usize,
) -> f64 {
    let layout = Layout::new(config);
    let reference = Reference {
        config,
        layout: &layout,
        parameters,
    };
    let sequences = tokens.chunks(length).zip(targets.chunks(length));
    let nats: f64 = sequences
        .map(|(tokens, targets)| reference.sequence(tokens, targets))
        .sum();
    nats / tokens.len() as f64
}

struct Reference<'a> {
    config: &'a Config,
    layout: &'a Layout,
    parameters: &'a [f64],
}

type Rows = Vec<Vec<f64>>;

impl Reference<'_> {
    fn at(&self, range: &Range<usize>) -> &[f64] {
        &self.parameters[range.clone()]
    }

    fn sequence(&self, tokens: &[u32], targets: &[u32]) -> f64 {
        let width = self.config.width;
        let row = |range, index: usize| &self.at(range)[index * width..(index + 1) * width];
        let mut stream: Rows = tokens
            .iter()
            .enumerate()
            .map(|(position, &token)| {
                let embedding = row(&self.layout.embedding, token as usize).to_vec();
                match &self.layout.positions {
                    Some(range) => sum(&embedding, row(range, position)),
                    None => embedding,
                }
            })
            .collect();
        for block in &self.layout.blocks {
            let found = self.attention(block, &rows(&stream, |row| self.norm(row, &block.norm_1)));
            let out = rows(&found, |row| self.linear(row, &block.attention_out));
            stream = add(&stream, &out);
            let out = rows(&stream, |row| self.mlp(block, &self.norm(row, &block.norm_2)));
            stream = add(&stream, &out);
        }
        stream
            .iter()
            .zip(targets)
            .map(|(stream, &target)| {
                let normed = self.norm(stream, &self.layout.last_norm);
                let logits: Vec<f64> = (0..self.config.vocabulary)
                    .map(|index| dot(row(&self.layout.head, index), &normed))
                    .collect();
                logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[target as usize]
            })
            .sum()
    }

    fn norm(&self, row: &[f64], norm: &Norm) -> Vec<f64> {
        let count = row.len() as f64;
        let (weight, mean) = match norm {
            Norm::Layer { weight, .. } => (weight, row.iter().sum::<f64>() / count),
            Norm::RootMeanSquare { weight } => (weight, 0.0),
        };
        let square = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let scale = 1.0 / (square + f64::from(self.config.epsilon)).sqrt();
        let scaled = row
            .iter()
            .zip(self.at(weight))
            .map(|(x, w)| (x - mean) * scale * w);
        match norm {
            Norm::Layer { bias, .. } => scaled.zip(self.at(bias)).map(|(x, b)| x + b).collect(),
            Norm::RootMeanSquare { .. } => scaled.collect(),
        }
    }

    fn linear(&self, row: &[f64], linear: &Linear) -> Vec<f64> {
        let (weight, inner, outer) = (self.at(&linear.weight), linear.inner, linear.outer);
        let sums = (0..outer).map(|o| {
            let weights = (0..inner).map(|i| match linear.order {
                Order::InOut => weight[i * outer + o],
                Order::OutIn => weight[o * inner + i],
            });
            row.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>()
        });
        match &linear.bias {
            Some(bias) => sums.zip(self.at(bias)).map(|(sum, b)| sum + b).collect(),
            None => sums.collect(),
        }
    }

    fn mlp(&self, block: &BlockPlaces, row: &[f64]) -> Vec<f64> {
        let sums = self.linear(row, &block.mlp_in);
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        let gelu = |x: f64| 0.5 * x * (1.0 + (scale * (x + 0.044715 * x * x * x)).tanh());
        let silu = |x: f64| x / (1.0 + (-x).exp());
        let inner: Vec<f64> = match block.activation {
            Activation::Gelu => sums.iter().map(|&x| gelu(x)).collect(),
            Activation::SwiGlu => (0..sums.len() / 2)
                .map(|index| silu(sums[index]) * sums[sums.len() / 2 + index])
                .collect(),
        };
        self.linear(&inner, &block.mlp_out)
    }

    /// One head's queries or keys, normalised and rotated where the model does so.
    fn turned(&self, head: &[f64], norm: Option<&Range<usize>>, position: usize) -> Vec<f64> {
        let mut head = match norm {
            Some(weight) => self.norm(
                head,
                &Norm::RootMeanSquare {
                    weight: weight.clone(),
                },
            ),
            None => head.to_vec(),
        };
        if let Some(rotary) = &self.config.rotary {
            let half = head.len() / 2;
            for (pair, frequency) in rotary.frequencies(head.len()).iter().enumerate() {
                let (sine, cosine) = (position as f64 * frequency).sin_cos();
                let (x, y) = (head[pair], head[pair + half]);
                head[pair] = (x * cosine - y * sine) * rotary.attention_factor();
                head[pair + half] = (y * cosine + x * sine) * rotary.attention_factor();
            }
        }
        head
    }

    fn attention(&self, block: &BlockPlaces, normed: &Rows) -> Rows {
        let config = self.config;
        let (width, queries, keys) = (config.head_width, config.query_width(), config.key_value_width());
        let joined = rows(normed, |row| self.linear(row, &block.attention_in));
        let norms = block.head_norms.as_ref();
        let head = |position: usize, first: usize, index: usize| {
            &joined[position][first + index * width..first + (index + 1) * width]
        };
        let turned_keys: Vec<Rows> = (0..config.key_value_heads)
            .map(|index| {
                (0..joined.len())
                    .map(|position| {
                        let key = head(position, queries, index);
                        self.turned(key, norms.map(|norms| &norms[1]), position)
                    })
                    .collect()
            })
            .collect();
        (0..joined.len())
            .map(|position| {
                let mut found = Vec::new();
                for index in 0..config.heads {
                    let shared = index / (config.heads / config.key_value_heads);
                    let query = self.turned(head(position, 0, index), norms.map(|norms| &norms[0]), position);
                    let powers: Vec<f64> = turned_keys[shared][..=position]
                        .iter()
                        .map(|key| (dot(&query, key) / (width as f64).sqrt()).exp())
                        .collect();
                    let total: f64 = powers.iter().sum();
                    found.extend((0..width).map(|column| {
                        (0..=position)
                            .map(|other| powers[other] / total * head(other, queries + keys, shared)[column])
                            .sum::<f64>()
                    }));
                }
                found
            })
            .collect()
    }
}

fn rows(input: &Rows, f: impl Fn(&[f64]) -> Vec<f64>) -> Rows {
    input.iter().map(|row| f(row)).collect()
}

fn add(one: &Rows, other: &Rows) -> Rows {
    one.iter().zip(other).map(|(a, b)| sum(a, b)).collect()
}

fn sum(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(a, b)| a + b).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}
