use serde_json::json;

use super::*;
use crate::config::rotary::RotaryScaling;

/// Every option of every family at least once, in shapes as small as can be.
pub(crate) fn variants() -> Vec<Config> {
    let llama = || Config::llama(13, 64, 12, 2, 6, 2, 10).unwrap();
    let scaled = |scaling| Config {
        rotary: Some(Rotary {
            theta: 500.0,
            scaling,
        }),
        ..llama()
    };
    let mut variants = vec![
        Config::gpt2(11, 7, 6, 3, 2).unwrap(),
        llama(),
        Config {
            tied_head: true,
            attention_bias: AttentionBias::All,
            mlp_bias: true,
            head_width: 4,
            ..llama()
        },
        Config {
            family: Family::Mistral,
            key_value_heads: 1,
            ..llama()
        },
        Config {
            family: Family::Qwen2,
            attention_bias: AttentionBias::Inputs,
            key_value_heads: 6,
            ..llama()
        },
        Config {
            family: Family::Qwen3,
            head_norm: true,
            head_width: 8,
            epsilon: 1e-6,
            ..llama()
        },
        Config {
            family: Family::Qwen3,
            head_norm: true,
            attention_bias: AttentionBias::All,
            heads: 1,
            key_value_heads: 1,
            ..llama()
        },
    ];
    variants.extend(
        [
            RotaryScaling::Linear { factor: 2.5 },
            RotaryScaling::Llama3 {
                factor: 8.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 16,
            },
            RotaryScaling::Yarn {
                factor: 4.0,
                attention_factor: 1.1,
                beta_fast: 8.0,
                beta_slow: 0.5,
                original_context: 16,
                truncate: false,
            },
        ]
        .map(scaled),
    );
    variants
}

fn map(config: &Config) -> Map<String, Value> {
    serde_json::from_str(&config.to_json()).unwrap()
}

/// Reads a config of a family with some keys set.
fn read(base: &Config, changes: &[(&str, Value)]) -> Result<Config> {
    let mut map = map(base);
    map.extend(
        changes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone())),
    );
    Config::from_json(&serde_json::to_vec(&map).unwrap())
}

fn llama(family: Family) -> Config {
    variants()
        .into_iter()
        .find(|config| config.family == family)
        .unwrap()
}

#[test]
fn writes_what_it_reads() {
    for config in variants() {
        assert!(config.check().is_ok(), "{config:?}");
        assert_eq!(Config::from_json(config.to_json().as_bytes()).unwrap(), config);
    }
    let gpt2 = Config::gpt2(97, 16, 32, 2, 4).unwrap();
    assert_eq!(
        gpt2.to_json(),
        r#"{"activation_function":"gelu_new","architectures":["GPT2LMHeadModel"],"layer_norm_epsilon":0.00001,"model_type":"gpt2","n_ctx":16,"n_embd":32,"n_head":4,"n_layer":2,"n_positions":16,"vocab_size":97}"#
    );
}

#[test]
fn published_models_have_their_number_of_parameters() {
    let gpt2 = Config::gpt2(50257, 1024, 768, 12, 12).unwrap();
    assert_eq!(gpt2.parameter_count(), 124_439_808);
    let smollm2 = Config {
        tied_head: true,
        ..Config::llama(49152, 8192, 576, 30, 9, 3, 1536).unwrap()
    };
    assert_eq!(smollm2.parameter_count(), 134_515_008);
    let qwen2 = Config {
        family: Family::Qwen2,
        tied_head: true,
        attention_bias: AttentionBias::Inputs,
        ..Config::llama(151_936, 32768, 896, 24, 14, 2, 4864).unwrap()
    };
    assert_eq!(qwen2.parameter_count(), 494_032_768);
    let qwen3 = Config {
        family: Family::Qwen3,
        tied_head: true,
        head_norm: true,
        head_width: 128,
        ..Config::llama(151_936, 40960, 1024, 28, 16, 8, 3072).unwrap()
    };
    assert_eq!(qwen3.parameter_count(), 596_049_920);
}

#[test]
fn defaults_are_those_of_transformers() {
    let least = json!({
        "model_type": "llama", "vocab_size": 13, "max_position_embeddings": 64, "hidden_size": 12,
        "num_hidden_layers": 2, "num_attention_heads": 6, "intermediate_size": 10,
    });
    let config = Config::from_json(least.to_string().as_bytes()).unwrap();
    let expected = Config {
        epsilon: 1e-6,
        key_value_heads: 6,
        ..llama(Family::Llama)
    };
    assert_eq!(config, expected);
    let mut qwen3 = map(&llama(Family::Qwen3));
    qwen3.remove("head_dim");
    let qwen3 = Config::from_json(&serde_json::to_vec(&qwen3).unwrap()).unwrap();
    assert_eq!(qwen3.head_width, 128);
}

