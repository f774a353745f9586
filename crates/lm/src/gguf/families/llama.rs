//! Llama and its relatives: rotary positions, RMS norms, a gated MLP, grouped queries.

use serde_json::{Map, Value, json};

use super::{Family, Shape, add_token_ids, decimal};
use crate::error::{Error, Result};
use crate::gguf::{GgufFile, GgufMetadata, GgufValue, rope};

/// Options that change the function computed and have no counterpart, each with the values that switch it off.
const UNSUPPORTED: [(&str, &[f32]); 11] = [
    ("expert_count", &[0.0]),
    ("attention.clamp_kqv", &[0.0]),
    ("attention.max_alibi_bias", &[0.0]),
    ("attention.scale", &[0.0]),
    ("attn_logit_softcapping", &[0.0]),
    ("final_logit_softcapping", &[0.0]),
    ("logit_scale", &[0.0, 1.0]),
    ("residual_scale", &[0.0, 1.0]),
    ("embedding_scale", &[0.0, 1.0]),
    ("rope.scaling.attn_factor", &[1.0]),
    ("rope.scaling.yarn_log_multiplier", &[0.0]),
];

/// The sizes of a model.
struct Sizes {
    context: usize,
    width: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    key_heads: usize,
    head_width: usize,
}

pub(super) fn read(family: Family, file: &GgufFile<'_>, words: usize, tied: bool) -> Result<Shape> {
    let (metadata, name) = (file.metadata(), family.name());
    refuse_unsupported(metadata, name)?;
    let sizes = Sizes::read(metadata, name)?;
    let theta = metadata
        .optional_number(&format!("{name}.rope.freq_base"))?
        .unwrap_or(10_000.0);
    let scaling = rope::scaling(file, name, theta, sizes.head_width)?;
    let mut config = sizes.config();
    let epsilon = metadata.number(&format!("{name}.attention.layer_norm_rms_epsilon"))?;
    for (key, value) in [
        ("hidden_act", json!("silu")),
        ("rms_norm_eps", decimal(epsilon)),
        ("rope_scaling", scaling.unwrap_or(Value::Null)),
        ("rope_theta", decimal(theta)),
        ("tie_word_embeddings", json!(tied)),
        ("vocab_size", json!(words)),
    ] {
        config.insert(key.to_owned(), value);
    }
    add_family(&mut config, family, file, sizes.context)?;
    add_token_ids(&mut config, metadata)?;
    Ok(Shape {
        config: Value::Object(config),
        family,
        layers: sizes.layers,
        head_width: sizes.head_width,
    })
}

impl Sizes {
    fn read(metadata: &GgufMetadata<'_>, name: &str) -> Result<Self> {
        let size = |key: &str| metadata.size(&format!("{name}.{key}"));
        let optional = |key: &str| metadata.optional_size(&format!("{name}.{key}"));
        let width = size("embedding_length")?;
        let heads = size("attention.head_count")?;
        let head_width = match optional("attention.key_length")? {
            Some(width) => width,
            None => width.checked_div(heads).unwrap_or(0),
        };
        if head_width == 0 {
            let problem = format!("is {heads}, for a width of {width}: heads would be empty");
            return Err(Error::gguf_key(format!("{name}.attention.head_count"), problem));
        }
        for (key, meaning) in [
            ("attention.value_length", "values as wide as keys"),
            ("rope.dimension_count", "rotations of whole heads"),
        ] {
            if let Some(other) = optional(key)?.filter(|&other| other != head_width) {
                let problem = format!("is {other}, for heads of {head_width}: only {meaning} are supported");
                return Err(Error::gguf_key(format!("{name}.{key}"), problem));
            }
        }
        Ok(Self {
            context: size("context_length")?,
            width,
            inner: size("feed_forward_length")?,
            layers: size("block_count")?,
            heads,
            key_heads: optional("attention.head_count_kv")?.unwrap_or(heads),
            head_width,
        })
    }

    fn config(&self) -> Map<String, Value> {
        let sizes = [
            ("max_position_embeddings", self.context),
            ("hidden_size", self.width),
            ("intermediate_size", self.inner),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.key_heads),
            ("head_dim", self.head_width),
        ];
        sizes
            .into_iter()
            .map(|(key, size)| (key.to_owned(), json!(size)))
            .collect()
    }
}

