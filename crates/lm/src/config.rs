//! The shape of a GPT-2, read from and written as a Hugging Face `config.json`.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

const MAXIMUM_VOCABULARY: usize = 1 << 20;
const MAXIMUM_CONTEXT: usize = 1 << 16;
const MAXIMUM_WIDTH: usize = 1 << 14;
const MAXIMUM_LAYERS: usize = 1 << 9;
const MAXIMUM_PARAMETERS: usize = 1 << 33;

/// The shape of a GPT-2 model, with the names of `config.json`.
///
/// Fixed by the family and not options here: GELU in its tanh form (`gelu_new`), pre-normalisation, an MLP four times
/// as wide as the model, scores divided by the square root of the head's width, and a head tied to the embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2Config {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub n_positions: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Transformer blocks.
    pub n_layer: usize,
    /// Attention heads per block; divides `n_embd`.
    pub n_head: usize,
    /// Added to the variance in every layer normalisation.
    pub layer_norm_epsilon: f32,
}

impl Gpt2Config {
    /// A shape with the family's usual epsilon of 1e-5.
    ///
    /// # Errors
    /// A number that is zero or beyond what the engine accepts, or heads that do not divide the width.
    pub fn new(
        vocab_size: usize,
        n_positions: usize,
        n_embd: usize,
        n_layer: usize,
        n_head: usize,
    ) -> Result<Self> {
        let config = Self {
            vocab_size,
            n_positions,
            n_embd,
            n_layer,
            n_head,
            layer_norm_epsilon: 1e-5,
        };
        config.check()?;
        Ok(config)
    }

