//! What the forward pass keeps.

use crate::config::Gpt2Config;
use crate::kernels::memory::zeros;
use crate::kernels::norm::RowScale;

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
    pub scratch: Scratch,
}

/// What one block keeps; the comments give the shapes.
pub(crate) struct BlockActivations {
    pub scales_1: Vec<RowScale>,
    /// `[rows, width]`
    pub normed_1: Vec<f32>,
    /// Head-major, each.
    pub queries: Vec<f32>,
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
    /// `[rows, width]`: what the heads found, side by side.
    pub attended: Vec<f32>,
    /// `[rows, width]`: the residual stream between attention and MLP.
    pub middle: Vec<f32>,
    pub scales_2: Vec<RowScale>,
    /// `[rows, width]`
    pub normed_2: Vec<f32>,
    /// `[rows, 4 × width]`: before the GELU, bias included.
    pub sums: Vec<f32>,
    /// `[rows, 4 × width]`: after it.
    pub activated: Vec<f32>,
}

/// Buffers that hold nothing from one step to the next.
pub(crate) struct Scratch {
    /// `[rows, 3 × width]`: queries, keys and values as they come from their product.
    pub projected: Vec<f32>,
    /// `[rows, width]`: product before it joins the residual stream, or head-major results.
    pub narrow: Vec<f32>,
}

impl Activations {
    pub fn new(config: &Gpt2Config, shape: Shape, keep: bool) -> Self {
        let (rows, width) = (shape.rows(), config.n_embd);
        let (streams, blocks) = if keep {
            (config.n_layer + 1, config.n_layer)
        } else {
            (2, 1)
        };
        Self {
            shape,
            residual: (0..streams).map(|_| zeros(rows * width)).collect(),
            blocks: (0..blocks).map(|_| BlockActivations::new(rows, width)).collect(),
            final_scales: vec![[0.0; 2]; rows],
            final_normed: zeros(rows * width),
            scratch: Scratch::new(rows, width),
        }
    }

    /// Numbers that [`new`](Self::new) allocates, for the memory estimates.
    pub fn numbers(config: &Gpt2Config, shape: Shape, keep: bool) -> u64 {
        let blocks = if keep { config.n_layer as u64 } else { 1 };
        let (rows, width) = (shape.rows() as u64, config.n_embd as u64);
        // Per row: a block keeps 15 widths and two scales of two numbers; the residual stream has one width for each
        // block and one more; then what the head reads with its scale, and the scratch.
        let kept = blocks * (16 * width + 4) + width;
        rows * (kept + width + 2 + 4 * width)
    }
}

impl BlockActivations {
    fn new(rows: usize, width: usize) -> Self {
        let row = || zeros(rows * width);
        Self {
            scales_1: vec![[0.0; 2]; rows],
            normed_1: row(),
            queries: row(),
            keys: row(),
            values: row(),
            attended: row(),
            middle: row(),
            scales_2: vec![[0.0; 2]; rows],
            normed_2: row(),
            sums: zeros(rows * 4 * width),
            activated: zeros(rows * 4 * width),
        }
    }
}

impl Scratch {
    pub fn new(rows: usize, width: usize) -> Self {
        Self {
            projected: zeros(rows * 3 * width),
            narrow: zeros(rows * width),
        }
    }
}
