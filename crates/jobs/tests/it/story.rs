use std::fs;

use posthuman_jobs::engine::local::{CheckSpec, Event, Launch, Outcome, Task};
use posthuman_jobs::rerun::{Rerun, rerun};
use posthuman_lm::Bundle;
use posthuman_proofs::compare;
use posthuman_types::{Operation, Progress};

use crate::support::{
    Bench, LIMITS, WORKER, architecture, evaluate, infer, input, job, run_again, small_model, spec, text,
    train,
};

#[test]
fn train_fine_tune_infer_evaluate_and_run_each_again() {
    let bench = Bench::new();
    let (base, held_out) = (text(1, 400), text(2, 100));
    let first = job(
        train(Some(architecture()), 5),
        &[("text", &base), ("held_out", &held_out)],
        None,
    );
    let finished = bench.finish(first.clone());
    let result = finished.result.unwrap();
    assert!(
        bench.vault.describe(result).is_err(),
        "a result is not seen before it is committed"
    );
    bench.vault.commit(result).unwrap();
    let commitment = finished.statement.commitment_out.clone().unwrap();
    assert_eq!(bench.vault.find_commitment(&commitment).unwrap(), Some(result));
    assert_eq!(finished.statement.usage.trained_tokens, 5 * 2 * 16);
    let metrics: serde_json::Value =
        serde_json::from_slice(&fs::read(&finished.outputs[0]).unwrap()).unwrap();
    assert_eq!(metrics["steps"].as_array().unwrap().len(), 5);
    assert_eq!(metrics["architecture"]["vocabulary"], 320);
    assert!(metrics["held_out_loss"].as_f64().unwrap() > 0.0);
    let steps = bench
        .events
        .lock()
        .unwrap()
        .iter()
        .filter(|event| is_step(&event.event))
        .count();
    assert_eq!(steps, 5);
    run_again(&bench, &first, Some(result), &finished.statement, &[1, 2, 3]);

    let parent = (result, commitment.clone());
    let second = job(train(None, 3), &[("text", &text(3, 300))], Some(&parent));
    let child = bench.finish(second.clone());
    bench.vault.commit(child.result.unwrap()).unwrap();
    assert_eq!(child.statement.commitment_in, Some(commitment));
    assert_ne!(child.statement.commitment_out, child.statement.commitment_in);
    run_again(&bench, &second, child.result, &child.statement, &[1, 3]);

    let turn = job(infer(8), &[("prompt", "the old whale")], Some(&parent));
    let answer = bench.finish(turn.clone());
    assert!(answer.result.is_none());
    let told: String = bench
        .events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| text_of(&event.event))
        .collect();
    assert_eq!(
        fs::read_to_string(answer.directory.join("outputs/text.txt")).unwrap(),
        told
    );
    assert!((1..=8).contains(&answer.statement.usage.generated_tokens));
    run_again(&bench, &turn, None, &answer.statement, &[1]);

    let scoring = job(evaluate(), &[("text", &held_out)], Some(&parent));
    let score = bench.finish(scoring.clone());
    let output: serde_json::Value = serde_json::from_slice(&fs::read(&score.outputs[0]).unwrap()).unwrap();
    assert!(output["bits_per_byte"].as_f64().unwrap() > 0.0);
    assert!(output["ci95"][0].as_f64().unwrap() <= output["ci95"][1].as_f64().unwrap());
    assert_eq!(
        output["tokens"].as_u64().unwrap(),
        score.statement.usage.scored_tokens
    );
    run_again(&bench, &scoring, None, &score.statement, &[1]);
}

#[test]
fn a_rerun_on_another_seed_or_input_differs_and_says_where() {
    let bench = Bench::new();
    let launch = job(train(Some(architecture()), 2), &[("text", &text(1, 300))], None);
    let finished = bench.finish(launch.clone());
    bench.vault.commit(finished.result.unwrap()).unwrap();
    let again = |launch: &Launch| {
        let again = Rerun {
            executable: WORKER.into(),
            spec: spec(launch),
            engine: finished.statement.engine.clone(),
            model: None,
            result: finished.result,
            inputs: launch.inputs.clone(),
            threads: 2,
            scratch: bench.path("scratch"),
            sandbox: true,
        };
        rerun(&bench.vault, &again).unwrap()
    };
    let mut other = launch.clone();
    if let Task::Job(spec) = &mut other.task {
        spec.parameters = spec.parameters.replace("\"seed\":11", "\"seed\":12");
    }
    let differences = compare(&finished.statement, &again(&other))
        .unwrap_err()
        .to_string();
    assert!(differences.contains("the weights that came out"), "{differences}");
    let longer = job(train(Some(architecture()), 2), &[("text", &text(1, 301))], None);
    assert!(compare(&finished.statement, &again(&longer)).is_err());
}

