//! The shape and the options of a decoder, read from and written as a Hugging Face `config.json`.

mod gpt2;
mod json;
mod llama;
mod rotary;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
pub use rotary::{Rotary, RotaryScaling};

const MAXIMUM_VOCABULARY: usize = 1 << 20;
const MAXIMUM_CONTEXT: usize = 1 << 20;
const MAXIMUM_WIDTH: usize = 1 << 14;
const MAXIMUM_INNER_WIDTH: usize = 1 << 17;
const MAXIMUM_HEAD_WIDTH: usize = 1 << 10;
const MAXIMUM_LAYERS: usize = 1 << 9;
const MAXIMUM_PARAMETERS: usize = 1 << 33;

/// Who defined a model: the names of its tensors, the keys of its `config.json`, and what is fixed for all its members.
///
/// GPT-2 has layer normalisation with biases, learnt positions, an MLP with GELU in its tanh form and biases
/// throughout. All others have root-mean-square normalisation (Zhang and Sennrich, arXiv 1910.07467), rotary positions
/// (Su et al., arXiv 2104.09864) and a SwiGLU MLP (Shazeer, arXiv 2002.05202).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// GPT-2.
    Gpt2,
    /// Llama 2 and 3, and what is built alike, such as SmolLM2.
    Llama,
    /// Mistral: a Llama whose sliding window must not come into play here.
    Mistral,
    /// Qwen2 and 2.5: a Llama with biases on queries, keys and values.
    Qwen2,
    /// Qwen3: a Llama that normalises each head's queries and keys.
    Qwen3,
}

/// Which projections of attention add a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionBias {
    /// None.
    None,
    /// Those to queries, keys and values.
    Inputs,
    /// Those and the one back into the residual stream.
    All,
}

/// The shape and the options of a decoder.
///
/// Fixed and not options here: pre-normalisation, scores divided by the square root of the head's width, and full causal
/// attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who defined it.
    pub family: Family,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Longest sequence in tokens.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Heads of queries per block.
    pub heads: usize,
    /// Heads of keys and values per block; divides `heads`. Each serves as many heads of queries as follow each other.
    pub key_value_heads: usize,
    /// Width of one head; `heads` of them need not make up `width`.
    pub head_width: usize,
    /// Width of the MLP between its projections.
    pub inner_width: usize,
    /// Added to the variance, or to the mean square, in every normalisation.
    pub epsilon: f32,
    /// Rotary positions; without them a table of learnt ones is added to the embedding.
    pub rotary: Option<Rotary>,
    /// Whether the head is the embedding, or has a matrix of its own.
    pub tied_head: bool,
    /// Which projections of attention add a bias.
    pub attention_bias: AttentionBias,
    /// Whether each head's queries and keys are normalised before they are rotated.
    pub head_norm: bool,
    /// Whether the projections of the MLP add biases.
    pub mlp_bias: bool,
}

impl Config {
    /// A GPT-2 with the family's usual epsilon of 1e-5.
    ///
    /// # Errors
    /// A number that is zero or beyond what the engine accepts, or heads that do not divide the width.
    pub fn gpt2(
        vocabulary: usize,
        context: usize,
        width: usize,
        layers: usize,
        heads: usize,
    ) -> Result<Self> {
        let config = Self {
            family: Family::Gpt2,
            vocabulary,
            context,
            width,
            layers,
            heads,
            key_value_heads: heads,
            head_width: width / heads.max(1),
            inner_width: width.saturating_mul(4),
            epsilon: 1e-5,
            rotary: None,
            tied_head: true,
            attention_bias: AttentionBias::All,
            head_norm: false,
            mlp_bias: true,
        };
        config.check()?;
        Ok(config)
    }

    /// A Llama without biases, with an untied head, heads of `width / heads`, unscaled rotary positions of base 10000
    /// and an epsilon of 1e-5; every field can be changed before a model is made of it.
    ///
    /// # Errors
    /// A number that is zero or beyond what the engine accepts, or heads that do not divide.
    pub fn llama(
        vocabulary: usize,
        context: usize,
        width: usize,
        layers: usize,
        heads: usize,
        key_value_heads: usize,
        inner_width: usize,
    ) -> Result<Self> {
        let config = Self {
            family: Family::Llama,
            vocabulary,
            context,
            width,
            layers,
            heads,
            key_value_heads,
            head_width: width / heads.max(1),
            inner_width,
            epsilon: 1e-5,
            rotary: Some(Rotary {
                theta: 10_000.0,
                scaling: RotaryScaling::None,
            }),
            tied_head: false,
            attention_bias: AttentionBias::None,
            head_norm: false,
            mlp_bias: false,
        };
        if heads > 0 && !width.is_multiple_of(heads) {
            return Err(indivisible("num_attention_heads", heads, ("hidden_size", width)));
        }
        config.check()?;
        Ok(config)
    }