    /// Reads a Hugging Face `config.json`. Keys that do not change the function computed (token ids, dropout,
    /// versions, task settings) are ignored.
    ///
    /// # Errors
    /// Bytes that are no JSON object, a model that is not of the GPT-2 family, or an option that changes the function
    /// and is not supported, by its key.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let map: Map<String, Value> = serde_json::from_slice(bytes).map_err(|source| Error::Json {
            what: "config.json",
            source,
        })?;
        refuse_other_families(&map)?;
        refuse_unsupported(&map)?;
        let config = Self {
            vocab_size: size(&map, "vocab_size")?,
            n_positions: match map.get("n_positions") {
                Some(_) => size(&map, "n_positions")?,
                None => size(&map, "n_ctx")?,
            },
            n_embd: size(&map, "n_embd")?,
            n_layer: size(&map, "n_layer")?,
            n_head: size(&map, "n_head")?,
            layer_norm_epsilon: match map.get("layer_norm_epsilon") {
                None => 1e-5,
                Some(value) => value
                    .as_f64()
                    .ok_or_else(|| Error::config("layer_norm_epsilon", "is not a number"))?
                    as f32,
            },
        };
        config.check_inner_width(&map)?;
        config.check()?;
        Ok(config)
    }

    /// Writes a `config.json` that `transformers` reads as well; the same shape gives the same bytes.
    pub fn to_json(&self) -> String {
        // The shortest decimal that reads back as the same f32, instead of all the digits of its f64.
        let epsilon = self.layer_norm_epsilon;
        let epsilon = epsilon.to_string().parse::<f64>().unwrap_or(f64::from(epsilon));
        json!({
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "layer_norm_epsilon": epsilon,
            "model_type": "gpt2",
            "n_ctx": self.n_positions,
            "n_embd": self.n_embd,
            "n_head": self.n_head,
            "n_layer": self.n_layer,
            "n_positions": self.n_positions,
            "vocab_size": self.vocab_size,
        })
        .to_string()
    }

    /// Trainable numbers, the tied head counted once.
    pub fn parameter_count(&self) -> usize {
        let width = self.n_embd;
        let block = 12 * width * width + 13 * width;
        (self.vocab_size + self.n_positions) * width + self.n_layer * block + 2 * width
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// Checks the shape; every public way to a model passes here.
    pub(crate) fn check(&self) -> Result<()> {
        for (key, value, limit) in [
            ("vocab_size", self.vocab_size, MAXIMUM_VOCABULARY),
            ("n_positions", self.n_positions, MAXIMUM_CONTEXT),
            ("n_embd", self.n_embd, MAXIMUM_WIDTH),
            ("n_layer", self.n_layer, MAXIMUM_LAYERS),
            ("n_head", self.n_head, MAXIMUM_WIDTH),
        ] {
            if value == 0 || value > limit {
                return Err(Error::config(
                    key,
                    format!("is {value}: it must be between 1 and {limit}"),
                ));
            }
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            let problem = format!(
                "is {}, which does not divide `n_embd` = {}",
                self.n_head, self.n_embd
            );
            return Err(Error::config("n_head", problem));
        }
        let epsilon = self.layer_norm_epsilon;
        if !(epsilon > 0.0 && epsilon <= 0.1) {
            return Err(Error::config(
                "layer_norm_epsilon",
                format!("is {epsilon}: it must be above 0 and at most 0.1"),
            ));
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

    fn check_inner_width(&self, map: &Map<String, Value>) -> Result<()> {
        match map.get("n_inner") {
            None | Some(Value::Null) => Ok(()),
            Some(value) if value.as_u64() == Some(4 * self.n_embd as u64) => Ok(()),
            Some(value) => Err(Error::config(
                "n_inner",
                format!("is {value}: only 4 × `n_embd` is supported"),
            )),
        }
    }
}

fn refuse_other_families(map: &Map<String, Value>) -> Result<()> {
    match map.get("model_type").and_then(Value::as_str) {
        Some("gpt2") => Ok(()),
        Some(other) => Err(Error::config(
            "model_type",
            format!("is `{other}`: only the GPT-2 family (`gpt2`) is supported"),
        )),
        None => Err(Error::config(
            "model_type",
            "is missing: only the GPT-2 family (`gpt2`) is supported",
        )),
    }
}

/// Options that change the function computed, with the only value supported here (also the family's default).
fn refuse_unsupported(map: &Map<String, Value>) -> Result<()> {
    for (key, supported) in [
        ("activation_function", json!("gelu_new")),
        ("scale_attn_weights", json!(true)),
        ("scale_attn_by_inverse_layer_idx", json!(false)),
        ("reorder_and_upcast_attn", json!(false)),
        ("add_cross_attention", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("tie_word_embeddings", json!(true)),
    ] {
        match map.get(key) {
            None => {}
            Some(value) if *value == supported => {}
            // The same function under its other name.
            Some(Value::String(name)) if key == "activation_function" && name == "gelu_pytorch_tanh" => {}
            Some(value) => {
                return Err(Error::config(
                    key,
                    format!("is {value}: only {supported} is supported"),
                ));
            }
        }
    }
    if let Some(rope) = map.get("rope_scaling").filter(|value| !value.is_null()) {
        return Err(Error::config(
            "rope_scaling",
            format!("is {rope}: GPT-2 has learnt positions"),
        ));
    }
    Ok(())
}

fn size(map: &Map<String, Value>, key: &str) -> Result<usize> {
    let value = map.get(key).ok_or_else(|| Error::config(key, "is missing"))?;
    let number = value
        .as_u64()
        .ok_or_else(|| Error::config(key, format!("is {value}: it must be a whole number")))?;
    usize::try_from(number).map_err(|_| Error::config(key, format!("is {number}: too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        let config = Gpt2Config::new(97, 16, 32, 2, 4).unwrap();
        assert_eq!(
            Gpt2Config::from_json(config.to_json().as_bytes()).unwrap(),
            config
        );
    }

    #[test]
    fn the_small_gpt2_has_124_million_parameters() {
        let config = Gpt2Config::new(50257, 1024, 768, 12, 12).unwrap();
        assert_eq!(config.parameter_count(), 124_439_808);
    }

    #[test]
    fn refusals_name_the_key() {
        let good: Map<String, Value> =
            serde_json::from_str(&Gpt2Config::new(97, 16, 32, 2, 4).unwrap().to_json()).unwrap();
        for (key, value) in [
            ("model_type", json!("llama")),
            ("activation_function", json!("relu")),
            ("tie_word_embeddings", json!(false)),
            ("n_inner", json!(7)),
            ("n_head", json!(5)),
            ("n_head", json!(0)),
            ("vocab_size", json!(1u64 << 40)),
            ("n_layer", json!("two")),
            ("n_embd", json!(-3)),
            ("layer_norm_epsilon", json!(0.0)),
            ("scale_attn_by_inverse_layer_idx", json!(true)),
        ] {
            let mut map = good.clone();
            map.insert(key.to_owned(), value);
            let error = Gpt2Config::from_json(&serde_json::to_vec(&map).unwrap()).unwrap_err();
            assert!(error.to_string().contains(&format!("`{key}`")), "{key}: {error}");
            assert_eq!(error.class(), crate::ErrorClass::Caller);
        }
    }

    #[test]
    fn a_missing_key_is_named_and_bytes_that_are_no_json_are_refused() {
        let error = Gpt2Config::from_json(br#"{"model_type":"gpt2","vocab_size":5}"#).unwrap_err();
        assert!(error.to_string().contains("`n_ctx`"), "{error}");
        assert!(matches!(
            Gpt2Config::from_json(b"\x80\x04."),
            Err(Error::Json { .. })
        ));
    }
}
