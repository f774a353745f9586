//! What a model's head tells, for those who choose one.

use posthuman_types::{
    ArchitectureFacts, MemoryNeeds, ModelDetails, SpecialToken, TensorShare, TokenizerFacts,
};

use crate::arithmetic::Arithmetic;
use crate::bundle::BundleHeader;
use crate::error::Result;
use crate::kernels::quantised::panel_bytes;
use crate::layout::{Layout, Order};
use crate::limits::{evaluation_bytes, inference_bytes, training_bytes};
use crate::tensor_type::TensorType;
use crate::tokenizer::Tokenizer;
use crate::train::TrainOptions;

/// The training whose memory is told: as large as one usually begins with.
const TRAINING_BATCH: usize = 8;
const TRAINING_SEQUENCE: usize = 128;
/// Characters of a special token that are told.
const TOKEN_CHARACTERS: usize = 40;
/// Tokens that end a text that are told.
const TOLD_ENDS: usize = 8;

impl BundleHeader {
    /// The shape of the model, how its weights are stored, its tokenizer, and the memory that it needs.
    pub fn describe(&self) -> ArchitectureFacts {
        let config = &self.config;
        ArchitectureFacts {
            family: config.family.name().to_owned(),
            layers: number(config.layers),
            heads: number(config.heads),
            width: number(config.width),
            context: number(config.context),
            vocabulary: number(config.vocabulary),
            parameters: config.parameter_count() as u64,
            precision: self.precision(),
            details: Some(ModelDetails {
                key_value_heads: number(config.key_value_heads),
                head_width: number(config.head_width),
                inner_width: number(config.inner_width),
                tensors: self.shares(),
                tokenizer: tokenizer(&self.tokenizer),
                chat_template: self.extras.chat_template.is_some(),
                memory: self.memory(),
            }),
        }
    }

    /// How most values are stored: `f32`, `f16` or `bf16`; where some are quantised, the type of most of these, such as
    /// `Q4_1`.
    pub fn precision(&self) -> String {
        let mut counts: Vec<(TensorType, u64)> = Vec::new();
        for (kind, values) in self.values() {
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += values,
                None => counts.push((kind, values)),
            }
        }
        // Of equally many the first one in canonical order.
        counts.sort_by_key(|&(kind, count)| std::cmp::Reverse((kind.is_quantised(), count)));
        let kind = counts.first().map_or(TensorType::F32, |&(kind, _)| kind);
        if kind.is_quantised() {
            kind.name().to_owned()
        } else {
            kind.name().to_ascii_lowercase()
        }
    }

    /// Checks that products with its tensors can be computed in an arithmetic.
    ///
    /// # Errors
    /// As [`Model::with_arithmetic`](crate::Model::with_arithmetic).
    pub fn check_arithmetic(&self, arithmetic: Arithmetic) -> Result<()> {
        let layout = Layout::new(&self.config);
        let names = layout.entries.iter().map(|entry| entry.name.as_str());
        arithmetic.check(names.zip(self.kinds.iter().copied()))
    }

    /// Type and number of values of each tensor, in canonical order.
    fn values(&self) -> impl Iterator<Item = (TensorType, u64)> {
        let entries = Layout::new(&self.config).entries;
        let kinds = self.kinds.iter().copied();
        kinds.zip(entries.into_iter().map(|entry| entry.range.len() as u64))
    }

    fn shares(&self) -> Vec<TensorShare> {
        let mut shares: Vec<TensorShare> = Vec::new();
        for (kind, values) in self.values() {
            let bytes = kind.bytes_of(values as usize);
            match shares.iter_mut().find(|share| share.kind == kind.name()) {
                Some(share) => share.bytes += bytes,
                None => shares.push(TensorShare {
                    kind: kind.name().to_owned(),
                    bytes,
                }),
            }
        }
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        shares
    }

    /// Bytes of all tensors as they are held: blocks regrouped, and f16 as f32 where a matrix is stored by its inputs.
    fn bytes_in_memory(&self) -> u64 {
        let layout = Layout::new(&self.config);
        let by_inputs = layout.linears().iter().any(|linear| linear.order == Order::InOut);
        let bytes = |(kind, values): (TensorType, u64)| match kind {
            TensorType::F16 if by_inputs => TensorType::F32.bytes_of(values as usize),
            _ => panel_bytes(kind, values).unwrap_or_else(|| kind.bytes_of(values as usize)),
        };
        self.values().map(bytes).sum()
    }

    fn memory(&self) -> MemoryNeeds {
        let weights = self.bytes_in_memory();
        let options = TrainOptions {
            batch: TRAINING_BATCH,
            sequence: TRAINING_SEQUENCE.min(self.config.context),
            ..TrainOptions::default()
        };
        MemoryNeeds {
            inference: inference_bytes(&self.config, weights),
            evaluation: evaluation_bytes(&self.config, weights),
            training: training_bytes(&self.config, &options),
            training_batch: number(options.batch),
            training_sequence: number(options.sequence),
        }
    }
}

