//! Every number of the story that is a choice.

use posthuman_types::{
    Amount, Architecture, EvaluateParameters, InferParameters, Precision, Publication, TrainParameters,
};

/// The share that every child of M1 owes: 20 %.
pub(super) const SHARE_BPS: u16 = 2_000;
/// Datatokens that Bob offers, for Charlie's training and Elena's three evaluations.
pub(super) const BOB_SELLS: u64 = 4;
/// Datatokens that Charlie offers, for Elena's two evaluations.
pub(super) const CHARLIE_SELLS: u64 = 2;
/// Price of one datatoken of M1, in whole OCEAN.
pub(super) const M1_PRICE: u64 = 2;
/// Price of one resold datatoken, in whole OCEAN.
pub(super) const RESALE_PRICE: u64 = 3;

/// M1: a GPT-2 of about a million parameters, made in about 430,000 tokens.
pub(super) fn m1() -> TrainParameters {
    let architecture = Architecture {
        layers: 4,
        heads: 4,
        width: 128,
        context: 128,
        vocabulary: 2048,
    };
    let publication = publication(
        "M1",
        "GPT-2 trained from scratch on most chapters of Moby-Dick",
        "Alice",
    );
    TrainParameters {
        publication: Publication {
            parent_share_bps: Some(SHARE_BPS),
            price: Some(Amount::tokens(M1_PRICE)),
            ..publication
        },
        architecture: Some(architecture),
        steps: 840,
        learning_rate: 0.003,
        minimum_learning_rate: 0.0003,
        warmup_steps: 80,
        evaluate_every: 210,
        ..schedule()
    }
}

/// M2: M1 and State of the Union addresses before 1900.
pub(super) fn m2() -> TrainParameters {
    let description = "M1, fine-tuned on State of the Union addresses before 1900";
    TrainParameters {
        publication: publication("M2", description, "Bob"),
        ..schedule()
    }
}

/// M3: M2 and State of the Union addresses from 1900.
pub(super) fn m3() -> TrainParameters {
    let description = "M2, fine-tuned on State of the Union addresses from 1900";
    TrainParameters {
        publication: publication("M3", description, "Charlie"),
        ..schedule()
    }
}

/// How everyone evaluates.
pub(super) fn evaluation() -> EvaluateParameters {
    EvaluateParameters {
        bootstrap_samples: 2_000,
        seed: 1,
        precision: Precision::F32,
    }
}

/// What Derek asks, greedily first, then with chance.
pub(super) fn turns() -> [(&'static str, InferParameters); 2] {
    let greedy = InferParameters {
        maximum_tokens: 40,
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 1,
        chat: false,
    };
    let sampled = InferParameters {
        temperature: 0.8,
        top_k: 40,
        top_p: 0.95,
        seed: 7,
        ..greedy.clone()
    };
    [
        ("The people of the United States", greedy),
        ("The whale", sampled),
    ]
}

fn publication(name: &str, description: &str, author: &str) -> Publication {
    Publication {
        name: name.to_owned(),
        description: description.to_owned(),
        author: author.to_owned(),
        license: "CC0-1.0".to_owned(),
        parent_share_bps: None,
        price: None,
    }
}

/// A fine-tuning in about 200,000 tokens.
fn schedule() -> TrainParameters {
    TrainParameters {
        publication: publication("", "", ""),
        architecture: None,
        steps: 200,
        batch: 8,
        sequence: 128,
        accumulate: 1,
        learning_rate: 0.0015,
        minimum_learning_rate: 0.00015,
        warmup_steps: 20,
        weight_decay: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        clip: 1.0,
        evaluate_every: 100,
        seed: 1,
        precision: Precision::F32,
    }
}

#[cfg(test)]
mod tests {
    use posthuman_types::Parameters;

    use super::*;

    #[test]
    fn the_story_asks_for_nothing_out_of_range() {
        for parameters in [m1(), m2(), m3()] {
            Parameters::Train(parameters).check().unwrap();
        }
        for (_, parameters) in turns() {
            Parameters::Infer(parameters).check().unwrap();
        }
        Parameters::Evaluate(evaluation()).check().unwrap();
    }

    #[test]
    fn trainings_are_as_long_as_the_story_asks() {
        assert!((800_000..=1_000_000).contains(&m1().tokens()));
        for parameters in [m2(), m3()] {
            assert!((180_000..=240_000).contains(&parameters.tokens()));
        }
    }
}
