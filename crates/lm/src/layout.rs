//! Where each tensor lies in the one flat allocation of parameters (and of gradients and moments, which have the
//! same layout).
//!
//! A tensor is stored exactly as Hugging Face's file of its family has it, so that importing, writing and committing
//! copy nothing around. GPT-2's matrices are therefore `[in, out]` (`Conv1D`), those of all others `[out, in]`
//! (`Linear`). No bit depends on it: a product's sums go in the order of k either way. Both are read in the order of
//! memory by one-row products: `[in, out]` row after row, `[out, in]` sixteen rows at a time, each along its k.
//! With `[out, in]`, matrices that read the same input are one matrix where they follow each other: the canonical order
//! puts `q_proj`, `k_proj`, `v_proj` side by side, then `gate_proj` and `up_proj`, and their biases behind them, so that
//! each group is one product, as GPT-2's `c_attn` is.

use std::ops::Range;

use crate::config::{AttentionBias, Config, Family};

/// One tensor's place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Name as in Hugging Face's file of the family; GPT-2's without the `transformer.` prefix.
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

/// The place of a normalisation's parameters, which also says which one it is.
#[derive(Clone, Debug)]
pub(crate) enum Norm {
    /// Weight and bias, one behind the other.
    Layer {
        weight: Range<usize>,
        bias: Range<usize>,
    },
    RootMeanSquare {
        weight: Range<usize>,
    },
}

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[in, out]`
    InOut,
    /// `[out, in]`
    OutIn,
}

/// The place of a projection: one matrix, or several that read the same input, seen as one.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub weight: Range<usize>,
    pub bias: Option<Range<usize>>,
    pub inner: usize,
    pub outer: usize,
    pub order: Order,
}

/// The MLP between its two projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// GELU of each number.
    Gelu,
    /// The SiLU of each number of the first half times its partner in the second.
    SwiGlu,
}

/// Places of one block's tensors.
#[derive(Clone, Debug)]
pub(crate) struct BlockPlaces {
    pub norm_1: Norm,
    /// To queries, keys and values side by side.
    pub attention_in: Linear,
    pub attention_out: Linear,
    /// Weights of the normalisations of each head's queries and keys, each `[head width]`.
    pub head_norms: Option<[Range<usize>; 2]>,
    pub norm_2: Norm,
    pub mlp_in: Linear,
    pub activation: Activation,
    pub mlp_out: Linear,
}

/// Places of all tensors, in the canonical order: GPT-2's is that of `GPT2LMHeadModel.named_parameters()`; that of the
/// others is the order of use, with the biases of a group behind its matrices.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub entries: Vec<Entry>,
    /// `[vocabulary, width]`
    pub embedding: Range<usize>,
    /// `[context, width]`, where positions are learnt.
    pub positions: Option<Range<usize>>,
    pub blocks: Vec<BlockPlaces>,
    pub last_norm: Norm,
    /// `[vocabulary, width]`: the embedding itself where the head is tied to it.
    pub head: Range<usize>,
    /// Numbers in all tensors together.
    pub total: usize,
}

impl Layout {
    pub fn new(config: &Config) -> Self {
        let builder = Builder {
            entries: Vec::new(),
            total: 0,
        };
        match config.family {
            Family::Gpt2 => builder.gpt2(config),
            _ => builder.llama(config),
        }
    }

    /// The head as a projection from the width to the vocabulary.
    pub fn head_linear(&self) -> Linear {
        self.by_tokens(&self.head)
    }

    /// All matrices of projections, in the order of the layout: the embedding among them, the head where it is another.
    pub fn linears(&self) -> Vec<Linear> {
        let mut linears = vec![self.by_tokens(&self.embedding)];
        for block in &self.blocks {
            let these = [
                &block.attention_in,
                &block.attention_out,
                &block.mlp_in,
                &block.mlp_out,
            ];
            linears.extend(these.into_iter().cloned());
        }
        if self.head != self.embedding {
            linears.push(self.head_linear());
        }
        linears
    }

    fn by_tokens(&self, range: &Range<usize>) -> Linear {
        let (vocabulary, width) = (self.entries[0].shape[0], self.entries[0].shape[1]);
        Linear {
            weight: range.clone(),
            bias: None,
            inner: width,
            outer: vocabulary,
            order: Order::OutIn,
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

    fn layer_norm(&mut self, name: &str, width: usize) -> Norm {
        Norm::Layer {
            weight: self.add(&format!("{name}.weight"), &[width]),
            bias: self.add(&format!("{name}.bias"), &[width]),
        }
    }

    fn root_mean_square(&mut self, name: &str, width: usize) -> Norm {
        Norm::RootMeanSquare {
            weight: self.add(&format!("{name}.weight"), &[width]),
        }
    }

    fn conv1d(&mut self, name: &str, inner: usize, outer: usize) -> Linear {
        Linear {
            weight: self.add(&format!("{name}.weight"), &[inner, outer]),
            bias: Some(self.add(&format!("{name}.bias"), &[outer])),
            inner,
            outer,
            order: Order::InOut,
        }
    }

    /// Matrices that read the same input, by their names and widths, and then their biases.
    fn linear(&mut self, prefix: &str, parts: &[(&str, usize)], inner: usize, biased: bool) -> Linear {
        let start = self.total;
        for (name, outer) in parts {
            self.add(&format!("{prefix}.{name}.weight"), &[*outer, inner]);
        }
        let end = self.total;
        if biased {
            for (name, outer) in parts {
                self.add(&format!("{prefix}.{name}.bias"), &[*outer]);
            }
        }
        Linear {
            weight: start..end,
            bias: biased.then_some(end..self.total),
            inner,
            outer: (end - start) / inner,
            order: Order::OutIn,
        }
    }

    fn gpt2(mut self, config: &Config) -> Layout {
        let embedding = self.add("wte.weight", &[config.vocabulary, config.width]);
        let positions = self.add("wpe.weight", &[config.context, config.width]);
        let blocks = (0..config.layers)
            .map(|index| self.gpt2_block(&format!("h.{index}"), config.width))
            .collect();
        let last_norm = self.layer_norm("ln_f", config.width);
        Layout {
            entries: self.entries,
            head: embedding.clone(),
            embedding,
            positions: Some(positions),
            blocks,
            last_norm,
            total: self.total,
        }
    }

    fn gpt2_block(&mut self, prefix: &str, width: usize) -> BlockPlaces {
        let name = |part: &str| format!("{prefix}.{part}");
        BlockPlaces {
            norm_1: self.layer_norm(&name("ln_1"), width),
            attention_in: self.conv1d(&name("attn.c_attn"), width, 3 * width),
            attention_out: self.conv1d(&name("attn.c_proj"), width, width),
            head_norms: None,
            norm_2: self.layer_norm(&name("ln_2"), width),
            mlp_in: self.conv1d(&name("mlp.c_fc"), width, 4 * width),
            activation: Activation::Gelu,
            mlp_out: self.conv1d(&name("mlp.c_proj"), 4 * width, width),
        }
    }

    fn llama(mut self, config: &Config) -> Layout {
        let embedding = self.add("model.embed_tokens.weight", &[config.vocabulary, config.width]);
        let blocks = (0..config.layers)
            .map(|index| self.llama_block(&format!("model.layers.{index}"), config))
            .collect();
        let last_norm = self.root_mean_square("model.norm", config.width);
        let head = if config.tied_head {
            embedding.clone()
        } else {
            self.add("lm_head.weight", &[config.vocabulary, config.width])
        };
        Layout {
            entries: self.entries,
            embedding,
            positions: None,
            blocks,
            last_norm,
            head,
            total: self.total,
        }
    }

    fn llama_block(&mut self, prefix: &str, config: &Config) -> BlockPlaces {
        let (width, inner) = (config.width, config.inner_width);
        let (queries, keys) = (config.query_width(), config.key_value_width());
        let name = |part: &str| format!("{prefix}.{part}");
        let (attention, mlp) = (name("self_attn"), name("mlp"));
        let bias = config.attention_bias;
        let parts = [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)];
        BlockPlaces {
            norm_1: self.root_mean_square(&name("input_layernorm"), width),
            attention_in: self.linear(&attention, &parts, width, bias != AttentionBias::None),
            attention_out: self.linear(
                &attention,
                &[("o_proj", width)],
                queries,
                bias == AttentionBias::All,
            ),
            head_norms: config.head_norm.then(|| {
                ["q_norm", "k_norm"]
                    .map(|part| self.add(&format!("{attention}.{part}.weight"), &[config.head_width]))
            }),
            norm_2: self.root_mean_square(&name("post_attention_layernorm"), width),
            mlp_in: self.linear(
                &mlp,
                &[("gate_proj", inner), ("up_proj", inner)],
                width,
                config.mlp_bias,
            ),
            activation: Activation::SwiGlu,
            mlp_out: self.linear(&mlp, &[("down_proj", width)], inner, config.mlp_bias),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::variants;

    #[test]
    fn tensors_fill_the_allocation_without_gaps_and_match_the_count() {
        for config in variants() {
            let layout = Layout::new(&config);
            let mut end = 0;
            for entry in &layout.entries {
                assert_eq!(entry.range.start, end, "{}", entry.name);
                end = entry.range.end;
            }
            assert_eq!(end, layout.total);
            assert_eq!(layout.total, config.parameter_count(), "{config:?}");
        }
    }

    #[test]
    fn projections_of_one_input_are_one_matrix() {
        let config = Config::llama(11, 7, 12, 2, 6, 2, 10).unwrap();
        let layout = Layout::new(&config);
        let names: Vec<&str> = layout.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names[2], "model.layers.0.self_attn.q_proj.weight");
        assert_eq!(names[names.len() - 1], "lm_head.weight");
        let block = &layout.blocks[1];
        assert_eq!(
            (block.attention_in.outer, block.attention_in.inner),
            (12 + 4 + 4, 12)
        );
        assert_eq!((block.mlp_in.outer, block.mlp_out.inner), (20, 10));
        assert_eq!(
            Layout::new(&Config::gpt2(11, 7, 6, 3, 2).unwrap()).entries[2].name,
            "h.0.ln_1.weight"
        );
    }
}