fn tokenizer(tokenizer: &Tokenizer) -> TokenizerFacts {
    let token = |id: u32| SpecialToken {
        id,
        text: beginning(tokenizer.token_bytes(id).unwrap_or_default()),
    };
    let begin = tokenizer.bos_token().filter(|_| tokenizer.adds_bos());
    TokenizerFacts {
        kind: tokenizer.kind().to_owned(),
        tokens: number(tokenizer.vocabulary()),
        begin: begin.map(token),
        ends: tokenizer
            .eos_tokens()
            .iter()
            .take(TOLD_ENDS)
            .map(|&id| token(id))
            .collect(),
    }
}

/// A text that says enough of a token. A tokenizer's author chooses how long its names are.
fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(TOKEN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bundle, Config, Model, SpecialTokens};

    fn bundle() -> Bundle {
        let tokenizer = Tokenizer::train(&["a cat sat on a mat"], 257).unwrap();
        let model = Model::random(Config::llama(257, 64, 32, 2, 4, 2, 96).unwrap(), 1).unwrap();
        Bundle::new(model, tokenizer).unwrap()
    }

    #[test]
    fn a_head_tells_shape_types_tokens_and_memory() {
        let header = bundle().header();
        let facts = header.describe();
        let details = facts.details.unwrap();
        assert_eq!(
            (facts.family.as_str(), facts.precision.as_str()),
            ("llama", "f32")
        );
        assert_eq!(
            (details.key_value_heads, details.head_width, details.inner_width),
            (2, 8, 96)
        );
        assert_eq!(details.tensors.len(), 1);
        assert_eq!(details.tensors[0].bytes, 4 * facts.parameters);
        assert_eq!(header.bytes_in_memory(), 4 * facts.parameters);
        assert_eq!(
            (details.tokenizer.kind.as_str(), details.tokenizer.tokens),
            ("byte-level BPE", 257)
        );
        assert_eq!(details.tokenizer.begin, None);
        assert_eq!(details.tokenizer.ends[0].text, "<|endoftext|>");
        assert!(!details.chat_template);
        assert_eq!(details.memory.training_sequence, 64);
        assert!(details.memory.training > 4 * details.memory.evaluation.min(4 * facts.parameters));
    }

    #[test]
    fn the_most_common_type_is_told_and_that_of_blocks_goes_first() {
        let rounded = bundle().into_parts().0.rounded_to_bf16().unwrap();
        let tokenizer = bundle().tokenizer().clone();
        let mut header = Bundle::new(rounded, tokenizer).unwrap().header();
        assert_eq!(header.precision(), "bf16");
        let kinds: Vec<String> = header.shares().into_iter().map(|share| share.kind).collect();
        assert_eq!(kinds, ["BF16", "F32"]);
        header
            .check_arithmetic(Arithmetic::Bf16(crate::Bf16Set::Portable))
            .unwrap();
        let last = header.kinds.len() - 1;
        header.kinds[last] = TensorType::Q4_1;
        assert_eq!(header.precision(), "Q4_1");
        let values = header.values().last().unwrap().1;
        let q4_1 = header.bytes_in_memory();
        assert_eq!(panel_bytes(TensorType::Q4_1, values), Some(values * 5 / 8));
        header.kinds[last] = TensorType::Q5_1;
        assert_eq!(
            header.bytes_in_memory() - q4_1,
            values / 2,
            "9 bits for each value and not 5"
        );
        header.kinds[last] = TensorType::Q4_1;
        let error = header.check_arithmetic(Arithmetic::Bf16(crate::Bf16Set::Portable));
        assert!(error.unwrap_err().to_string().contains("stored in Q4_1"));
        header.check_arithmetic(Arithmetic::F32).unwrap();
    }

    #[test]
    fn long_names_and_many_ends_are_cut() {
        let special = SpecialTokens {
            adds_bos: true,
            bos: Some(0),
            eos: (0..20).collect(),
        };
        let tokenizer = bundle().tokenizer().clone().with_special_tokens(special).unwrap();
        let facts = super::tokenizer(&tokenizer);
        assert_eq!(
            (facts.begin.map(|token| token.id), facts.ends.len()),
            (Some(0), TOLD_ENDS)
        );
        let long = beginning("é".repeat(100).as_bytes());
        assert_eq!(long, format!("{}…", "é".repeat(TOKEN_CHARACTERS)));
        assert_eq!(beginning(b"</s>"), "</s>");
    }
}
