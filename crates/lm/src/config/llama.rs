//! The `config.json` of Llama and of the families built alike: Mistral, Qwen2, Qwen3.

use serde_json::{Map, Value, json};

use super::json::{given, number_if_given, only, shortest, size, size_if_given, truth};
use super::rotary::Rotary;
use super::{AttentionBias, Config, Family, Keys, MAXIMUM_HEAD_WIDTH, indivisible};
use crate::error::{Error, Result};

pub(super) const KEYS: Keys = Keys {
    vocabulary: "vocab_size",
    context: "max_position_embeddings",
    width: "hidden_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    inner_width: "intermediate_size",
    epsilon: "rms_norm_eps",
};

/// The width of a head where Qwen3's `config.json` gives none; the other families divide the model's width.
const QWEN3_HEAD_WIDTH: usize = 128;
/// The window where Mistral's gives none.
const MISTRAL_WINDOW: usize = 4096;

pub(super) fn read(family: Family, map: &Map<String, Value>) -> Result<Config> {
    refuse_unsupported(map)?;
    let (width, heads) = (size(map, KEYS.width)?, size(map, KEYS.heads)?);
    let context = size(map, KEYS.context)?;
    refuse_window(family, map, context)?;
    Ok(Config {
        family,
        vocabulary: size(map, KEYS.vocabulary)?,
        context,
        width,
        layers: size(map, KEYS.layers)?,
        heads,
        key_value_heads: match (family, map.get("num_key_value_heads")) {
            (_, Some(Value::Null)) | (Family::Llama, None) => heads,
            _ => size(map, "num_key_value_heads")?,
        },
        head_width: match (family, map.get("head_dim")) {
            (Family::Qwen3, None) => QWEN3_HEAD_WIDTH,
            (_, None | Some(Value::Null)) if heads > 0 && !width.is_multiple_of(heads) => {
                return Err(indivisible(KEYS.heads, heads, (KEYS.width, width)));
            }
            (_, None | Some(Value::Null)) => width / heads.max(1),
            _ => size(map, "head_dim")?,
        },
        inner_width: size(map, KEYS.inner_width)?,
        epsilon: number_if_given(map, KEYS.epsilon)?.unwrap_or(1e-6) as f32,
        rotary: Some(Rotary::read(map, context)?),
        tied_head: truth(map, "tie_word_embeddings", false)?,
        attention_bias: match family {
            Family::Qwen2 => AttentionBias::Inputs,
            Family::Llama | Family::Qwen3 if truth(map, "attention_bias", false)? => AttentionBias::All,
            _ => AttentionBias::None,
        },
        head_norm: family == Family::Qwen3,
        mlp_bias: family == Family::Llama && truth(map, "mlp_bias", false)?,
    })
}

/// In the form that every version of `transformers` reads, with what they would take from their defaults written out.
pub(super) fn write(config: &Config) -> Value {
    let architecture = match config.family {
        Family::Mistral => "MistralForCausalLM",
        Family::Qwen2 => "Qwen2ForCausalLM",
        Family::Qwen3 => "Qwen3ForCausalLM",
        _ => "LlamaForCausalLM",
    };
    let mut value = json!({
        "architectures": [architecture],
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "intermediate_size": config.inner_width,
        "max_position_embeddings": config.context,
        "model_type": config.family.name(),
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.key_value_heads,
        "rms_norm_eps": shortest(config.epsilon),
        "tie_word_embeddings": config.tied_head,
        "vocab_size": config.vocabulary,
    });
    match config.family {
        Family::Mistral => value["sliding_window"] = Value::Null,
        Family::Qwen2 | Family::Qwen3 => value["use_sliding_window"] = json!(false),
        _ => value["mlp_bias"] = json!(config.mlp_bias),
    }
    if matches!(config.family, Family::Llama | Family::Qwen3) {
        value["attention_bias"] = json!(config.attention_bias == AttentionBias::All);
    }
    if let Some(rotary) = &config.rotary {
        value["rope_theta"] = json!(rotary.theta);
        if let Some(scaling) = rotary.scaling.write() {
            value["rope_scaling"] = scaling;
        }
    }
    value
}

pub(super) fn check(config: &Config) -> Result<()> {
    let (heads, groups, head_width) = (config.heads, config.key_value_heads, config.head_width);
    if !heads.is_multiple_of(groups) {
        return Err(indivisible("num_key_value_heads", groups, (KEYS.heads, heads)));
    }
    if head_width == 0 || head_width > MAXIMUM_HEAD_WIDTH || !head_width.is_multiple_of(2) {
        let problem = format!(
            "is {head_width}: it must be even, as pairs are rotated, and between 2 and {MAXIMUM_HEAD_WIDTH}"
        );
        return Err(Error::config("head_dim", problem));
    }
    match &config.rotary {
        Some(rotary) => rotary.check()?,
        None => {
            return Err(Error::config(
                "rope_theta",
                "is missing: the family has rotary positions",
            ));
        }
    }
    let name = config.family.name();
    let biases: &[AttentionBias] = match config.family {
        Family::Qwen2 => &[AttentionBias::Inputs],
        Family::Llama | Family::Qwen3 => &[AttentionBias::None, AttentionBias::All],
        _ => &[AttentionBias::None],
    };
    if !biases.contains(&config.attention_bias) {
        let problem = format!("is {:?}: `{name}` has one of {biases:?}", config.attention_bias);
        return Err(Error::config("attention_bias", problem));
    }
    if config.mlp_bias && config.family != Family::Llama {
        return Err(Error::config("mlp_bias", format!("is true: `{name}` has none")));
    }
    if config.head_norm != (config.family == Family::Qwen3) {
        let problem = format!("is `{name}`: Qwen3 normalises queries and keys, the others do not");
        return Err(Error::config("model_type", problem));
    }
    Ok(())
}

/// Options that change the function computed, with the only value supported here (also the families' default).
fn refuse_unsupported(map: &Map<String, Value>) -> Result<()> {
    // `swish` is the same function under its other name.
    if map.get("hidden_act") != Some(&json!("swish")) {
        only(map, &[("hidden_act", json!("silu"))])?;
    }
    only(
        map,
        &[
            ("is_encoder_decoder", json!(false)),
            ("add_cross_attention", json!(false)),
            ("rope_interleaved", json!(false)),
        ],
    )?;
    if given(map, "quantization_config").is_some() {
        return Err(Error::config(
            "quantization_config",
            "says that the weights are quantised in a way that is not read here: use the weights in F32, F16 or BF16",
        ));
    }
    Ok(())
}

/// Attention here sees the whole context. A window that is no shorter changes nothing; any other is refused.
fn refuse_window(family: Family, map: &Map<String, Value>, context: usize) -> Result<()> {
    let window = match (family, map.get("sliding_window")) {
        (Family::Llama, _) => None,
        (Family::Mistral, None) => Some(MISTRAL_WINDOW),
        (Family::Qwen2 | Family::Qwen3, _) if !truth(map, "use_sliding_window", false)? => None,
        _ => size_if_given(map, "sliding_window")?,
    };
    match window {
        Some(window) if window < context => {
            let problem = format!(
                "is {window}, shorter than the context of {context}: attention within a window is not supported; set \
                 `max_position_embeddings` to {window} to use the model up to there"
            );
            Err(Error::config("sliding_window", problem))
        }
        _ => Ok(()),
    }
}
