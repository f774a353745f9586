//! Models in Hugging Face's form, against what they were before their conversion.

use posthuman_lm::GgufFile;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::writer::{Owned, Stored, parts, write};
use super::{bytes, digest, values};

#[test]
fn llama_and_qwen3_return_to_what_they_were_converted_from() {
    for name in ["llama_tiny", "qwen3_tiny"] {
        let (bytes, expected) = (
            bytes(&format!("{name}.gguf")),
            super::json(&format!("{name}.json")),
        );
        let model = GgufFile::read(&bytes).unwrap().model().unwrap();
        assert_eq!(*model.config(), expected["config"], "{name}");
        let tensors = expected["tensors"].as_object().unwrap();
        assert_eq!(model.parameters().len(), tensors.len());
        for parameter in model.parameters() {
            let expected = &tensors[parameter.name()];
            assert_eq!(
                json!(parameter.shape()),
                expected["shape"],
                "{}",
                parameter.name()
            );
            assert_eq!(
                digest(&values(parameter)),
                expected["digest"],
                "{}",
                parameter.name()
            );
        }
    }
}

#[test]
fn stored_rows_are_found_in_their_order() {
    let bytes = bytes("llama_tiny.gguf");
    let model = GgufFile::read(&bytes).unwrap().model().unwrap();
    let name = "model.layers.1.self_attn.q_proj.weight";
    let queries = model.parameters().iter().find(|one| one.name() == name).unwrap();
    let width = queries.shape()[1];
    for (row, values) in values(queries).chunks_exact(width).enumerate() {
        // These are bf16 numbers: the upper half of each value is what is stored.
        let stored: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes()[2..].to_vec())
            .collect();
        assert_eq!(queries.row_blocks(row).unwrap(), stored);
    }
    assert!(queries.row_blocks(queries.shape()[0]).is_none());
}

#[test]
fn gpt2_returns_to_the_matrices_it_was_converted_from() {
    let gguf = bytes("gpt2_tiny.gguf");
    let model = GgufFile::read(&gguf).unwrap().model().unwrap();
    let before = bytes("../gpt2_tiny.safetensors");
    let before = SafeTensors::deserialize(&before).unwrap();
    assert_eq!(model.parameters().len(), before.len());
    for parameter in model.parameters() {
        let tensor = before
            .tensor(&format!("transformer.{}", parameter.name()))
            .unwrap();
        assert_eq!(parameter.shape(), tensor.shape());
        let values: Vec<u8> = values(parameter)
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert!(values == tensor.data(), "{}", parameter.name());
    }
    let config = model.config().to_string();
    let config = posthuman_lm::Config::from_json(config.as_bytes()).unwrap();
    assert_eq!((config.layers, config.width, config.vocabulary), (2, 32, 97));
}

/// The config, or the refusal, of the tiny Llama with some keys and tensors changed.
fn changed(change: impl FnOnce(&mut Vec<(String, Owned)>, &mut Vec<Stored>)) -> Result<Value, String> {
    let (mut keys, mut tensors) = parts(&bytes("llama_tiny.gguf"));
    change(&mut keys, &mut tensors);
    let bytes = write(3, 32, &keys, &tensors);
    let file = GgufFile::read(&bytes).map_err(|error| error.to_string())?;
    file.model()
        .map(|model| model.config().clone())
        .map_err(|error| error.to_string())
}

fn with_keys(add: &[(&str, Owned)], table: bool) -> Result<Value, String> {
    changed(|keys, tensors| {
        keys.retain(|(key, _)| !add.iter().any(|(added, _)| key == added));
        keys.extend(add.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        tensors.retain(|tensor| table || tensor.name != "rope_freqs.weight");
    })
}

const KIND: &str = "llama.rope.scaling.type";
const FACTOR: &str = "llama.rope.scaling.factor";
const ORIGINAL: &str = "llama.rope.scaling.original_context_length";

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

fn scaling(add: &[(&str, Owned)]) -> Result<Value, String> {
    with_keys(add, false).map(|config| config["rope_scaling"].clone())
}

#[test]
fn ways_to_scale_rotations_are_translated() {
    assert_eq!(scaling(&[]), Ok(Value::Null));
    let none = [(KIND, text("none")), (FACTOR, Owned::Float(2.0))];
    assert_eq!(scaling(&none), Ok(Value::Null));
    let linear = Ok(json!({"rope_type": "linear", "factor": 2.5}));
    let typed = [(KIND, text("linear")), (FACTOR, Owned::Float(2.5))];
    assert_eq!(scaling(&typed), linear);
    let old = [("llama.rope.scale_linear", Owned::Float(2.5))];
    assert_eq!(scaling(&old), linear);
    let yarn = yarn();
    let expected = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16});
    assert_eq!(scaling(&yarn), Ok(expected));
}

