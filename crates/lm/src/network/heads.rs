//! From rows, with all heads side by side, to head-major and back.

use rayon::prelude::*;

use super::activations::Shape;
use crate::config::Config;

/// Which of the three that attention reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Queries,
    Keys,
    Values,
}

/// The columns that a part takes in the rows of all three.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub first: usize,
    pub heads: usize,
    pub head_width: usize,
    /// Width of a row.
    pub of: usize,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Queries, Self::Keys, Self::Values];

    pub fn columns(self, config: &Config) -> Columns {
        let (queries, keys) = (config.query_width(), config.key_value_width());
        let (first, heads) = match self {
            Self::Queries => (0, config.heads),
            Self::Keys => (queries, config.key_value_heads),
            Self::Values => (queries + keys, config.key_value_heads),
        };
        Columns {
            first,
            heads,
            head_width: config.head_width,
            of: config.joined_width(),
        }
    }

    /// Its own of a pair that only queries and keys have.
    pub fn of<T>(self, pair: &[T; 2]) -> Option<&T> {
        pair.get(self as usize)
    }
}

/// Heads of so many numbers that are worth a task: those of a single token are moved faster than a thread wakes up.
fn heads_per_task(numbers: usize) -> usize {
    const PIECE: usize = 8192;
    (PIECE / numbers).max(1)
}

/// Takes one part of `projected` `[rows, joined width]`, adds its bias where the rows have one, head-major.
pub(crate) fn split_heads(
    heads: &mut [f32],
    projected: &[f32],
    bias: Option<&[f32]>,
    columns: Columns,
    length: usize,
) {
    let Columns {
        first,
        heads: count,
        head_width,
        of,
    } = columns;
    heads
        .par_chunks_mut(length * head_width)
        .enumerate()
        .with_min_len(heads_per_task(length * head_width))
        .for_each(|(index, head)| {
            let (sequence, column) = (index / count, first + (index % count) * head_width);
            let bias = bias.map(|bias| &bias[column..column + head_width]);
            for (position, values) in head.chunks_exact_mut(head_width).enumerate() {
                let start = (sequence * length + position) * of + column;
                let row = &projected[start..start + head_width];
                match bias {
                    Some(bias) => {
                        for ((value, x), b) in values.iter_mut().zip(row).zip(bias) {
                            *value = x + b;
                        }
                    }
                    None => values.copy_from_slice(row),
                }
            }
        });
}

/// Lays head-major results side by side: `[rows, query width]`.
pub(crate) fn merge_heads(output: &mut [f32], heads: &[f32], shape: Shape, config: &Config) {
    let (width, head_width, count) = (config.query_width(), config.head_width, config.heads);
    output
        .par_chunks_mut(width)
        .enumerate()
        .with_min_len(32)
        .for_each(|(row, output)| {
            let (sequence, position) = (row / shape.length, row % shape.length);
            for (head, output) in output.chunks_exact_mut(head_width).enumerate() {
                let start = ((sequence * count + head) * shape.length + position) * head_width;
                for (value, &found) in output.iter_mut().zip(&heads[start..]) {
                    // −0 becomes +0: see `attend`.
                    *value = found + 0.0;
                }
            }
        });
}

/// The inverse of [`merge_heads`].
pub(crate) fn unmerge_heads(heads: &mut [f32], rows: &[f32], shape: Shape, config: &Config) {
    let (width, head_width, count) = (config.query_width(), config.head_width, config.heads);
    heads
        .par_chunks_mut(shape.length * head_width)
        .enumerate()
        .with_min_len(heads_per_task(shape.length * head_width))
        .for_each(|(index, head)| {
            let (sequence, column) = (index / count, (index % count) * head_width);
            for (position, values) in head.chunks_exact_mut(head_width).enumerate() {
                let start = (sequence * shape.length + position) * width + column;
                values.copy_from_slice(&rows[start..start + head_width]);
            }
        });
}

/// The inverse of [`split_heads`] for all three parts: `[rows, joined width]`.
pub(crate) fn join_parts(joined: &mut [f32], parts: [&[f32]; 3], shape: Shape, config: &Config) {
    let head_width = config.head_width;
    let columns = Part::ALL.map(|part| part.columns(config));
    joined
        .par_chunks_mut(config.joined_width())
        .enumerate()
        .with_min_len(32)
        .for_each(|(row, joined)| {
            let (sequence, position) = (row / shape.length, row % shape.length);
            for (columns, part) in columns.iter().zip(parts) {
                let width = columns.heads * head_width;
                let joined = &mut joined[columns.first..columns.first + width];
                for (head, values) in joined.chunks_exact_mut(head_width).enumerate() {
                    let start = ((sequence * columns.heads + head) * shape.length + position) * head_width;
                    values.copy_from_slice(&part[start..start + head_width]);
                }
            }
        });
}
