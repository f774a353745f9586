//! Where each tensor lies in the one flat allocation of parameters (and of gradients and moments, which have the
//! same layout).

use std::ops::Range;

use crate::config::Gpt2Config;

/// One tensor's place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Name as in Hugging Face's GPT-2, without the `transformer.` prefix.
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

impl Entry {
    /// Weight decay acts on matrices only, not on biases and normalisations.
    pub fn decays(&self) -> bool {
        self.shape.len() == 2
    }
}

/// Places of one block's tensors. Matrices are stored `[in, out]`, as Hugging Face's `Conv1D` does.
#[derive(Clone, Debug)]
pub(crate) struct BlockRanges {
    pub ln_1_weight: Range<usize>,
    pub ln_1_bias: Range<usize>,
    /// `[width, 3 × width]`: queries, keys, values side by side.
    pub c_attn_weight: Range<usize>,
    pub c_attn_bias: Range<usize>,
    pub attn_proj_weight: Range<usize>,
    pub attn_proj_bias: Range<usize>,
    pub ln_2_weight: Range<usize>,
    pub ln_2_bias: Range<usize>,
    pub c_fc_weight: Range<usize>,
    pub c_fc_bias: Range<usize>,
    pub mlp_proj_weight: Range<usize>,
    pub mlp_proj_bias: Range<usize>,
}

/// Places of all tensors, in the canonical order: that of `GPT2LMHeadModel.named_parameters()`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub entries: Vec<Entry>,
    pub wte: Range<usize>,
    pub wpe: Range<usize>,
    pub blocks: Vec<BlockRanges>,
    pub ln_f_weight: Range<usize>,
    pub ln_f_bias: Range<usize>,
    /// Numbers in all tensors together.
    pub total: usize,
}

impl Layout {
    pub fn new(config: &Gpt2Config) -> Self {
        let width = config.n_embd;
        let mut builder = Builder {
            entries: Vec::new(),
            total: 0,
        };
        let wte = builder.add("wte.weight", &[config.vocab_size, width]);
        let wpe = builder.add("wpe.weight", &[config.n_positions, width]);
        let blocks = (0..config.n_layer)
            .map(|index| builder.add_block(index, width))
            .collect();
        let ln_f_weight = builder.add("ln_f.weight", &[width]);
        let ln_f_bias = builder.add("ln_f.bias", &[width]);
        let Builder { entries, total } = builder;
        Self {
            entries,
            wte,
            wpe,
            blocks,
            ln_f_weight,
            ln_f_bias,
            total,
        }
    }
}

struct Builder {
    entries: Vec<Entry>,
    total: usize,
}

impl Builder {
    fn add(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        let range = self.total..self.total + shape.iter().product::<usize>();
        self.total = range.end;
        self.entries.push(Entry {
            name: name.to_owned(),
            shape: shape.to_vec(),
            range: range.clone(),
        });
        range
    }

    fn add_block(&mut self, index: usize, width: usize) -> BlockRanges {
        let mut add = |name: &str, shape: &[usize]| self.add(&format!("h.{index}.{name}"), shape);
        BlockRanges {
            ln_1_weight: add("ln_1.weight", &[width]),
            ln_1_bias: add("ln_1.bias", &[width]),
            c_attn_weight: add("attn.c_attn.weight", &[width, 3 * width]),
            c_attn_bias: add("attn.c_attn.bias", &[3 * width]),
            attn_proj_weight: add("attn.c_proj.weight", &[width, width]),
            attn_proj_bias: add("attn.c_proj.bias", &[width]),
            ln_2_weight: add("ln_2.weight", &[width]),
            ln_2_bias: add("ln_2.bias", &[width]),
            c_fc_weight: add("mlp.c_fc.weight", &[width, 4 * width]),
            c_fc_bias: add("mlp.c_fc.bias", &[4 * width]),
            mlp_proj_weight: add("mlp.c_proj.weight", &[4 * width, width]),
            mlp_proj_bias: add("mlp.c_proj.bias", &[width]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_fill_the_allocation_without_gaps_and_match_the_count() {
        let config = Gpt2Config::new(11, 7, 6, 3, 2).unwrap();
        let layout = Layout::new(&config);
        let mut end = 0;
        for entry in &layout.entries {
            assert_eq!(entry.range.start, end, "{}", entry.name);
            end = entry.range.end;
        }
        assert_eq!(end, layout.total);
        assert_eq!(layout.total, config.parameter_count());
        assert_eq!(layout.entries[2].name, "h.0.ln_1.weight");
    }
}