fn yarn() -> [(&'static str, Owned); 3] {
    let factor = (FACTOR, Owned::Float(4.0));
    [(KIND, text("yarn")), factor, (ORIGINAL, Owned::Unsigned(16))]
}

#[test]
fn other_ways_to_scale_rotations_are_refused() {
    let refused = |add: &[(&str, Owned)], said: &str| {
        let error = scaling(add).unwrap_err();
        assert!(error.contains(said), "{error}");
    };
    refused(&yarn()[..2], &format!("`{ORIGINAL}` is missing"));
    refused(&[(KIND, text("longrope"))], "is `longrope`");
    refused(&[(FACTOR, Owned::Float(0.5))], FACTOR);
    refused(&[(FACTOR, Owned::Float(f32::NAN))], "finite");
    let both = with_keys(&yarn(), true).unwrap_err();
    assert!(both.contains("`rope_freqs.weight` scales"), "{both}");
    // Another base gives another table: what is there is then no table of Llama 3.
    let base = with_keys(&[("llama.rope.freq_base", Owned::Float(10_000.0))], true).unwrap_err();
    assert!(
        base.contains("`rope_freqs.weight` scales frequencies by another formula"),
        "{base}"
    );
}

#[test]
fn a_table_of_ones_scales_nothing() {
    let ones = changed(|_, tensors| {
        let table = tensors
            .iter_mut()
            .find(|tensor| tensor.name == "rope_freqs.weight")
            .unwrap();
        table.data = [1.0_f32.to_le_bytes(); 4].concat();
    });
    assert_eq!(ones.unwrap()["rope_scaling"], Value::Null);
}

#[test]
fn a_head_equal_to_the_embedding_is_tied() {
    let tied = |same: bool| {
        let config = changed(|_, tensors| {
            let embedding = tensors
                .iter()
                .find(|tensor| tensor.name == "token_embd.weight")
                .unwrap()
                .data
                .clone();
            let head = tensors
                .iter_mut()
                .find(|tensor| tensor.name == "output.weight")
                .unwrap();
            if same {
                head.data = embedding;
            }
        });
        config.unwrap()["tie_word_embeddings"].clone()
    };
    assert_eq!((tied(true), tied(false)), (json!(true), json!(false)));
}

#[test]
fn a_window_makes_a_mistral() {
    let config = with_keys(&[("llama.attention.sliding_window", Owned::Unsigned(32))], true).unwrap();
    assert_eq!(
        (&config["model_type"], &config["sliding_window"]),
        (&json!("mistral"), &json!(32))
    );
    let config = with_keys(&[("llama.attention.sliding_window", Owned::Unsigned(64))], true).unwrap();
    assert_eq!(config["model_type"], "llama");
}

#[test]
fn qwen2_has_its_biases_and_the_order_of_its_file() {
    let (mut keys, mut tensors) = parts(&bytes("llama_tiny.gguf"));
    for (key, value) in &mut keys {
        if key == "general.architecture" {
            *value = Owned::Text("qwen2".to_owned());
        }
        *key = key.replace("llama.", "qwen2.");
    }
    tensors.retain(|tensor| !tensor.name.contains("attn_output.bias") && tensor.name != "rope_freqs.weight");
    let bytes = write(2, 32, &keys, &tensors);
    let model = GgufFile::read(&bytes).unwrap().model().unwrap();
    let config = model.config();
    assert_eq!(config["model_type"], "qwen2");
    assert!(config.get("attention_bias").is_none() && config.get("mlp_bias").is_none());
    // Its converter does not turn pairs of rows: llama.cpp pairs halves for this architecture.
    for parameter in model.parameters() {
        let mut stored = vec![0.0; parameter.len()];
        parameter.stored().dequantise(&mut stored).unwrap();
        assert_eq!(values(parameter), stored, "{}", parameter.name());
    }
    assert!(
        model
            .parameters()
            .iter()
            .any(|one| one.name() == "model.layers.1.self_attn.k_proj.bias")
    );
}

#[test]
fn options_and_tensors_without_a_counterpart_are_refused_by_name() {
    for (key, value) in [
        ("general.architecture", Owned::Text("mamba".to_owned())),
        ("general.type", Owned::Text("adapter".to_owned())),
        ("split.count", Owned::Unsigned(2)),
        ("general.quantization_version", Owned::Unsigned(1)),
        ("llama.expert_count", Owned::Unsigned(8)),
        ("llama.attention.clamp_kqv", Owned::Float(8.0)),
        ("llama.attention.causal", Owned::Bool(false)),
        ("llama.rope.dimension_count", Owned::Unsigned(4)),
        ("llama.attention.value_length", Owned::Unsigned(16)),
        ("llama.block_count", Owned::Float(2.0)),
        ("llama.context_length", Owned::Signed(-1)),
        (
            "llama.attention.head_count",
            Owned::List(vec![Owned::Unsigned(4); 2]),
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Owned::Float(f32::INFINITY),
        ),
        ("tokenizer.ggml.bos_token_id", Owned::Bool(true)),
    ] {
        let error = with_keys(&[(key, value)], true).unwrap_err();
        assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
    }
    let renamed = |from: &str, to: &str| {
        changed(|_, tensors| {
            tensors
                .iter_mut()
                .find(|tensor| tensor.name == from)
                .unwrap()
                .name = to.to_owned();
        })
    };
    for name in [
        "blk.2.attn_q.weight",
        "blk.01.attn_q.weight",
        "blk.1.attn_p.weight",
        "v.patch_embd.weight",
    ] {
        let error = renamed("blk.1.attn_q.weight", name).unwrap_err();
        assert!(error.contains(&format!("`{name}` has no place")), "{error}");
    }
    let error = renamed("token_embd.weight", "x").unwrap_err();
    assert!(error.contains("`token_embd.weight` is missing"), "{error}");
    // Heads of 32 rows: neither 16 rows of keys nor 32 numbers fit them.
    let wide = [
        ("key_length", 32),
        ("value_length", 32),
        ("rope.dimension_count", 32),
    ];
    let wide = wide.map(|(key, width)| {
        let prefix = if key.starts_with("rope") {
            "llama"
        } else {
            "llama.attention"
        };
        (format!("{prefix}.{key}"), Owned::Unsigned(width))
    });
    let wide: Vec<(&str, Owned)> = wide
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let error = with_keys(&wide, false).unwrap_err();
    assert!(
        error.contains("`blk.0.attn_k.weight`") && error.contains("heads of 32 rows"),
        "{error}"
    );
}

#[test]
fn a_file_becomes_a_bundle_that_writes() {
    let bundle = posthuman_lm::import_gguf(&bytes("llama_tiny.gguf")).unwrap();
    let again = posthuman_lm::Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    assert_eq!(again.extras(), bundle.extras());
    let prompt = again.tokenizer().encode_prompt("a").unwrap();
    let sampling = posthuman_lm::Sampling {
        maximum_tokens: 3,
        ..Default::default()
    };
    let go_on = |_: u32, _: &str| std::ops::ControlFlow::Continue(());
    let written = posthuman_lm::generate(&again, &prompt, &sampling, 1, go_on).unwrap();
    assert!(!written.tokens.is_empty());
    let error = posthuman_lm::import_gguf(&bytes("gpt2_tiny.gguf")).unwrap_err();
    assert!(error.to_string().contains("`tokenizer.ggml.tokens`"), "{error}");
}
