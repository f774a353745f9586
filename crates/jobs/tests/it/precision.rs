//! Jobs in bf16, and on models that are quantised.

use std::error::Error;
use std::fs;

use posthuman_jobs::engine::local::{CheckSpec, Launch, Outcome, Task};
use posthuman_jobs::rerun::{Rerun, RerunError, rerun};
use posthuman_lm::{Arithmetic, Bf16Set, Bundle, TensorType};
use posthuman_types::{Commitment, Input, InputManifest, ObjectId, Parameters};

use crate::support::{
    Bench, LIMITS, WORKER, architecture, evaluate, in_bf16, infer, input, job, run_again, spec, text, train,
};

/// The engine of a job in bf16 on this machine.
fn engine() -> String {
    format!("posthuman-lm/2+{}", Arithmetic::Bf16(Bf16Set::best()).name())
}

fn refused(bench: &Bench, launch: Launch) -> (&'static str, String) {
    match bench.run(launch) {
        Outcome::Refused { code, reason } => (code.as_str(), reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_line_in_bf16_names_its_engine_and_runs_again() {
    let bench = Bench::new();
    let (base, held_out) = (text(1, 200), text(2, 40));
    let texts = [("text", base.as_str()), ("held_out", held_out.as_str())];
    let first = job(in_bf16(train(Some(architecture()), 4)), &texts, None);
    let trained = bench.finish(first.clone());
    assert_eq!(trained.statement.engine, engine());
    let result = trained.result.unwrap();
    bench.vault.commit(result).unwrap();
    run_again(&bench, &first, Some(result), &trained.statement, &[1, 3]);
    // Other bits than in f32, and the weights are f32 all the same.
    let plain = bench.finish(job(train(Some(architecture()), 4), &texts, None));
    bench.vault.commit(plain.result.unwrap()).unwrap();
    assert_ne!(plain.statement.outputs, trained.statement.outputs);
    assert_eq!(plain.statement.engine, "posthuman-lm/2");
    let metrics: serde_json::Value =
        serde_json::from_slice(&fs::read(trained.directory.join("outputs/metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["architecture"]["precision"], "f32");

    let model = (result, trained.statement.commitment_out.clone().unwrap());
    for (parameters, name, input, engine) in [
        (infer(4), "prompt", "the old whale", "posthuman-lm/2"),
        (evaluate(), "text", held_out.as_str(), "posthuman-lm/2"),
        (in_bf16(evaluate()), "text", held_out.as_str(), &engine()),
    ] {
        let launch = job(parameters, &[(name, input)], Some(&model));
        let finished = bench.finish(launch.clone());
        assert_eq!(finished.statement.engine, engine);
        run_again(&bench, &launch, None, &finished.statement, &[1, 2]);
    }
}

/// A training goes on from its checkpoint in the arithmetic that it began with.
#[test]
fn a_checkpoint_in_bf16_gives_the_same_bits() {
    let bench = Bench::new();
    let text = text(1, 200);
    let launch = job(in_bf16(train(Some(architecture()), 4)), &[("text", &text)], None);
    let whole = bench.finish(Launch {
        checkpoint_every: 2,
        ..launch.clone()
    });
    let (checkpoint, step) = bench.checkpoints()[0];
    assert_eq!(step, 2);
    bench.vault.commit(checkpoint).unwrap();
    let resumed = bench.finish(Launch {
        checkpoint: Some(checkpoint),
        ..launch
    });
    assert_eq!(resumed.statement.outputs, whole.statement.outputs);
    assert_eq!(resumed.statement.engine, engine());
}

#[test]
fn a_rerun_takes_the_engine_of_the_receipt_or_says_what_is_missing() {
    let bench = Bench::new();
    let model = bench.base_model();
    let launch = job(in_bf16(evaluate()), &[("text", "the sea")], Some(&model));
    let again = |launch: &Launch, engine: &str| {
        let again = Rerun {
            executable: WORKER.into(),
            spec: spec(launch),
            engine: engine.to_owned(),
            model: launch.model,
            result: None,
            inputs: launch.inputs.clone(),
            threads: 1,
            scratch: bench.path("scratch"),
            sandbox: true,
        };
        rerun(&bench.vault, &again)
    };
    let told = |error: RerunError| {
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {source}")
    };
    // These bits any machine can compute, whatever it has itself.
    let statement = again(&launch, "posthuman-lm/2+bf16/amx").unwrap();
    assert_eq!(statement.engine, "posthuman-lm/2+bf16/amx");
    let other = told(again(&launch, "posthuman-lm/1+bf16/amx").unwrap_err());
    assert!(other.contains("use a program with that engine"), "{other}");
    let unknown = told(again(&launch, "posthuman-lm/2+bf16/none").unwrap_err());
    assert!(
        unknown.contains("cannot be run again on this machine"),
        "{unknown}"
    );
    if !Bf16Set::Avx512Bf16.is_available() {
        let error = again(&launch, "posthuman-lm/2+bf16/avx512").unwrap_err();
        let missing = error.source().unwrap().source().unwrap().to_string();
        assert!(
            missing.contains("this machine lacks its instructions"),
            "{missing}"
        );
    }
    // The receipt of a job in bf16 that names an engine of f32 is wrong, and the worker says so.
    let wrong = told(again(&launch, "posthuman-lm/2").unwrap_err());
    assert!(wrong.contains("(parameters_invalid)"), "{wrong}");
}

#[test]
fn a_quantised_model_is_used_and_fine_tuned() {
    let bench = Bench::new();
    let imported = bench.quantised_model();
    assert_eq!(imported.commitment.scheme, "salted-merkle-keccak256/2");
    let facts = &imported.architecture;
    assert_eq!(
        (facts.family.as_str(), facts.precision.as_str()),
        ("llama", "Q5_1")
    );
    let details = facts.details.as_ref().unwrap();
    let kinds: Vec<&str> = details.tensors.iter().map(|share| share.kind.as_str()).collect();
    for kind in [
        "F32", "F16", "Q4_0", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K",
    ] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    assert_eq!(kinds[0], "F16", "that with the most bytes first");
    let sealed = bench.vault.read(imported.object, u64::MAX).unwrap();
    let bundle = Bundle::from_bytes(&sealed).unwrap();
    assert!(bundle.tensors().any(|tensor| tensor.kind == TensorType::Q6_K));
    let told: u64 = details.tensors.iter().map(|share| share.bytes).sum();
    assert_eq!(told, bundle.model().parameter_bytes());

    let model = (imported.object, imported.commitment.clone());
    for (parameters, name, text) in [
        (infer(4), "prompt", "a cat"),
        (evaluate(), "text", "a cat sat on a mat"),
    ] {
        let launch = job(parameters, &[(name, text)], Some(&model));
        let finished = bench.finish(launch.clone());
        assert_eq!(
            finished.statement.commitment_in.as_ref(),
            Some(&imported.commitment)
        );
        run_again(&bench, &launch, None, &finished.statement, &[1, 3]);
    }
    let (launch, child) = fine_tuned(&bench, &model);
    let sealed = bench.vault.read(child.0, u64::MAX).unwrap();
    let bundle = Bundle::from_bytes(&sealed).unwrap();
    assert!(bundle.tensors().all(|tensor| tensor.kind == TensorType::F32));
    assert_eq!(child.1.scheme, "salted-merkle-keccak256/1");
    let job = spec(&launch).job_id;
    let details = bench.engine.details(&job).unwrap().unwrap();
    assert_eq!(details.tensors.len(), 1);
    assert_eq!(details.memory.training_batch, 8);
}

fn fine_tuned(bench: &Bench, model: &(ObjectId, Commitment)) -> (Launch, (ObjectId, Commitment)) {
    let sentence = "a cat sat on a mat and the dog ran ".repeat(10);
    let launch = job(train(None, 2), &[("text", &sentence)], Some(model));
    let finished = bench.finish(launch.clone());
    let result = finished.result.unwrap();
    bench.vault.commit(result).unwrap();
    run_again(bench, &launch, Some(result), &finished.statement, &[2]);
    (launch, (result, finished.statement.commitment_out.unwrap()))
}

/// The child of a quantised model is f32, so that its commitment is of another scheme: unchanged values are found all
/// the same.
#[test]
fn a_training_that_leaves_quantised_weights_as_they_were_is_refused() {
    let bench = Bench::new();
    let imported = bench.quantised_model_without_negative_zeros();
    let mut nothing = train(None, 1);
    if let Parameters::Train(train) = &mut nothing {
        // Nothing in 32 bits, so that even zeros, of which blocks have many, stay what they are.
        (train.learning_rate, train.minimum_learning_rate) = (1e-60, 0.0);
        (train.warmup_steps, train.weight_decay) = (0, 0.0);
    }
    let sentence = "a cat sat on a mat and the dog ran ".repeat(10);
    let model = (imported.object, imported.commitment);
    let (code, reason) = refused(&bench, job(nothing, &[("text", &sentence)], Some(&model)));
    assert_eq!(code, "unchanged_weights", "{reason}");
}

#[test]
fn a_quantised_model_is_scored_in_whole_numbers_alone() {
    let bench = Bench::new();
    let imported = bench.quantised_model();
    let model = (imported.object, imported.commitment);
    let sentence = "a cat sat on a mat and the dog ran ".repeat(10);
    let checked = |parameters: &Parameters| {
        let inputs = vec![input("text", sentence.as_bytes())];
        let check = CheckSpec {
            operation: parameters.operation(),
            parameters: parameters.to_canonical(),
            inputs: InputManifest::new(vec![inputs[0].input.clone()]),
            commitment: Some(model.1.clone()),
            threads: 1,
            limits: LIMITS,
        };
        let outcome = bench.run(Launch {
            task: Task::Check(check),
            model: Some(model.0),
            inputs,
            checkpoint: None,
            checkpoint_every: 0,
            allowance: None,
            deadline: None,
        });
        let Outcome::Checked(checked) = outcome else {
            panic!("{outcome:?}")
        };
        checked
    };
    let parameters = in_bf16(evaluate());
    let launch = job(parameters.clone(), &[("text", &sentence)], Some(&model));
    let (code, reason) = refused(&bench, launch);
    assert_eq!(code, "parameters_invalid");
    assert!(
        reason.contains("is stored in Q8_0: products with it are in whole numbers"),
        "{reason}"
    );
    let (code, told) = checked(&parameters).refusal.unwrap();
    assert_eq!((code.as_str(), told), ("parameters_invalid", reason));
    // A training begins with the values that the blocks stand for.
    let parameters = in_bf16(train(None, 2));
    assert!(checked(&parameters).refusal.is_none());
    // What is quoted for is what is scored: this model's texts begin with a token that is none of the text's.
    let scored = bench.finish(job(evaluate(), &[("text", &sentence)], Some(&model)));
    assert_eq!(checked(&evaluate()).counted, scored.statement.usage.scored_tokens);
    let sealed = bench.vault.read(model.0, u64::MAX).unwrap();
    let bundle = Bundle::from_bytes(&sealed).unwrap();
    let tokens = bundle.tokenizer().encode(&sentence).unwrap().len();
    assert_eq!(scored.statement.usage.scored_tokens, tokens as u64);
    let launch = job(parameters, &[("text", &sentence)], Some(&model));
    assert_eq!(bench.finish(launch).statement.engine, engine());
}

#[test]
fn an_upload_that_is_not_the_one_named_is_not_imported() {
    let bench = Bench::new();
    let other = Input::describe("model.gguf", b"another file");
    match bench.import_files(other, b"GGUF", vec![]) {
        Outcome::Failed { code, reason } => {
            assert_eq!(code.as_str(), "input_corrupted");
            assert!(reason.contains("`model.gguf`"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
