//! What the forward pass keeps.

use super::heads::Part;
use crate::config::Config;
use crate::kernels::memory::zeros;
use crate::kernels::norm::RowScale;
use crate::kernels::rotary::Turns;

/// How many sequences of which length are processed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub batch: usize,
    pub length: usize,
}

impl Shape {
    /// Tokens in all sequences.
    pub fn rows(self) -> usize {
        self.batch * self.length
    }
}

/// Buffers of a forward pass of one shape, allocated once.
///
/// With `keep`, every block has its own, for the backward pass; without, all blocks share one.
pub(crate) struct Activations {
    pub shape: Shape,
    /// Inputs of the blocks, and the last block's output.
    pub residual: Vec<Vec<f32>>,
    pub blocks: Vec<BlockActivations>,
    pub final_scales: Vec<RowScale>,
    /// `[rows, width]`: what the head reads.
    pub final_normed: Vec<f32>,
    /// The angles of the positions, where they are rotary.
    pub turns: Option<Turns>,
    pub scratch: Scratch,
}

/// What one block keeps for the backward pass; the comments give the shapes. What a pass over numbers makes of these
/// again (normalised rows, activated ones) is not kept.
pub(crate) struct BlockActivations {
    pub scales_1: Vec<RowScale>,
    /// What the heads' normalisations of queries and keys read, where there are any.
    pub head_inputs: Option<[HeadInputs; 2]>,
    /// Head-major, each.
    pub queries: Vec<f32>,
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
    /// `[rows, query width]`: what the heads found, side by side.
    pub attended: Vec<f32>,
    /// `[rows, width]`: the residual stream between attention and MLP.
    pub middle: Vec<f32>,
    pub scales_2: Vec<RowScale>,
    /// `[rows, expanded width]`: before the activation, bias included.
    pub sums: Vec<f32>,
}

/// Queries or keys, head-major, before the normalisation of each head.
pub(crate) struct HeadInputs {
    pub values: Vec<f32>,
    pub scales: Vec<RowScale>,
}

/// Buffers that hold nothing from one block to the next.
pub(crate) struct Scratch {
    /// `[rows, joined width]`: queries, keys and values as they come from their product.
    pub projected: Vec<f32>,
    /// Product before it joins the residual stream, `[rows, width]`, or head-major results; as long as the longer.
    pub narrow: Vec<f32>,
    /// `[rows, width]`: what a normalisation gave, for the product that reads it.
    pub normed: Vec<f32>,
    /// `[rows, inner width]`: what the activation gave; empty where GELU takes the place of the sums.
    pub activated: Vec<f32>,
}

/// The angles of so many positions, where the model has rotary ones.
pub(crate) fn turns(config: &Config, positions: usize) -> Option<Turns> {
    let rotary = config.rotary.as_ref()?;
    let frequencies = rotary.frequencies(config.head_width);
    Some(Turns::new(&frequencies, rotary.attention_factor(), positions))
}

/// Numbers that [`turns`] takes.
pub(crate) fn turns_numbers(config: &Config, positions: usize) -> u64 {
    match config.rotary {
        Some(_) => Turns::numbers(config.head_width, positions),
        None => 0,
    }
}

impl Activations {
    pub fn new(config: &Config, shape: Shape, keep: bool) -> Self {
        let (rows, width) = (shape.rows(), config.width);
        let (streams, blocks) = if keep {
            (config.layers + 1, config.layers)
        } else {
            (2, 1)
        };
        Self {
            shape,
            residual: (0..streams).map(|_| zeros(rows * width)).collect(),
            blocks: (0..blocks).map(|_| BlockActivations::new(config, rows)).collect(),
            final_scales: vec![[0.0; 2]; rows],
            final_normed: zeros(rows * width),
            turns: turns(config, shape.length),
            scratch: Scratch::new(config, rows, keep),
        }
    }

    /// Numbers that [`new`](Self::new) allocates, for the memory estimates.
    pub fn numbers(config: &Config, shape: Shape, keep: bool) -> u64 {
        let blocks = if keep { config.layers as u64 } else { 1 };
        let (rows, width) = (shape.rows() as u64, config.width as u64);
        // The residual stream has one width for each block and one more; the head reads one, with its scale.
        let streams = (blocks + 1) * width;
        let scratch = Scratch::numbers(config, keep);
        rows * (blocks * BlockActivations::numbers(config) + streams + width + 2 + scratch)
            + turns_numbers(config, shape.length)
    }
}

impl BlockActivations {
    fn new(config: &Config, rows: usize) -> Self {
        let row = |width: usize| zeros(rows * width);
        Self {
            scales_1: vec![[0.0; 2]; rows],
            head_inputs: HeadInputs::pair(config, rows),
            queries: row(config.query_width()),
            keys: row(config.key_value_width()),
            values: row(config.key_value_width()),
            attended: row(config.query_width()),
            middle: row(config.width),
            scales_2: vec![[0.0; 2]; rows],
            sums: row(config.expanded_width()),
        }
    }

    /// Numbers for each row.
    fn numbers(config: &Config) -> u64 {
        let attention = 2 * config.query_width() + 2 * config.key_value_width();
        (config.width + attention + config.expanded_width() + 4) as u64 + HeadInputs::numbers(config)
    }
}

impl HeadInputs {
    /// Those of queries and of keys, where the model normalises them.
    pub fn pair(config: &Config, rows: usize) -> Option<[Self; 2]> {
        let inputs = |heads: usize| Self {
            values: zeros(rows * heads * config.head_width),
            scales: vec![[0.0; 2]; rows * heads],
        };
        config
            .head_norm
            .then(|| [config.heads, config.key_value_heads].map(inputs))
    }

    /// That of a part, where it has one.
    pub fn of(pair: &mut Option<[Self; 2]>, part: Part) -> Option<&mut Self> {
        pair.as_mut()?.get_mut(part as usize)
    }

    /// Numbers of a pair for each row.
    pub fn numbers(config: &Config) -> u64 {
        if config.head_norm {
            ((config.heads + config.key_value_heads) * (config.head_width + 2)) as u64
        } else {
            0
        }
    }
}

impl Scratch {
    /// Without `keep`, nothing reads the sums before an activation again.
    pub fn new(config: &Config, rows: usize, keep: bool) -> Self {
        Self {
            projected: zeros(rows * config.joined_width()),
            narrow: zeros(rows * config.width.max(config.query_width())),
            normed: zeros(rows * config.width),
            activated: zeros(rows * Self::activated_width(config, keep)),
        }
    }

    /// Numbers for each row.
    pub fn numbers(config: &Config, keep: bool) -> u64 {
        let narrow = config.width.max(config.query_width());
        let activated = Self::activated_width(config, keep);
        (config.joined_width() + narrow + config.width + activated) as u64
    }

    /// A gated activation is narrower than its sums and has a place of its own.
    fn activated_width(config: &Config, keep: bool) -> usize {
        if keep || config.expanded_width() > config.inner_width {
            config.inner_width
        } else {
            0
        }
    }
}