#[test]
fn both_ways_to_write_rotary_positions_are_read() {
    let base = llama(Family::Llama);
    let yarn = json!({
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 5e5, "mscale": 0.7, "mscale_all_dim": 1.2,
    });
    let new = read(&base, &[("rope_parameters", yarn.clone())]).unwrap();
    let old = read(&base, &[("rope_scaling", yarn)]).unwrap();
    assert_eq!(new, old);
    let rotary = new.rotary.unwrap();
    assert_eq!(rotary.theta, 5e5);
    let RotaryScaling::Yarn {
        attention_factor,
        original_context,
        beta_fast,
        ..
    } = rotary.scaling
    else {
        panic!("{rotary:?}");
    };
    let ln_4 = 4_f64.ln();
    assert!((attention_factor - (0.07 * ln_4 + 1.0) / (0.12 * ln_4 + 1.0)).abs() < 1e-12);
    assert_eq!((original_context, beta_fast), (64, 32.0));
    let plain = json!({"rope_type": "default", "rope_theta": 7e5});
    let plain = read(&base, &[("rope_theta", json!(3.0)), ("rope_parameters", plain)]).unwrap();
    assert_eq!(plain.rotary.unwrap().theta, 7e5);
}

#[test]
fn a_window_no_shorter_than_the_context_is_none() {
    let mistral = llama(Family::Mistral);
    for window in [json!(64), json!(4096), json!(null)] {
        assert_eq!(read(&mistral, &[("sliding_window", window)]).unwrap(), mistral);
    }
    let error = read(&mistral, &[("sliding_window", json!(63))])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`sliding_window` is 63") && error.contains("context of 64"),
        "{error}"
    );
    let mut absent = map(&mistral);
    absent.remove("sliding_window");
    absent.insert("max_position_embeddings".to_owned(), json!(8192));
    let error = Config::from_json(&serde_json::to_vec(&absent).unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains("is 4096"), "{error}");
    let qwen = llama(Family::Qwen2);
    assert!(read(&qwen, &[("sliding_window", json!(3))]).is_ok());
    let used = [("sliding_window", json!(3)), ("use_sliding_window", json!(true))];
    assert!(read(&qwen, &used).is_err());
}

#[test]
fn refusals_name_the_key() {
    let gpt2 = Config::gpt2(97, 16, 32, 2, 4).unwrap();
    for (key, value) in [
        ("model_type", json!("bloom")),
        ("model_type", json!(3)),
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
        expect_refusal(&gpt2, key, value);
    }
    let llama = llama(Family::Llama);
    for (key, value) in [
        ("hidden_act", json!("gelu")),
        ("head_dim", json!(3)),
        ("head_dim", json!(1 << 20)),
        ("num_key_value_heads", json!(4)),
        ("num_key_value_heads", json!(0)),
        ("num_attention_heads", json!(u64::MAX)),
        ("intermediate_size", json!(1u64 << 60)),
        ("rms_norm_eps", json!("small")),
        ("rope_theta", json!(1.0)),
        ("rope_theta", json!(-5)),
        ("rope_interleaved", json!(true)),
        ("partial_rotary_factor", json!(0.5)),
        ("tie_word_embeddings", json!(1)),
        ("quantization_config", json!({"bits": 4})),
        ("rope_scaling", json!([2])),
        ("rope_scaling", json!({"type": "dynamic", "factor": 2.0})),
        ("rope_scaling", json!({"rope_type": "longrope", "factor": 2.0})),
        ("rope_parameters", json!({"rope_type": 3})),
    ] {
        expect_refusal(&llama, key, value);
    }
    for (scaling, key) in [
        (json!({"type": "linear"}), "factor"),
        (json!({"type": "linear", "factor": 0.1}), "factor"),
        (json!({"type": "llama3", "factor": 8.0}), "low_freq_factor"),
        (
            json!({"type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0}),
            "high_freq_factor",
        ),
        (
            json!({"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 0}),
            "original_max_position_embeddings",
        ),
    ] {
        let error = read(&llama, &[("rope_scaling", scaling)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
    }
}

fn expect_refusal(base: &Config, key: &str, value: Value) {
    let error = read(base, &[(key, value)]).unwrap_err();
    assert!(error.to_string().contains(&format!("`{key}`")), "{key}: {error}");
    assert_eq!(error.class(), crate::ErrorClass::Caller);
}

#[test]
fn an_option_that_the_family_does_not_have_is_refused() {
    for config in [
        Config {
            rotary: None,
            ..llama(Family::Llama)
        },
        Config {
            head_norm: true,
            ..llama(Family::Llama)
        },
        Config {
            mlp_bias: true,
            ..llama(Family::Mistral)
        },
        Config {
            attention_bias: AttentionBias::None,
            ..llama(Family::Qwen2)
        },
        Config {
            tied_head: false,
            ..llama(Family::Gpt2)
        },
    ] {
        assert!(config.check().is_err(), "{config:?}");
    }
}

#[test]
fn a_missing_key_is_named_and_bytes_that_are_no_json_are_refused() {
    let error =
        Config::from_json(br#"{"model_type":"gpt2","vocab_size":5,"n_embd":4,"n_head":2}"#).unwrap_err();
    assert!(error.to_string().contains("`n_ctx`"), "{error}");
    assert!(matches!(Config::from_json(b"\x80\x04."), Err(Error::Json { .. })));
}
