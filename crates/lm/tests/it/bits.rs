//! The same bits for any number of threads, after an interruption, and from one version of the code to the next.

use std::ops::ControlFlow;

use posthuman_lm::{
    Arithmetic, Bf16Set, Bundle, EvaluateOptions, Evaluation, Generation, Model, Sampling, StepReport,
    TrainOptions, Trainer, engine_version, evaluate, generate,
};
use sha2::{Digest, Sha256};

use crate::{data, fresh_llama, fresh_model, fresh_qwen3, go_on, options, text, tokenizer, with_each_set};

const THREADS: [usize; 4] = [1, 2, 3, 8];

/// A GPT-2, a Llama and a Qwen3: together they have every layer that the decoder knows.
fn models() -> [Model; 3] {
    [fresh_model(), fresh_llama(), fresh_qwen3()]
}

fn train(model: Model, threads: usize) -> (Vec<StepReport>, Vec<u8>) {
    let mut trainer = Trainer::new(model, data(&tokenizer()), TrainOptions { threads, ..options() }).unwrap();
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

fn write(bundle: &Bundle, threads: usize) -> Generation {
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

fn score(bundle: &Bundle, threads: usize) -> Evaluation {
    evaluate(bundle, &text(150), &EvaluateOptions { stride: 0, threads }, go_on).unwrap()
}

#[test]
fn training_generation_and_evaluation_do_not_depend_on_threads() {
    for model in models() {
        let (reports, bytes) = train(model.clone(), 1);
        let bundle = Bundle::from_bytes(&bytes).unwrap();
        let (written, scored) = (write(&bundle, 1), score(&bundle, 1));
        for threads in THREADS {
            let (again, others) = train(model.clone(), threads);
            assert_eq!(reports, again, "{threads} threads");
            assert!(bytes == others, "weights differ with {threads} threads");
            assert_eq!(written, write(&bundle, threads));
            assert_eq!(scored, score(&bundle, threads));
        }
    }
}

#[test]
fn training_generation_and_evaluation_do_not_depend_on_the_instruction_set() {
    for model in models() {
        let (reports, bytes) = train(model.clone(), 2);
        let bundle = Bundle::from_bytes(&bytes).unwrap();
        let (written, scored) = (write(&bundle, 2), score(&bundle, 2));
        with_each_set(|set| {
            let (again, others) = train(model.clone(), 2);
            assert!(reports == again && bytes == others, "{set:?}");
            assert_eq!((&written, &scored), (&write(&bundle, 2), &score(&bundle, 2)));
        });
    }
}

#[test]
fn a_resumed_training_has_the_bits_of_an_uninterrupted_one() {
    for (model, stops) in models().into_iter().zip([&[1, 5, 11][..], &[3], &[7]]) {
        let (reports, bytes) = train(model.clone(), 2);
        for &stop in stops {
            let mut before = Trainer::new(model.clone(), data(&tokenizer()), options()).unwrap();
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
            let model = after.into_model();
            assert!(bytes == Bundle::new(model, tokenizer()).unwrap().to_bytes().unwrap());
        }
    }
}

/// Digests of a training, a generation and an evaluation of each. A change here is a change of everyone's results: it
/// needs a new `engine_version`, and a reason in the commit.
#[test]
fn the_bits_are_those_of_this_engine_version() {
    assert_eq!(engine_version(), "posthuman-lm/2");
    assert_eq!(digest(tokenizer().to_json()), "20deb548f59c01d6");
    let pinned = [
        [
            ("steps", "94074ae2ca1d8a6b"),
            ("bundle", "7295f12e499412aa"),
            ("generation", "854bc8e9be8a24d5"),
            ("evaluation", "76e10e164fe31b8f"),
        ],
        [
            ("steps", "0986c7a790531611"),
            ("bundle", "7d53af345677e692"),
            ("generation", "36e971cbb5c59dac"),
            ("evaluation", "6f186e3715dfb43f"),
        ],
        [
            ("steps", "5c2e601c3f784f11"),
            ("bundle", "c0aa2b0e84154906"),
            ("generation", "833954bd6e95dbe0"),
            ("evaluation", "9e02870a0e9cbe58"),
        ],
    ];
    for (model, pinned) in models().into_iter().zip(pinned) {
        let (reports, bytes) = train(model, 2);
        let bundle = Bundle::from_bytes(&bytes).unwrap();
        let json = |value: &dyn erased::Json| digest(value.json().as_bytes());
        let found = [
            ("steps", json(&reports)),
            ("bundle", digest(&bytes)),
            ("generation", json(&write(&bundle, 2))),
            ("evaluation", json(&score(&bundle, 2))),
        ];
        assert_eq!(found, pinned.map(|(name, value)| (name, value.to_owned())));
    }
}

/// Every set that this machine has under the name that all machines have.
fn bf16(model: Model) -> Model {
    let arithmetic = Arithmetic::named("bf16/amx").unwrap();
    model.with_arithmetic(arithmetic).unwrap()
}

#[test]
fn bf16_has_the_same_bits_for_any_number_of_threads_and_after_an_interruption() {
    for model in models() {
        let (reports, bytes) = train(bf16(model.clone()), 1);
        for threads in THREADS {
            let (again, others) = train(bf16(model.clone()), threads);
            assert!(reports == again && bytes == others, "{threads} threads");
        }
        let portable = Arithmetic::Bf16(Bf16Set::Portable);
        let (again, others) = train(model.clone().with_arithmetic(portable).unwrap(), 2);
        assert!(
            reports == again && bytes == others,
            "another set of the same name"
        );
        let mut before = Trainer::new(bf16(model.clone()), data(&tokenizer()), options()).unwrap();
        let mut again: Vec<StepReport> = (0..5).map(|_| before.step().unwrap()).collect();
        let checkpoint = before.checkpoint().unwrap();
        let mut after = Trainer::resume(&checkpoint, data(&tokenizer()), 2).unwrap();
        while !after.finished() {
            again.push(after.step().unwrap());
        }
        assert_eq!(reports, again);
    }
}

/// Operands have 8 digits instead of 24, and errors of many average out: losses differ in the third digit.
#[test]
fn bf16_learns_what_f32_learns() {
    for model in models() {
        let ((exact, _), (rounded, _)) = (train(model.clone(), 2), train(bf16(model), 2));
        assert!(exact[11].loss < exact[0].loss - 0.5);
        for (one, other) in exact.iter().zip(&rounded) {
            assert_ne!(one.loss, other.loss);
            assert!(
                (one.loss - other.loss).abs() < 0.01 * one.loss,
                "{one:?} {other:?}"
            );
        }
    }
}

/// As [`the_bits_are_those_of_this_engine_version`], for `bf16/amx`.
#[test]
fn the_bits_of_bf16_are_those_of_this_engine_version() {
    let pinned = [
        ["60a0a816cbcd8b1c", "f0f3f5ae277de0ff", "02ac0bccef1c3840"],
        ["009417625cfc0c5b", "daf7c6b3e6de8fc3", "be08a935e1b5ef21"],
        ["12b8d17aba41c687", "4472a54bcbf4ac24", "61d0d50641c97df3"],
    ];
    for (model, pinned) in models().into_iter().zip(pinned) {
        let (reports, bytes) = train(bf16(model), 2);
        let (trained, tokenizer) = Bundle::from_bytes(&bytes).unwrap().into_parts();
        let bundle = Bundle::new(bf16(trained), tokenizer).unwrap();
        let json = |value: &dyn erased::Json| digest(value.json().as_bytes());
        let found = [json(&reports), digest(&bytes), json(&score(&bundle, 2))];
        assert_eq!(found, pinned.map(str::to_owned));
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
