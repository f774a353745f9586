//! GPT-2's `config.json`.

use serde_json::{Map, Value, json};

use super::json::{given, number_if_given, only, shortest, size};
use super::{AttentionBias, Config, Family, Keys, indivisible};
use crate::error::{Error, Result};

pub(super) const KEYS: Keys = Keys {
    vocabulary: "vocab_size",
    context: "n_positions",
    width: "n_embd",
    layers: "n_layer",
    heads: "n_head",
    inner_width: "n_inner",
    epsilon: "layer_norm_epsilon",
};

pub(super) fn read(map: &Map<String, Value>) -> Result<Config> {
    refuse_unsupported(map)?;
    let (width, heads) = (size(map, "n_embd")?, size(map, "n_head")?);
    let inner_width = match given(map, "n_inner") {
        None => width.saturating_mul(4),
        Some(_) => size(map, "n_inner")?,
    };
    Ok(Config {
        family: Family::Gpt2,
        vocabulary: size(map, "vocab_size")?,
        context: match map.get("n_positions") {
            Some(_) => size(map, "n_positions")?,
            None => size(map, "n_ctx")?,
        },
        width,
        layers: size(map, "n_layer")?,
        heads,
        key_value_heads: heads,
        head_width: width / heads.max(1),
        inner_width,
        epsilon: number_if_given(map, "layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        rotary: None,
        tied_head: true,
        attention_bias: AttentionBias::All,
        head_norm: false,
        mlp_bias: true,
    })
}

pub(super) fn write(config: &Config) -> Value {
    json!({
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "layer_norm_epsilon": shortest(config.epsilon),
        "model_type": "gpt2",
        "n_ctx": config.context,
        "n_embd": config.width,
        "n_head": config.heads,
        "n_layer": config.layers,
        "n_positions": config.context,
        "vocab_size": config.vocabulary,
    })
}

pub(super) fn check(config: &Config) -> Result<()> {
    let (width, heads) = (config.width, config.heads);
    if !width.is_multiple_of(heads) {
        return Err(indivisible("n_head", heads, ("n_embd", width)));
    }
    if config.inner_width != 4 * width {
        let problem = format!("is {}: only 4 × `n_embd` is supported", config.inner_width);
        return Err(Error::config("n_inner", problem));
    }
    let usual = Config {
        key_value_heads: heads,
        head_width: width / heads,
        rotary: None,
        tied_head: true,
        attention_bias: AttentionBias::All,
        head_norm: false,
        mlp_bias: true,
        ..config.clone()
    };
    if *config == usual {
        Ok(())
    } else {
        Err(Error::config(
            "model_type",
            "is `gpt2`, which has learnt positions, biases throughout, a tied head, and as many heads of keys as of \
             queries",
        ))
    }
}

/// Options that change the function computed, with the only value supported here (also the family's default).
fn refuse_unsupported(map: &Map<String, Value>) -> Result<()> {
    // `gelu_pytorch_tanh` is the same function under its other name.
    if map.get("activation_function") != Some(&json!("gelu_pytorch_tanh")) {
        only(map, &[("activation_function", json!("gelu_new"))])?;
    }
    only(
        map,
        &[
            ("scale_attn_weights", json!(true)),
            ("scale_attn_by_inverse_layer_idx", json!(false)),
            ("reorder_and_upcast_attn", json!(false)),
            ("add_cross_attention", json!(false)),
            ("is_encoder_decoder", json!(false)),
            ("tie_word_embeddings", json!(true)),
        ],
    )?;
    match given(map, "rope_scaling") {
        Some(rope) => Err(Error::config(
            "rope_scaling",
            format!("is {rope}: GPT-2 has learnt positions"),
        )),
        None => Ok(()),
    }
}
