//! GPT-2.

use serde_json::{Map, Value, json};

use super::{Family, Shape, add_token_ids, decimal};
use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::gguf::model::Arrangement;

pub(super) fn read(file: &GgufFile<'_>, words: usize, tied: bool) -> Result<Shape> {
    let metadata = file.metadata();
    let size = |key: &str| metadata.size(&format!("gpt2.{key}"));
    let (context, width) = (size("context_length")?, size("embedding_length")?);
    let (layers, heads) = (size("block_count")?, size("attention.head_count")?);
    if heads == 0 {
        return Err(Error::gguf_key("gpt2.attention.head_count", "is 0"));
    }
    let inner = size("feed_forward_length")?;
    let mut config = Map::new();
    for (key, value) in [
        ("activation_function", json!("gelu_new")),
        ("architectures", json!(["GPT2LMHeadModel"])),
        (
            "layer_norm_epsilon",
            decimal(metadata.number("gpt2.attention.layer_norm_epsilon")?),
        ),
        ("model_type", json!("gpt2")),
        ("n_ctx", json!(context)),
        ("n_embd", json!(width)),
        ("n_head", json!(heads)),
        (
            "n_inner",
            if width.checked_mul(4) == Some(inner) {
                Value::Null
            } else {
                json!(inner)
            },
        ),
        ("n_layer", json!(layers)),
        ("n_positions", json!(context)),
        ("tie_word_embeddings", json!(tied)),
        ("vocab_size", json!(words)),
    ] {
        config.insert(key.to_owned(), value);
    }
    add_token_ids(&mut config, metadata)?;
    Ok(Shape {
        config: Value::Object(config),
        family: Family::Gpt2,
        layers,
        head_width: width / heads,
    })
}

pub(super) fn outside(name: &str) -> Option<&'static str> {
    Some(match name {
        "token_embd.weight" => "wte.weight",
        "position_embd.weight" => "wpe.weight",
        "output_norm.weight" => "ln_f.weight",
        "output_norm.bias" => "ln_f.bias",
        "output.weight" => "lm_head.weight",
        _ => return None,
    })
}

/// Queries, keys and values are one matrix in both forms.
pub(super) fn inside(name: &str) -> Option<(&'static str, Arrangement)> {
    use Arrangement::{AsStored, Transposed};
    Some(match name {
        "attn_norm.weight" => ("ln_1.weight", AsStored),
        "attn_norm.bias" => ("ln_1.bias", AsStored),
        "attn_qkv.weight" => ("attn.c_attn.weight", Transposed),
        "attn_qkv.bias" => ("attn.c_attn.bias", AsStored),
        "attn_output.weight" => ("attn.c_proj.weight", Transposed),
        "attn_output.bias" => ("attn.c_proj.bias", AsStored),
        "ffn_norm.weight" => ("ln_2.weight", AsStored),
        "ffn_norm.bias" => ("ln_2.bias", AsStored),
        "ffn_up.weight" => ("mlp.c_fc.weight", Transposed),
        "ffn_up.bias" => ("mlp.c_fc.bias", AsStored),
        "ffn_down.weight" => ("mlp.c_proj.weight", Transposed),
        "ffn_down.bias" => ("mlp.c_proj.bias", AsStored),
        _ => return None,
    })
}
