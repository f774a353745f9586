use std::fs;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use posthuman_jobs::engine::local::{
    Event, FailureCode, Launch, LocalEngine, LocalEngineOptions, Outcome, Task,
};
use posthuman_jobs::stage::Source;
use posthuman_types::Limits;

use crate::support::{
    Bench, WORKER, architecture, files, infer, job, small_model, text, train, wait_for, worker_of,
};

fn failed(outcome: Outcome) -> (FailureCode, String) {
    match outcome {
        Outcome::Failed { code, reason } => (code, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_killed_training_goes_on_from_its_checkpoint_to_the_same_bits() {
    let bench = Bench::new();
    let launch = job(
        train(Some(architecture()), 400),
        &[("text", &text(1, 400)), ("held_out", &text(2, 60))],
        None,
    );
    let cut_off = Launch {
        checkpoint_every: 5,
        ..launch.clone()
    };
    // Nothing is read of the worker after its second checkpoint until it is dead: it cannot finish before that.
    let (dead, death) = mpsc::channel::<()>();
    let (events, mut seen) = (Arc::clone(&bench.events), 0);
    let killed = bench.engine.start(cut_off, move |event| {
        seen += u32::from(matches!(event.event, Event::Checkpoint { .. }));
        events.lock().unwrap().push(event);
        if seen == 2 {
            let _ = death.recv();
        }
    });
    let killed = killed.unwrap();
    wait_for("a second checkpoint", || bench.checkpoints().len() >= 2);
    killed.kill();
    wait_for("the worker's death", || !worker_of(bench.folder.path()));
    drop(dead);
    assert!(matches!(killed.wait_blocking().unwrap(), Outcome::Cancelled));
    let (checkpoint, step) = *bench.checkpoints().last().unwrap();
    assert!((10..400).contains(&step));
    bench.vault.commit(checkpoint).unwrap();
    let resumed = bench.finish(Launch {
        checkpoint: Some(checkpoint),
        ..launch.clone()
    });
    let whole = bench.finish(Launch {
        checkpoint_every: 0,
        ..launch.clone()
    });
    // Each run has a salt of its own, so the commitments differ where the weights do not: compare those.
    let weights = |object| {
        bench.vault.commit(object).unwrap();
        bench.vault.read(object, u64::MAX).unwrap()
    };
    assert_eq!(*weights(resumed.result.unwrap()), *weights(whole.result.unwrap()));
    assert_eq!(resumed.statement.outputs, whole.statement.outputs);
    assert_eq!(resumed.statement.usage, whole.statement.usage);
}

#[test]
fn a_corrupted_chunk_of_the_model_is_named() {
    let bench = Bench::new();
    let model = bench.base_model();
    let chunk = files(&bench.path("vault/chunks")).remove(0);
    let mut bytes = fs::read(&chunk).unwrap();
    bytes[100] ^= 1;
    fs::write(&chunk, bytes).unwrap();
    let (code, reason) = failed(bench.run(job(infer(3), &[("prompt", "the")], Some(&model))));
    assert_eq!(code, FailureCode::WeightsCorrupted);
    assert!(
        reason.starts_with(&format!("chunk 0 of object {} is corrupted", model.0)),
        "{reason}"
    );
}

#[test]
fn weights_and_inputs_that_are_not_those_named_are_refused() {
    let bench = Bench::new();
    let model = bench.base_model();
    let mut other = model.clone();
    other.1.root.0[0] ^= 1;
    let (code, reason) = failed(bench.run(job(infer(3), &[("prompt", "the")], Some(&other))));
    assert_eq!(code, FailureCode::WeightsCorrupted, "{reason}");
    let mut changed = job(infer(3), &[("prompt", "the")], Some(&model));
    changed.inputs[0].source = Source::Bytes(b"The".to_vec());
    let error = bench.start(changed).wait_blocking().unwrap_err();
    let error = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        error.starts_with("input `prompt` is not the one that was described"),
        "{error}"
    );
    let mut cut = job(infer(3), &[("prompt", "the")], Some(&model));
    cut.inputs[0].source = Source::Bytes(b"th".to_vec());
    assert!(bench.start(cut).wait_blocking().is_err());
}

#[test]
fn cancelling_and_running_out_of_time_end_the_worker() {
    let bench = Bench::new();
    let endless = job(
        train(Some(architecture()), 1_000_000),
        &[("text", &text(1, 400))],
        None,
    );
    let running = bench.start(endless.clone());
    wait_for("a first step", || bench.events.lock().unwrap().len() > 5);
    let asked = Instant::now();
    running.cancel();
    assert!(matches!(running.wait_blocking().unwrap(), Outcome::Cancelled));
    // It ends by itself, sooner than it would be killed.
    assert!(asked.elapsed() < Duration::from_secs(10));
    let late = Launch {
        deadline: Some(Duration::from_millis(300)),
        ..endless.clone()
    };
    assert_eq!(failed(bench.run(late)).0, FailureCode::Deadline);
    let Task::Job(mut spec) = endless.task.clone() else {
        panic!("a job")
    };
    spec.limits = Limits {
        cpu_seconds: 1,
        ..spec.limits
    };
    let (code, reason) = failed(bench.run(Launch {
        task: Task::Job(spec),
        ..endless
    }));
    assert_eq!(code, FailureCode::ProcessorTime, "{reason}");
    assert!(bench.vault.pending().unwrap().is_empty());
}

#[test]
fn too_little_memory_is_told_from_a_crash() {
    let bench = Bench::new();
    let long = "the sea ".repeat(4 << 20);
    let launch = job(infer(3), &[("prompt", &long)], Some(&bench.base_model()));
    let Task::Job(mut spec) = launch.task.clone() else {
        panic!("a job")
    };
    // Enough to start, too little to hold the text and what is made of it.
    spec.limits.memory_bytes = 96 << 20;
    let (code, reason) = failed(bench.run(Launch {
        task: Task::Job(spec),
        ..launch
    }));
    assert_eq!(code, FailureCode::OutOfMemory, "{reason}");
}

#[test]
fn a_runaway_training_names_its_step() {
    let bench = Bench::new();
    let (model, tokenizer) = small_model();
    let mut safetensors = model.to_safetensors().unwrap();
    let header = 8 + u64::from_le_bytes(safetensors[..8].try_into().unwrap()) as usize;
    // Finite weights, but too large for any sum of them.
    for value in safetensors[header..].as_chunks_mut::<4>().0 {
        *value = 3e38_f32.to_le_bytes();
    }
    let Outcome::Imported(imported) = bench.import(&model, &tokenizer, &safetensors) else {
        panic!("imported")
    };
    bench.vault.commit(imported.object).unwrap();
    let mut parameters = train(None, 5);
    if let posthuman_types::Parameters::Train(train) = &mut parameters {
        train.sequence = 8;
    }
    let parent = (imported.object, imported.commitment);
    let (code, reason) = failed(bench.run(job(parameters, &[("text", &text(1, 300))], Some(&parent))));
    assert_eq!(code, FailureCode::LossNotFinite);
    assert!(reason.contains("is not finite at step 1"), "{reason}");
}

/// Half a frame and half a line are what a kill leaves; that is a crash, and another attempt makes sense.
#[test]
fn a_worker_that_is_killed_while_it_writes_has_crashed() {
    let bench = Bench::new();
    let launch = job(train(Some(architecture()), 2), &[("text", &text(1, 300))], None);
    let executable = bench.path("dies-while-writing");
    std::os::unix::fs::symlink(WORKER, &executable).unwrap();
    let options = LocalEngineOptions {
        executable,
        jobs: bench.path("jobs"),
        sandbox: true,
    };
    let engine = LocalEngine::new(bench.vault.clone(), options);
    for _ in 0..20 {
        let running = engine.start(launch.clone(), |_| {}).unwrap();
        let (code, reason) = failed(running.wait_blocking().unwrap());
        assert_eq!(code, FailureCode::Crashed, "{reason}");
    }
}

#[test]
fn a_worker_that_is_not_there_and_one_that_says_nothing() {
    let bench = Bench::new();
    let launch = job(train(Some(architecture()), 2), &[("text", &text(1, 300))], None);
    let engine = |executable: &str| {
        let options = LocalEngineOptions {
            executable: executable.into(),
            jobs: bench.path("jobs"),
            sandbox: true,
        };
        LocalEngine::new(bench.vault.clone(), options)
    };
    let error = engine("/nowhere/posthuman")
        .start(launch.clone(), |_| {})
        .unwrap()
        .wait_blocking()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the worker `/nowhere/posthuman` could not be started"),
        "{error}"
    );
    let (code, _) = failed(
        engine("/bin/true")
            .start(launch.clone(), |_| {})
            .unwrap()
            .wait_blocking()
            .unwrap(),
    );
    assert_eq!(code, FailureCode::Crashed);
    let (code, _) = failed(
        engine("/bin/echo")
            .start(launch, |_| {})
            .unwrap()
            .wait_blocking()
            .unwrap(),
    );
    assert_eq!(code, FailureCode::Protocol);
}