    /// Reads a Hugging Face `config.json`. Keys that do not change the function computed (token ids, dropout,
    /// versions, task settings) are ignored.
    ///
    /// # Errors
    /// Bytes that are no JSON object, a model of another family, or an option that changes the function and is not
    /// supported, by its key.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let map: Map<String, Value> = serde_json::from_slice(bytes).map_err(|source| Error::Json {
            what: "config.json",
            source,
        })?;
        let config = match Family::of(&map)? {
            Family::Gpt2 => gpt2::read(&map)?,
            family => llama::read(family, &map)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Writes a `config.json` that `transformers` reads as well; the same shape gives the same bytes.
    pub fn to_json(&self) -> String {
        match self.family {
            Family::Gpt2 => gpt2::write(self),
            _ => llama::write(self),
        }
        .to_string()
    }

    /// Trainable numbers, a tied head counted once.
    pub fn parameter_count(&self) -> usize {
        let (width, inner) = (self.width, self.inner_width);
        let vectors_of_a_norm = if self.family == Family::Gpt2 { 2 } else { 1 };
        let norm = vectors_of_a_norm * width;
        let attention = width * (self.joined_width() + self.query_width());
        let attention_bias = match self.attention_bias {
            AttentionBias::None => 0,
            AttentionBias::Inputs => self.joined_width(),
            AttentionBias::All => self.joined_width() + width,
        };
        let head_norm = if self.head_norm { 2 * self.head_width } else { 0 };
        let mlp = width * (self.expanded_width() + inner);
        let mlp_bias = if self.mlp_bias {
            self.expanded_width() + width
        } else {
            0
        };
        let block = 2 * norm + attention + attention_bias + head_norm + mlp + mlp_bias;
        let positions = if self.rotary.is_none() { self.context } else { 0 };
        let matrices = if self.tied_head { 1 } else { 2 };
        (matrices * self.vocabulary + positions) * width + self.layers * block + norm
    }

    /// Width of all heads of queries together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Width of all heads of keys together, and of those of values.
    pub fn key_value_width(&self) -> usize {
        self.key_value_heads * self.head_width
    }

    /// Width of queries, keys and values side by side.
    pub(crate) fn joined_width(&self) -> usize {
        self.query_width() + 2 * self.key_value_width()
    }

    /// Width of what the MLP's first product gives: a SwiGLU has a gate beside each value.
    pub(crate) fn expanded_width(&self) -> usize {
        match self.family {
            Family::Gpt2 => self.inner_width,
            _ => 2 * self.inner_width,
        }
    }

    /// Checks the shape; every public way to a model passes here.
    pub(crate) fn check(&self) -> Result<()> {
        let names = self.family.keys();
        for (key, value, limit) in [
            (names.vocabulary, self.vocabulary, MAXIMUM_VOCABULARY),
            (names.context, self.context, MAXIMUM_CONTEXT),
            (names.width, self.width, MAXIMUM_WIDTH),
            (names.layers, self.layers, MAXIMUM_LAYERS),
            (names.heads, self.heads, MAXIMUM_WIDTH),
            ("num_key_value_heads", self.key_value_heads, MAXIMUM_WIDTH),
            (names.inner_width, self.inner_width, MAXIMUM_INNER_WIDTH),
        ] {
            if value == 0 || value > limit {
                return Err(Error::config(
                    key,
                    format!("is {value}: it must be between 1 and {limit}"),
                ));
            }
        }
        let epsilon = self.epsilon;
        if !(epsilon > 0.0 && epsilon <= 0.1) {
            return Err(Error::config(
                names.epsilon,
                format!("is {epsilon}: it must be above 0 and at most 0.1"),
            ));
        }
        match self.family {
            Family::Gpt2 => gpt2::check(self)?,
            _ => llama::check(self)?,
        }
        let count = self.parameter_count();
        if count > MAXIMUM_PARAMETERS {
            let (size, limit) = (count as u64, MAXIMUM_PARAMETERS as u64);
            return Err(Error::TooLarge {
                what: "the number of parameters",
                size,
                limit,
            });
        }
        Ok(())
    }
}

impl Family {
    const ALL: [Self; 5] = [Self::Gpt2, Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// The name that `model_type` gives it in a `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    fn of(map: &Map<String, Value>) -> Result<Self> {
        let known = "`gpt2`, `llama`, `mistral`, `qwen2` and `qwen3` are supported";
        match map.get("model_type") {
            Some(name) => Self::ALL
                .into_iter()
                .find(|family| name == family.name())
                .ok_or_else(|| Error::config("model_type", format!("is {name}: only {known}"))),
            None => Err(Error::config("model_type", format!("is missing: only {known}"))),
        }
    }

    /// The key that says how many blocks a model has.
    pub(crate) fn layers_key(self) -> &'static str {
        self.keys().layers
    }

    fn keys(self) -> Keys {
        match self {
            Self::Gpt2 => gpt2::KEYS,
            _ => llama::KEYS,
        }
    }
}

/// How a family's `config.json` names what all have.
struct Keys {
    vocabulary: &'static str,
    context: &'static str,
    width: &'static str,
    layers: &'static str,
    heads: &'static str,
    inner_width: &'static str,
    epsilon: &'static str,
}

/// The refusal of heads that do not divide something.
fn indivisible(key: &str, heads: usize, (name, value): (&str, usize)) -> Error {
    Error::config(
        key,
        format!("is {heads}, which does not divide `{name}` = {value}"),
    )
}

#[cfg(test)]
pub(crate) mod tests;