fn refuse_unsupported(metadata: &GgufMetadata<'_>, name: &str) -> Result<()> {
    for (option, harmless) in UNSUPPORTED {
        let key = format!("{name}.{option}");
        let number = match metadata.get(&key) {
            None => continue,
            Some(GgufValue::Unsigned(0) | GgufValue::Signed(0)) => 0.0,
            Some(GgufValue::Float(number)) => *number,
            Some(_) => f32::NAN,
        };
        if !harmless.contains(&number) {
            return Err(Error::gguf_key(
                key,
                "changes the model in a way that is not supported",
            ));
        }
    }
    if metadata.optional_truth(&format!("{name}.attention.causal"))? == Some(false) {
        let key = format!("{name}.attention.causal");
        return Err(Error::gguf_key(
            key,
            "is false: only causal attention is supported",
        ));
    }
    Ok(())
}

/// What tells one family of Hugging Face's from another.
fn add_family(
    config: &mut Map<String, Value>,
    family: Family,
    file: &GgufFile<'_>,
    context: usize,
) -> Result<()> {
    let has = |name: &str| json!(file.tensor(name).is_some());
    let key = format!("{}.attention.sliding_window", family.name());
    let window = file.metadata().optional_size(&key)?;
    let window = window.filter(|&window| window != 0 && window < context);
    let mut add = |key: &str, value: Value| config.insert(key.to_owned(), value);
    let (kind, class) = match (family, window) {
        // Hugging Face keeps the same decoder twice, with and without a window.
        (Family::Llama, Some(window)) => {
            add("sliding_window", json!(window));
            ("mistral", "MistralForCausalLM")
        }
        (_, Some(window)) => {
            let problem = format!("is {window}: a window is only supported for `llama`");
            return Err(Error::gguf_key(key, problem));
        }
        (Family::Qwen2, None) => ("qwen2", "Qwen2ForCausalLM"),
        (Family::Qwen3, None) => ("qwen3", "Qwen3ForCausalLM"),
        (_, None) => ("llama", "LlamaForCausalLM"),
    };
    add("model_type", json!(kind));
    add("architectures", json!([class]));
    // Qwen 2 always has biases on queries, keys and values.
    if family != Family::Qwen2 {
        add("attention_bias", has("blk.0.attn_q.bias"));
    }
    if family == Family::Llama {
        add("mlp_bias", has("blk.0.ffn_gate.bias"));
    }
    Ok(())
}

pub(super) fn outside(name: &str) -> Option<&'static str> {
    Some(match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => return None,
    })
}

/// The name inside a layer, and whether its rows are turned by the rotary embedding.
pub(super) fn inside(name: &str) -> Option<(&'static str, bool)> {
    Some(match name {
        "attn_norm.weight" => ("input_layernorm.weight", false),
        "attn_q.weight" => ("self_attn.q_proj.weight", true),
        "attn_q.bias" => ("self_attn.q_proj.bias", true),
        "attn_k.weight" => ("self_attn.k_proj.weight", true),
        "attn_k.bias" => ("self_attn.k_proj.bias", true),
        "attn_v.weight" => ("self_attn.v_proj.weight", false),
        "attn_v.bias" => ("self_attn.v_proj.bias", false),
        "attn_output.weight" => ("self_attn.o_proj.weight", false),
        "attn_output.bias" => ("self_attn.o_proj.bias", false),
        "attn_q_norm.weight" => ("self_attn.q_norm.weight", false),
        "attn_k_norm.weight" => ("self_attn.k_norm.weight", false),
        "ffn_norm.weight" => ("post_attention_layernorm.weight", false),
        "ffn_gate.weight" => ("mlp.gate_proj.weight", false),
        "ffn_gate.bias" => ("mlp.gate_proj.bias", false),
        "ffn_up.weight" => ("mlp.up_proj.weight", false),
        "ffn_up.bias" => ("mlp.up_proj.bias", false),
        "ffn_down.weight" => ("mlp.down_proj.weight", false),
        "ffn_down.bias" => ("mlp.down_proj.bias", false),
        _ => return None,
    })
}
