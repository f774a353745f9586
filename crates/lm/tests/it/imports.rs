//! Weights from other programs: what is accepted, and what is refused by the tensor's name.

use std::collections::BTreeMap;

use posthuman_lm::{Config, Model, import_folder};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Map, Value, json};

use crate::{fresh_llama, fresh_model, fresh_qwen3, tokenizer};

/// A tensor as a file holds it.
#[derive(Clone)]
struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn stored() -> Vec<Stored> {
    fresh_model().tensors().map(store).collect()
}

fn store(tensor: posthuman_lm::Tensor<'_>) -> Stored {
    Stored {
        name: tensor.name.to_owned(),
        dtype: Dtype::F32,
        shape: tensor.shape.to_vec(),
        bytes: tensor
            .values()
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

fn file(tensors: &[Stored]) -> Vec<u8> {
    let view = |one: &Stored| {
        TensorView::new(one.dtype, one.shape.clone(), &one.bytes).map(|view| view.data().to_vec())
    };
    assert!(tensors.iter().all(|one| view(one).is_ok()));
    let views = tensors.iter().map(|one| {
        (
            one.name.as_str(),
            TensorView::new(one.dtype, one.shape.clone(), &one.bytes).unwrap(),
        )
    });
    serialize(views, None).unwrap()
}

fn read(tensors: &[Stored]) -> Result<Model, String> {
    Model::from_safetensors(fresh_model().config().clone(), &file(tensors)).map_err(|error| error.to_string())
}

fn refusal(change: impl FnOnce(&mut Vec<Stored>)) -> String {
    let mut tensors = stored();
    change(&mut tensors);
    read(&tensors).unwrap_err()
}

fn same(model: &Model, other: &Model) -> bool {
    model
        .tensors()
        .zip(other.tensors())
        .all(|(one, other)| one.values() == other.values())
}

#[test]
fn a_folder_makes_a_bundle() {
    let files = BTreeMap::from([
        (
            "config.json".to_owned(),
            fresh_model().config().to_json().into_bytes(),
        ),
        ("model.safetensors".to_owned(), file(&stored())),
        ("tokenizer.json".to_owned(), tokenizer().to_json().to_vec()),
    ]);
    let bundle = import_folder(&files).unwrap();
    assert!(same(bundle.model(), &fresh_model()));
    let plain = Model::from_safetensors(
        bundle.model().config().clone(),
        &fresh_model().to_safetensors().unwrap(),
    );
    assert!(same(&plain.unwrap(), &fresh_model()));
}

#[test]
fn prefixes_masks_and_an_equal_head_are_accepted() {
    let mut tensors = stored();
    for tensor in &mut tensors {
        tensor.name.insert_str(0, "transformer.");
    }
    tensors.push(Stored {
        name: "lm_head.weight".to_owned(),
        ..tensors[0].clone()
    });
    let mask = Stored {
        name: "transformer.h.0.attn.bias".into(),
        dtype: Dtype::BOOL,
        shape: vec![1, 2],
        bytes: vec![1, 0],
    };
    tensors.push(Stored {
        name: "h.1.attn.masked_bias".to_owned(),
        ..mask.clone()
    });
    tensors.push(mask);
    assert!(same(&read(&tensors).unwrap(), &fresh_model()));
}

#[test]
fn half_precision_is_widened_exactly() {
    let mut tensors = stored();
    for (index, tensor) in tensors.iter_mut().enumerate() {
        // 1.5 and -0.25 in either form; both are exact.
        let (dtype, pattern): (_, [u16; 2]) = if index % 2 == 0 {
            (Dtype::F16, [0x3e00, 0xb400])
        } else {
            (Dtype::BF16, [0x3fc0, 0xbe80])
        };
        tensor.dtype = dtype;
        let count = tensor.bytes.len() / 4;
        tensor.bytes = (0..count)
            .flat_map(|place| pattern[place % 2].to_le_bytes())
            .collect();
    }
    let model = read(&tensors).unwrap();
    for tensor in model.tensors() {
        assert!(
            tensor
                .values()
                .iter()
                .enumerate()
                .all(|(place, &value)| value == [1.5, -0.25][place % 2])
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let error = refusal(|tensors| tensors.retain(|tensor| tensor.name != "h.1.ln_2.bias"));
    assert!(error.contains("`h.1.ln_2.bias` is missing"), "{error}");
    let error = refusal(|tensors| {
        tensors.push(Stored {
            name: "h.2.ln_1.bias".into(),
            ..tensors[2].clone()
        })
    });
    assert!(error.contains("`h.2.ln_1.bias` is unknown"), "{error}");
    let error = refusal(|tensors| tensors[4].shape.reverse());
    assert!(
        error.contains("h.0.attn.c_attn.weight") && error.contains("[24, 72]"),
        "{error}"
    );
    let error = refusal(|tensors| {
        tensors.push(Stored {
            name: "transformer.wte.weight".into(),
            ..tensors[0].clone()
        })
    });
    assert!(error.contains("twice"), "{error}");
    let error = refusal(|tensors| tensors[1].bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes()));
    assert!(
        error.contains("`wpe.weight`") && error.contains("index 2"),
        "{error}"
    );
    let error = refusal(|tensors| tensors[2].dtype = Dtype::I32);
    assert!(
        error.contains("h.0.ln_1.weight") && error.contains("I32"),
        "{error}"
    );
    let error = refusal(|tensors| {
        let mut head = Stored {
            name: "lm_head.weight".into(),
            ..tensors[0].clone()
        };
        head.bytes[0] ^= 1;
        tensors.push(head);
    });
    assert!(
        error.contains("lm_head.weight") && error.contains("tied"),
        "{error}"
    );
}

#[test]
fn a_llama_is_read_with_and_without_its_prefix_and_with_what_old_files_carry() {
    let model = fresh_llama();
    let mut tensors: Vec<Stored> = model.tensors().map(store).collect();
    let frequencies = Stored {
        name: "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
        dtype: Dtype::F32,
        shape: vec![2],
        bytes: vec![0; 8],
    };
    tensors.push(frequencies);
    let read = |tensors: &[Stored]| {
        Model::from_safetensors(model.config().clone(), &file(tensors)).map_err(|error| error.to_string())
    };
    assert!(same(&read(&tensors).unwrap(), &model));
    for tensor in &mut tensors {
        tensor.name = tensor.name.trim_start_matches("model.").to_owned();
    }
    assert!(same(&read(&tensors).unwrap(), &model));
    let head = tensors
        .iter()
        .position(|tensor| tensor.name == "lm_head.weight")
        .unwrap();
    let error = read(&[&tensors[..head], &tensors[head + 1..]].concat()).unwrap_err();
    assert!(error.contains("`lm_head.weight` is missing"), "{error}");
    tensors[1].name = "model.layers.2.mlp.up_proj.weight".to_owned();
    let error = read(&tensors).unwrap_err();
    assert!(
        error.contains("up_proj") && error.contains("num_hidden_layers"),
        "{error}"
    );
}

#[test]
fn a_shape_that_no_file_fills_is_refused_before_memory_is_taken() {
    let huge = Config::llama(1 << 17, 4096, 1 << 12, 32, 32, 8, 14336).unwrap();
    let error = Model::from_safetensors(huge, &file(&stored())).unwrap_err();
    assert!(error.to_string().contains("is unknown in a `llama`"), "{error}");
}

#[test]
fn pickles_and_overlaps_are_refused() {
    let config = fresh_model().config().clone();
    assert!(Model::from_safetensors(config.clone(), b"\x80\x02}q\x00.").is_err());
    let header = r#"{"wte.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"wpe.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0; 4]);
    assert!(Model::from_safetensors(config, &bytes).is_err());
}

/// Values that a `config.json` may hold where it should not.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0..200_u64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..20.0).prop_map(Value::from),
        Just(json!("silu")),
        Just(json!([1, "two"])),
        scaling(),
    ]
}

fn scaling() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(vec!["default", "linear", "llama3", "yarn", "dynamic", "none"]);
    let number = || prop_oneof![any::<f64>(), 0.0..100.0];
    (kinds, number(), number(), number(), any::<u32>(), any::<bool>()).prop_map(
        |(kind, factor, one, other, context, truncate)| {
            json!({
                "rope_type": kind, "factor": factor, "low_freq_factor": one, "high_freq_factor": other,
                "beta_fast": one, "beta_slow": other, "mscale": other, "mscale_all_dim": one,
                "original_max_position_embeddings": context % 100, "rope_theta": one, "truncate": truncate,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a `config.json` says, reading it answers; what is accepted is written so that it reads back the same.
    #[test]
    fn a_strange_config_never_panics(
        base in 0..3_usize,
        family in prop::sample::select(vec!["gpt2", "llama", "mistral", "qwen2", "qwen3", "t5"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 0..4),
    ) {
        let model = [fresh_model, fresh_llama, fresh_qwen3][base]();
        let mut map: Map<String, Value> = serde_json::from_str(&model.config().to_json()).unwrap();
        map.insert("model_type".to_owned(), json!(family));
        let others = ["rope_parameters", "rope_scaling", "sliding_window", "use_sliding_window", "partial_rotary_factor"];
        let keys: Vec<String> = map.keys().cloned().chain(others.map(str::to_owned)).collect();
        for (key, value) in changes {
            map.insert(keys[key.index(keys.len())].clone(), value);
        }
        if let Ok(config) = Config::from_json(&serde_json::to_vec(&map).unwrap()) {
            prop_assert_eq!(&Config::from_json(config.to_json().as_bytes()).unwrap(), &config);
            prop_assert!(config.parameter_count() > 0);
        }
    }

    /// Whatever is done to a good file, reading it answers; it never panics and never gives what is not finite.
    #[test]
    fn a_damaged_file_never_panics(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), end: prop::sample::Index) {
        let model = Model::random(Config::gpt2(3, 2, 2, 1, 1).unwrap(), 1).unwrap();
        let mut bytes = model.to_safetensors().unwrap();
        for (place, byte) in &places {
            // The header holds the interesting part: half of the damage goes there.
            let range = if byte % 2 == 0 { 600 } else { bytes.len() };
            let place = place.index(range);
            bytes[place] = *byte;
        }
        if places.len() % 3 == 0 {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(model) = Model::from_safetensors(model.config().clone(), &bytes) {
            prop_assert!(model.tensors().all(|tensor| tensor.values().iter().all(|value| value.is_finite())));
        }
    }
}
