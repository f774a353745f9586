//! Every family and option against `transformers`: logits, loss and gradients of the fixtures that
//! `tests/fixtures/make_family_fixtures.py` makes.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

use super::{Case, reads_the_same_in_parts, shape};
use crate::config::Config;
use crate::kernels::{Matrix, Start, Work, multiply};
use crate::model::Model;
use crate::network::{Activations, Session, forward};
use crate::threads;

const TENSORS: &[u8] = include_bytes!("../../../tests/fixtures/families.safetensors");
const FIXTURE: &str = include_str!("../../../tests/fixtures/families.json");

/// Both sides compute in f32 with sums in different orders; angles here are f64 rounded once. Relative to the largest.
const LOGIT_TOLERANCE: f32 = 1e-5;
/// A mean over 24 tokens of errors like those of the logits.
const LOSS_TOLERANCE: f64 = 2e-6;
/// The fixture's gradients are rounded to bf16, whose numbers lie 2^-7 apart at most, relatively; half of that, and as
/// much of the tensor's largest gradient as f32 sums may be off.
const GRADIENT_TOLERANCE: f32 = 1.0 / 256.0;
const GRADIENT_ROUNDING: f32 = 1e-5;

fn fixture() -> (Value, SafeTensors<'static>) {
    let json: Value = serde_json::from_str(FIXTURE).unwrap();
    assert_eq!(
        json["format"], "posthuman-families-fixture/1",
        "the fixture is of another version: make it again"
    );
    (json, SafeTensors::deserialize(TENSORS).unwrap())
}

/// The tensors under a name, as a file of their own.
fn file(tensors: &SafeTensors<'_>, prefix: &str) -> Vec<u8> {
    let views: Vec<(String, TensorView<'_>)> = tensors
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| Some((name.strip_prefix(prefix)?.to_owned(), view)))
        .collect();
    serialize(views, None).unwrap()
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    match view.dtype() {
        Dtype::F32 => view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect(),
        _ => view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| half::bf16::from_le_bytes(bytes).to_f32())
            .collect(),
    }
}

/// Each model of the fixture, with its name and what it is said to give.
fn each(check: impl Fn(&str, &Case, &Value, &SafeTensors<'_>)) {
    let (json, tensors) = fixture();
    let tokens = |key: &str| -> Vec<u32> {
        let rows: Vec<Vec<u32>> = serde_json::from_value(json[key].clone()).unwrap();
        rows.concat()
    };
    for entry in json["models"].as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let config = Config::from_json(entry["config"].to_string().as_bytes()).unwrap();
        let weights = file(&tensors, &format!("{name}/weight/"));
        let case = Case {
            model: Model::from_safetensors(config.clone(), &weights)
                .unwrap()
                .into_f32(),
            config,
            shape: shape(2, 12),
            tokens: tokens("tokens"),
            targets: tokens("targets"),
        };
        check(name, &case, entry, &tensors);
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

#[test]
fn logits_are_those_of_transformers() {
    each(|name, case, _, tensors| {
        let expected = floats(&tensors.tensor(&format!("{name}/logits")).unwrap());
        let (layout, weights) = (case.model.layout(), case.model.weights());
        let mut activations = Activations::new(&case.config, case.shape, false);
        let mut logits = vec![0.0; expected.len()];
        threads::pool(2).unwrap().install(|| {
            forward(&case.config, layout, weights, &case.tokens, &mut activations);
            let normed = Matrix::new(&activations.final_normed, 24, case.config.width);
            let head = Matrix::new(
                weights.vector(&layout.head),
                case.config.vocabulary,
                case.config.width,
            );
            multiply(&mut logits, Start::Zero, normed, head.transposed(), Work::Shared);
        });
        let allowed = LOGIT_TOLERANCE * largest(&expected);
        for (logit, expected) in logits.iter().zip(&expected) {
            assert!(
                (logit - expected).abs() < allowed,
                "{name}: {logit} for {expected}"
            );
        }
    });
}

#[test]
fn reading_token_by_token_gives_the_same_bits() {
    each(|_, case, _, _| {
        let first = Case {
            config: case.config.clone(),
            model: case.model.clone(),
            shape: shape(1, 12),
            tokens: case.tokens[..12].to_vec(),
            targets: vec![],
        };
        reads_the_same_in_parts(&first, &[0..5, 5..6, 6..12]);
    });
}

#[test]
fn losses_and_gradients_are_those_of_torch() {
    each(|name, case, entry, tensors| {
        let (loss, gradients) = case.engine(2);
        let expected = entry["loss"].as_f64().unwrap();
        assert!(
            (loss - expected).abs() < LOSS_TOLERANCE,
            "{name}: {loss} for {expected}"
        );
        for entry in &case.model.layout().entries {
            let prefix = if name == "gpt2" { "transformer." } else { "" };
            let tensor = format!("{name}/gradient/{prefix}{}", entry.name);
            let expected = floats(&tensors.tensor(&tensor).unwrap());
            let rounding = GRADIENT_ROUNDING * largest(&expected);
            for (gradient, expected) in gradients[entry.range.clone()].iter().zip(&expected) {
                let allowed = GRADIENT_TOLERANCE * expected.abs() + rounding;
                assert!(
                    (gradient - expected).abs() <= allowed,
                    "{tensor}: {gradient} for {expected}"
                );
            }
        }
    });
}

#[test]
fn a_written_model_reads_back_the_same() {
    each(|name, case, _, _| {
        let config = Config::from_json(case.config.to_json().as_bytes()).unwrap();
        assert_eq!(config, case.config, "{name}");
        let again = Model::from_safetensors(config, &case.model.to_safetensors().unwrap()).unwrap();
        assert_eq!(again.parameters(), case.model.parameters(), "{name}");
    });
}

/// Numbers of 16 bits are what they are in 32: a model that is held in half the bytes gives the same bits.
#[test]
fn a_model_held_in_bf16_gives_the_bits_of_its_numbers_in_f32() {
    let (json, tensors) = fixture();
    each(|name, case, entry, _| {
        let config = Config::from_json(entry["config"].to_string().as_bytes()).unwrap();
        let weights = file(&tensors, &format!("{name}/weight/"));
        let held = Model::from_safetensors(config, &weights).unwrap();
        assert_eq!(held.parameter_bytes() * 2, case.model.parameter_bytes(), "{name}");
        threads::pool(2).unwrap().install(|| {
            let (mut one, mut other) = (Session::new(&held, 12), Session::new(&case.model, 12));
            for part in [&case.tokens[..5], &case.tokens[5..6], &case.tokens[6..12]] {
                assert_eq!(one.read(part), other.read(part), "{name}");
            }
        });
    });
    assert!(json["models"].as_array().unwrap().len() > 10);
}
