//! What a model is, as far as everybody may know.

use serde::{Deserialize, Serialize};

use crate::{Operation, Parameters, Precision};

/// Shape of a model and how its weights are stored: in its DDO, and as the market shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchitectureFacts {
    /// As `model_type` of a `config.json` names it: `gpt2`, `llama`, `mistral`, `qwen2`, `qwen3`.
    pub family: String,
    /// Transformer blocks.
    pub layers: u32,
    /// Attention heads per block.
    pub heads: u32,
    /// Width of the residual stream.
    pub width: u32,
    /// Longest sequence, in tokens.
    pub context: u32,
    /// Entries of the vocabulary.
    pub vocabulary: u32,
    /// Number of weights.
    pub parameters: u64,
    /// How most weights are stored: `f32`, `f16` or `bf16`; where some are in blocks that share scales, the type of most
    /// of these, such as `Q4_1`.
    pub precision: String,
    /// What there is to know besides. Models that were published before it was told have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<ModelDetails>,
}

/// What a model's files tell besides its shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDetails {
    /// Heads of keys and values per block.
    pub key_value_heads: u32,
    /// Width of one head.
    pub head_width: u32,
    /// Width of the MLP between its projections.
    pub inner_width: u32,
    /// The types that tensors are stored in, that with the most bytes first.
    pub tensors: Vec<TensorShare>,
    /// Its tokenizer.
    pub tokenizer: TokenizerFacts,
    /// Whether it has a chat template, and can be talked to.
    pub chat_template: bool,
    /// Memory that the operations need.
    pub memory: MemoryNeeds,
}

/// The tensors of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorShare {
    /// The type, as GGUF names it: `F32`, `BF16`, `Q4_1`.
    pub kind: String,
    /// Bytes of all tensors that are stored so.
    pub bytes: u64,
}

/// A tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerFacts {
    /// How it makes tokens, in words.
    pub kind: String,
    /// How many tokens it has.
    pub tokens: u32,
    /// The token that is put before every text, if one is.
    pub begin: Option<SpecialToken>,
    /// Tokens that end a text, the usual one first. The first few, where there are many.
    pub ends: Vec<SpecialToken>,
}

/// A token with a meaning of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialToken {
    /// Its number.
    pub id: u32,
    /// How it is written; the beginning of it, where that is long.
    pub text: String,
}

/// Bytes of memory that a worker needs for its buffers. Stacks, tokenizer and texts come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryNeeds {
    /// To answer a prompt that fills the context.
    pub inference: u64,
    /// To score a text.
    pub evaluation: u64,
    /// To train on `training_batch` sequences of `training_sequence` tokens at once.
    pub training: u64,
    /// See `training`.
    pub training_batch: u32,
    /// See `training`.
    pub training_sequence: u32,
}

impl ArchitectureFacts {
    /// Whether some weights are in blocks that share scales.
    pub fn is_quantised(&self) -> bool {
        !["f32", "f16", "bf16"].contains(&self.precision.as_str())
    }

    /// Checks that a job on the model can be computed in the precision that it asks for. A training can always: it begins
    /// with the values that quantised weights stand for.
    ///
    /// # Errors
    /// What is wrong and what to do, as a sentence without its end.
    pub fn check_precision(&self, parameters: &Parameters) -> Result<(), String> {
        let precision = parameters.precision();
        let trains = parameters.operation() == Operation::Train;
        if precision == Precision::F32 || trains || !self.is_quantised() {
            return Ok(());
        }
        Err(format!(
            "its weights are quantised ({}) and computed in whole numbers, not in {precision}; leave the precision away",
            self.precision
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EvaluateParameters;

    #[test]
    fn quantised_weights_are_not_computed_in_bf16() {
        let stored = |precision: &str| ArchitectureFacts {
            family: "llama".to_owned(),
            layers: 1,
            heads: 1,
            width: 32,
            context: 8,
            vocabulary: 300,
            parameters: 1,
            precision: precision.to_owned(),
            details: None,
        };
        let evaluate = |precision| {
            Parameters::Evaluate(EvaluateParameters {
                bootstrap_samples: 100,
                seed: 1,
                precision,
            })
        };
        for plain in ["f32", "f16", "bf16"] {
            stored(plain).check_precision(&evaluate(Precision::Bf16)).unwrap();
        }
        stored("Q4_1").check_precision(&evaluate(Precision::F32)).unwrap();
        let sentence = stored("Q4_1")
            .check_precision(&evaluate(Precision::Bf16))
            .unwrap_err();
        assert!(
            sentence.contains("(Q4_1)") && sentence.contains("not in bf16"),
            "{sentence}"
        );
        let json = serde_json::to_string(&stored("f32")).unwrap();
        assert!(!json.contains("details"), "{json}");
    }
}
