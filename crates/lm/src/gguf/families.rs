//! The architectures that have a counterpart among Hugging Face's: their options and the names of their tensors.

mod gpt2;
mod llama;

use serde_json::{Map, Value, json};

use super::GgufFile;
use super::metadata::GgufMetadata;
use super::model::{Arrangement, EMBEDDING};
use crate::error::{Error, Result};

const ARCHITECTURE_KEY: &str = "general.architecture";
/// Keys of a `config.json`, and what follows the architecture's name in the metadata keys that they are read from.
const CONFIG_KEYS: [(&str, &str); 15] = [
    ("head_dim", "attention.key_length"),
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("layer_norm_epsilon", "attention.layer_norm_epsilon"),
    ("max_position_embeddings", "context_length"),
    ("n_embd", "embedding_length"),
    ("n_head", "attention.head_count"),
    ("n_inner", "feed_forward_length"),
    ("n_layer", "block_count"),
    ("n_positions", "context_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_hidden_layers", "block_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("rope_theta", "rope.freq_base"),
];

/// An architecture by its name in `general.architecture`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Llama 2 and 3, SmolLM2, Mistral.
    Llama,
    Qwen2,
    Qwen3,
    Gpt2,
}

impl Family {
    pub(super) fn of(metadata: &GgufMetadata<'_>) -> Result<Self> {
        match metadata.text(ARCHITECTURE_KEY)? {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            "gpt2" => Ok(Self::Gpt2),
            other => Err(Error::gguf_key(
                ARCHITECTURE_KEY,
                format!(
                    "is `{}`: `llama`, `qwen2`, `qwen3` and `gpt2` are supported",
                    super::metadata::shown(other)
                ),
            )),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gpt2 => "gpt2",
        }
    }

    /// Whether positions are rotations, rather than learnt.
    pub(super) fn is_rotary(self) -> bool {
        self != Self::Gpt2
    }

    /// What is wrong with a key of the `config.json` that a file was read as, said of the file.
    pub(super) fn error_of_config(self, key: &str, problem: &str) -> Error {
        let mut problem = problem.to_owned();
        for (other, of_file) in CONFIG_KEYS {
            problem = problem.replace(&format!("`{other}`"), &format!("`{}.{of_file}`", self.name()));
        }
        if key == "vocab_size" {
            return Error::tensor(
                EMBEDDING,
                format!("has rows for a vocabulary whose size {problem}"),
            );
        }
        match CONFIG_KEYS.iter().find(|(other, _)| *other == key) {
            Some((_, of_file)) => Error::gguf_key(format!("{}.{of_file}", self.name()), problem),
            None if key.starts_with("rope") || key.ends_with("_factor") => Error::gguf_key(
                format!("{}.rope.scaling.type", self.name()),
                format!("asks for a scaling whose `{key}` {problem}"),
            ),
            None => Error::gguf_key(
                ARCHITECTURE_KEY,
                format!("asks for a model whose `{key}` {problem}"),
            ),
        }
    }

    /// Reads the options of a model with so many words.
    pub(super) fn read(self, file: &GgufFile<'_>, words: usize, tied: bool) -> Result<Shape> {
        match self {
            Self::Gpt2 => gpt2::read(file, words, tied),
            Self::Llama | Self::Qwen2 | Self::Qwen3 => llama::read(self, file, words, tied),
        }
    }
}

/// A model's `config.json`, and what its tensors' names depend on.
pub(super) struct Shape {
    pub(super) config: Value,
    family: Family,
    layers: usize,
    head_width: usize,
}

impl Shape {
    /// The Hugging Face name of a tensor, and how the file has arranged it; `None` for one that does not belong here.
    pub(super) fn parameter(&self, name: &str) -> Option<(String, Arrangement)> {
        let Some(rest) = name.strip_prefix("blk.") else {
            return match self.family {
                Family::Gpt2 => gpt2::outside(name),
                _ => llama::outside(name),
            }
            .map(|name| (name.to_owned(), Arrangement::AsStored));
        };
        let (index, inner) = rest.split_once('.')?;
        let layer = index.parse::<usize>().ok().filter(|&layer| layer < self.layers)?;
        // One spelling of each number, or two tensors could get the same name.
        if layer.to_string() != index {
            return None;
        }
        match self.family {
            Family::Gpt2 => {
                let (inner, arrangement) = gpt2::inside(inner)?;
                Some((format!("h.{layer}.{inner}"), arrangement))
            }
            family => {
                let (inner, is_rotary) = llama::inside(inner)?;
                let arrangement = if is_rotary && family == Family::Llama {
                    Arrangement::RotaryPairs {
                        head_width: self.head_width,
                    }
                } else {
                    Arrangement::AsStored
                };
                Some((format!("model.layers.{layer}.{inner}"), arrangement))
            }
        }
    }
}

/// Adds the ids of the tokens that begin and end a text, where the file has them.
fn add_token_ids(config: &mut Map<String, Value>, metadata: &GgufMetadata<'_>) -> Result<()> {
    for (key, name) in [
        ("tokenizer.ggml.bos_token_id", "bos_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
    ] {
        if let Some(id) = metadata.optional_size(key)? {
            config.insert(name.to_owned(), json!(id));
        }
    }
    Ok(())
}

/// A number of 32 bits with the digits that it needs, instead of all those of its 64-bit form.
pub(super) fn decimal(number: f32) -> Value {
    json!(number.to_string().parse::<f64>().unwrap_or(f64::from(number)))
}