#[test]
fn an_input_is_checked_before_anybody_pays() {
    let bench = Bench::new();
    let model = bench.base_model();
    let check = |operation, parameters: String, name: &str, text: &str, blank: bool, allowance| {
        let inputs = vec![input(name, text.as_bytes())];
        let spec = CheckSpec {
            operation,
            parameters,
            inputs: posthuman_types::InputManifest::new(vec![inputs[0].input.clone()]),
            commitment: (!blank).then(|| model.1.clone()),
            threads: 1,
            limits: LIMITS,
        };
        let launch = Launch {
            task: Task::Check(spec),
            model: (!blank).then_some(model.0),
            inputs,
            checkpoint: None,
            checkpoint_every: 0,
            allowance,
            deadline: None,
        };
        match bench.run(launch) {
            Outcome::Checked(checked) => checked,
            other => panic!("{other:?}"),
        }
    };
    let good = check(
        Operation::Train,
        train(None, 3).to_canonical(),
        "text",
        &text(4, 200),
        false,
        Some(96),
    );
    assert_eq!(
        (good.counted, good.context, good.estimated, good.refusal),
        (96, 32, false, None)
    );
    assert!(good.tokens > 50);
    let blank = check(
        Operation::Train,
        train(Some(architecture()), 3).to_canonical(),
        "text",
        &text(4, 200),
        true,
        None,
    );
    assert!(blank.estimated && blank.refusal.is_none());
    let dear = check(
        Operation::Train,
        train(None, 3).to_canonical(),
        "text",
        &text(4, 200),
        false,
        Some(95),
    );
    assert_eq!(dear.refusal.unwrap().0.as_str(), "allowance_exceeded");
    let turn = check(
        Operation::Infer,
        infer(8).to_canonical(),
        "prompt",
        "the sea",
        false,
        None,
    );
    assert_eq!(turn.counted, turn.tokens + 8);
    let long = check(
        Operation::Infer,
        infer(32).to_canonical(),
        "prompt",
        "the sea",
        false,
        None,
    );
    assert_eq!(long.refusal.unwrap().0.as_str(), "context_exceeded");
    let score = check(
        Operation::Evaluate,
        evaluate().to_canonical(),
        "text",
        "the sea and the sky",
        false,
        None,
    );
    assert_eq!(score.counted, score.tokens - 1);
    let left = std::fs::read_dir(bench.path("jobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().starts_with("check"))
        .collect();
    assert!(left.is_empty(), "a check leaves its folder: {left:?}");
}

#[test]
fn a_hugging_face_folder_becomes_a_sealed_model() {
    let bench = Bench::new();
    let (model, tokenizer) = small_model();
    let safetensors = model.to_safetensors().unwrap();
    let imported = match bench.import(&model, &tokenizer, &safetensors) {
        Outcome::Imported(imported) => imported,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (imported.architecture.vocabulary, imported.architecture.context),
        (300, 16)
    );
    bench.vault.commit(imported.object).unwrap();
    let sealed = bench.vault.read(imported.object, u64::MAX).unwrap();
    assert_eq!(
        *sealed,
        Bundle::new(model.clone(), tokenizer.clone())
            .unwrap()
            .to_bytes()
            .unwrap()
    );
    let parent = (imported.object, imported.commitment);
    bench.finish(job(infer(4), &[("prompt", "the")], Some(&parent)));

    match bench.import(&model, &tokenizer, &safetensors[..safetensors.len() - 4]) {
        Outcome::Refused { code, .. } => assert_eq!(code.as_str(), "model_invalid"),
        other => panic!("{other:?}"),
    }
}

fn is_step(event: &Event) -> bool {
    matches!(event, Event::Progress(Progress::Step { .. }))
}

fn text_of(event: &Event) -> Option<String> {
    match event {
        Event::Progress(Progress::Text { text, .. }) => Some(text.clone()),
        _ => None,
    }
}
