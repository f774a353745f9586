//! The engine as its callers use it.
#![allow(clippy::unwrap_used)]

mod bits;
mod bundles;
mod chats;
mod encodings;
mod folders;
mod gguf;
mod imports;
mod readers;
mod smollm2;
mod stories;

use std::ops::ControlFlow;

use posthuman_lm::{
    AttentionBias, Bundle, Config, Family, InstructionSet, Model, Rotary, RotaryScaling, Tokenizer,
    TrainOptions, Trainer, TrainingData,
};

/// One test at a time chooses the instruction set: the choice is the process's.
static CHOOSING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs `check` with every instruction set of this machine.
fn with_each_set(check: impl Fn(InstructionSet)) {
    let _alone = CHOOSING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for set in [
        InstructionSet::Portable,
        InstructionSet::Avx2,
        InstructionSet::Avx512,
    ] {
        if set <= InstructionSet::best() {
            set.choose().unwrap();
            check(set);
        }
    }
    InstructionSet::best().choose().unwrap();
}

/// A text with something to learn in it, always the same.
fn text(lines: u64) -> String {
    let (who, what) = (
        ["the whale", "a sailor", "old Ahab", "the ship"],
        ["sings", "swims", "sleeps", "sees land"],
    );
    let place = [
        "at sea",
        "in the night",
        "before the storm",
        "near caf\u{e9} Nantucket",
    ];
    (0..lines)
        .map(|line| {
            let pick = |salt: u64, words: [&'static str; 4]| {
                words[(line * 7919 + salt * (line + 3)) as usize / 5 % 4]
            };
            format!("{} {} {}.\n", pick(1, who), pick(2, what), pick(3, place))
        })
        .collect()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::train(&[&text(200)], 320).unwrap()
}

fn fresh_model() -> Model {
    Model::random(Config::gpt2(320, 32, 24, 2, 3).unwrap(), 7).unwrap()
}

/// A Llama with three heads of queries for each of keys, an untied head, and the rotary positions of Llama 3.
fn fresh_llama() -> Model {
    let scaling = RotaryScaling::Llama3 {
        factor: 8.0,
        low_frequency_factor: 1.0,
        high_frequency_factor: 4.0,
        original_context: 16,
    };
    let config = Config {
        rotary: Some(Rotary {
            theta: 10_000.0,
            scaling,
        }),
        ..Config::llama(320, 32, 24, 2, 6, 2, 40).unwrap()
    };
    Model::random(config, 7).unwrap()
}

/// A Qwen3 with biases, heads wider than their part of the model, normalised, and the rotary positions of YaRN.
fn fresh_qwen3() -> Model {
    let scaling = RotaryScaling::Yarn {
        factor: 4.0,
        attention_factor: 1.1,
        beta_fast: 8.0,
        beta_slow: 0.5,
        original_context: 16,
        truncate: true,
    };
    let config = Config {
        family: Family::Qwen3,
        head_norm: true,
        head_width: 10,
        attention_bias: AttentionBias::All,
        tied_head: true,
        rotary: Some(Rotary {
            theta: 500.0,
            scaling,
        }),
        ..fresh_llama().config().clone()
    };
    Model::random(config, 7).unwrap()
}

fn data(tokenizer: &Tokenizer) -> TrainingData {
    TrainingData::from_text(tokenizer, &text(300), 0.2).unwrap()
}

fn options() -> TrainOptions {
    TrainOptions {
        batch: 4,
        sequence: 32,
        accumulate: 2,
        steps: 12,
        learning_rate: 1e-2,
        warmup_steps: 3,
        evaluate_every: 4,
        evaluate_windows: 5,
        seed: 3,
        ..TrainOptions::default()
    }
}

fn trainer(options: TrainOptions) -> Trainer {
    Trainer::new(fresh_model(), data(&tokenizer()), options).unwrap()
}

fn trained_bundle() -> Bundle {
    let mut trainer = trainer(options());
    while !trainer.finished() {
        trainer.step().unwrap();
    }
    Bundle::new(trainer.into_model(), tokenizer()).unwrap()
}

fn go_on(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
