//! The same bits for any number of threads, after an interruption, and from one version of the code to the next.

use std::ops::ControlFlow;

use posthuman_lm::{
    Bundle, EvaluateOptions, Evaluation, Generation, Sampling, StepReport, TrainOptions, Trainer,
    engine_version, evaluate, generate,
};
use sha2::{Digest, Sha256};

use crate::{data, go_on, options, text, tokenizer, trained_bundle, trainer};

const THREADS: [usize; 4] = [1, 2, 3, 8];

pub fn train(threads: usize) -> (Vec<StepReport>, Vec<u8>) {
    let mut trainer = trainer(TrainOptions { threads, ..options() });
    let mut reports = Vec::new();
    while !trainer.finished() {
        reports.push(trainer.step().unwrap());
    }
    (
        reports,
        Bundle::new(trainer.into_model(), tokenizer())
            .unwrap()
            .to_bytes()
            .unwrap(),
    )
}

pub fn write(bundle: &Bundle, threads: usize) -> Generation {
    let prompt = bundle.tokenizer().encode("the whale").unwrap();
    let sampling = Sampling {
        temperature: 0.9,
        top_k: 40,
        top_p: 0.95,
        seed: 5,
        maximum_tokens: 24,
        ..Sampling::default()
    };
    generate(bundle, &prompt, &sampling, threads, |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap()
}

pub fn score(bundle: &Bundle, threads: usize) -> Evaluation {
    evaluate(bundle, &text(150), &EvaluateOptions { stride: 0, threads }, go_on).unwrap()
}

#[test]
fn training_generation_and_evaluation_do_not_depend_on_threads() {
    let bundle = trained_bundle();
    let (reports, bytes) = train(1);
    let (written, scored) = (write(&bundle, 1), score(&bundle, 1));
    for threads in THREADS {
        let (again, others) = train(threads);
        assert_eq!(reports, again, "{threads} threads");
        assert!(bytes == others, "weights differ with {threads} threads");
        assert_eq!(written, write(&bundle, threads));
        assert_eq!(scored, score(&bundle, threads));
    }
}

#[test]
fn a_resumed_training_has_the_bits_of_an_uninterrupted_one() {
    let (reports, bytes) = train(2);
    for stop in [1, 5, 11] {
        let mut before = trainer(options());
        let mut again: Vec<StepReport> = (0..stop).map(|_| before.step().unwrap()).collect();
        let checkpoint = before.checkpoint().unwrap();
        assert!(
            checkpoint == before.checkpoint().unwrap(),
            "a checkpoint has one byte form"
        );
        let mut after = Trainer::resume(&checkpoint, data(&tokenizer()), 3).unwrap();
        assert_eq!(after.steps_done(), stop);
        while !after.finished() {
            again.push(after.step().unwrap());
        }
        assert_eq!(reports, again);
        assert!(
            bytes
                == Bundle::new(after.into_model(), tokenizer())
                    .unwrap()
                    .to_bytes()
                    .unwrap()
        );
    }
}

/// Digests of one training, one generation and one evaluation. A change here is a change of everyone's results: it
/// needs a new `engine_version`, and a reason in the commit.
#[test]
fn the_bits_are_those_of_this_engine_version() {
    let digest = |bytes: &[u8]| {
        Sha256::digest(bytes)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let (reports, bytes) = train(2);
    let bundle = Bundle::from_bytes(&bytes).unwrap();
    let json = |value: &dyn erased::Json| digest(value.json().as_bytes());
    let found = [
        ("engine", engine_version().to_owned()),
        ("tokenizer", digest(bundle.tokenizer().to_json())),
        ("steps", json(&reports)),
        ("bundle", digest(&bytes)),
        ("generation", json(&write(&bundle, 2))),
        ("evaluation", json(&score(&bundle, 2))),
    ];
    let pinned = [
        ("engine", "posthuman-lm/1"),
        ("tokenizer", "20deb548f59c01d6"),
        ("steps", "94074ae2ca1d8a6b"),
        ("bundle", "7295f12e499412aa"),
        ("generation", "854bc8e9be8a24d5"),
        ("evaluation", "76e10e164fe31b8f"),
    ];
    assert_eq!(found, pinned.map(|(name, value)| (name, value.to_owned())));
}

/// JSON of values of different types, whose f64 are written in the shortest form that reads back: their bits.
mod erased {
    pub trait Json {
        fn json(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}
