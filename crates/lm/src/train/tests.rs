//! The engine against PyTorch: logits, loss and fifty training losses of the fixture that
//! `tests/fixtures/make_gpt2_fixture.py` makes.

use serde_json::Value;

use super::*;
use crate::config::Config;
use crate::data::TrainingData;
use crate::model::Model;
use crate::network::Session;
use crate::threads;

const WEIGHTS: &[u8] = include_bytes!("../../tests/fixtures/gpt2_tiny.safetensors");
const FIXTURE: &str = include_str!("../../tests/fixtures/gpt2_tiny.json");

/// Both sides compute in f32 with sums in different orders; 2 layers of width 32 keep that near 1e-6 of logits about 1.
const LOGIT_TOLERANCE: f64 = 1e-5;
/// A mean over 48 tokens of errors like those of the logits.
const LOSS_TOLERANCE: f64 = 5e-6;
/// Fifty steps at a learning rate of 1 % amplify the first rounding: AdamW divides by the gradient's own size, so that a
/// parameter whose gradient is near 0 moves by its rounding.
const TRAINING_TOLERANCE: f64 = 5e-4;
/// The norm follows the same parameters, at a few times their loss's size.
const NORM_TOLERANCE: f64 = 5e-3;

struct Fixture {
    json: Value,
    model: Model,
    windows: Vec<Vec<u32>>,
}

fn fixture() -> Fixture {
    let json: Value = serde_json::from_str(FIXTURE).unwrap();
    assert_eq!(
        json["format"], "posthuman-gpt2-fixture/1",
        "the fixture is of another version: make it again"
    );
    let config = Config::from_json(json["config"].to_string().as_bytes()).unwrap();
    let model = Model::from_safetensors(config, WEIGHTS).unwrap();
    let windows = serde_json::from_value(json["windows"].clone()).unwrap();
    Fixture { json, model, windows }
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn trainer(fixture: &Fixture, threads: usize) -> Trainer {
    let options: TrainOptions = serde_json::from_value(fixture.json["options"].clone()).unwrap();
    let data = TrainingData::from_tokens((0..97).collect(), vec![]).unwrap();
    Trainer::new(fixture.model.clone(), data, TrainOptions { threads, ..options }).unwrap()
}

/// The losses and norms of the fixture's fifty steps.
fn fifty_steps(fixture: &Fixture, threads: usize) -> Vec<StepReport> {
    let mut trainer = trainer(fixture, threads);
    let (batch, accumulate) = (trainer.options().batch, trainer.options().accumulate);
    let steps: Vec<StepReport> = fixture
        .windows
        .chunks(batch * accumulate)
        .map(|step| {
            trainer.gradients.fill(0.0);
            let mut nats = 0.0;
            for micro in step.chunks(batch) {
                let inputs: Vec<u32> = micro
                    .iter()
                    .flat_map(|window| &window[..window.len() - 1])
                    .copied()
                    .collect();
                let targets: Vec<u32> = micro.iter().flat_map(|window| &window[1..]).copied().collect();
                nats += trainer.add_micro_batch(&inputs, &targets);
            }
            trainer
                .finish_step(nats / (batch * accumulate * 24) as f64)
                .unwrap()
        })
        .collect();
    assert!(trainer.finished() && trainer.step().is_err());
    steps
}

#[test]
fn logits_are_those_of_transformers() {
    let fixture = fixture();
    for (window, expected) in fixture
        .windows
        .iter()
        .zip(fixture.json["logits"].as_array().unwrap())
    {
        let mut session = Session::new(&fixture.model, 24);
        let logits = threads::pool(2).unwrap().install(|| session.read(&window[..24]));
        for (logit, expected) in logits.iter().zip(numbers(expected)) {
            assert!(
                (f64::from(*logit) - expected).abs() < LOGIT_TOLERANCE,
                "{logit} for {expected}"
            );
        }
    }
}

#[test]
fn the_loss_is_that_of_transformers() {
    let fixture = fixture();
    let mut trainer = trainer(&fixture, 2);
    let expected = fixture.json["loss"].as_f64().unwrap();
    // The fixture's loss is over the first two windows; the trainer's micro-batch holds four.
    let inputs: Vec<u32> = fixture.windows[..4]
        .iter()
        .flat_map(|window| &window[..24])
        .copied()
        .collect();
    let targets: Vec<u32> = fixture.windows[..4]
        .iter()
        .flat_map(|window| &window[1..])
        .copied()
        .collect();
    trainer.add_micro_batch(&inputs, &targets);
    let nats: f64 = trainer.scores[..48].iter().map(|score| score.nats).sum();
    assert!(
        (nats / 48.0 - expected).abs() < LOSS_TOLERANCE,
        "{} for {expected}",
        nats / 48.0
    );
}

#[test]
fn fifty_training_losses_are_those_of_torch() {
    let fixture = fixture();
    let (losses, norms) = (
        numbers(&fixture.json["training_losses"]),
        numbers(&fixture.json["gradient_norms"]),
    );
    for ((report, loss), norm) in fifty_steps(&fixture, 2).iter().zip(losses).zip(norms) {
        assert!(
            (report.loss - loss).abs() < TRAINING_TOLERANCE,
            "{report:?} for {loss}"
        );
        assert!(
            (report.gradient_norm - norm).abs() < NORM_TOLERANCE * norm,
            "{report:?} for norm {norm}"
        );
    }
}

#[test]
fn fifty_steps_have_the_same_bits_for_any_number_of_threads() {
    let fixture = fixture();
    let one = fifty_steps(&fixture, 1);
    for threads in [2, 3, 8] {
        assert_eq!(one, fifty_steps(&fixture, threads), "{threads} threads");
    }
}
