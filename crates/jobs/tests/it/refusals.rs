use posthuman_jobs::engine::local::{Launch, Outcome};
use posthuman_types::{Operation, Parameters};

use crate::support::{Bench, architecture, evaluate, infer, input, job, job_of, text, train};

/// The code and the sentence with which a job is refused.
fn refused(bench: &Bench, launch: Launch) -> (&'static str, String) {
    match bench.run(launch) {
        Outcome::Refused { code, reason } => (code.as_str(), reason),
        other => panic!("{other:?}"),
    }
}

fn with(parameters: Parameters, change: impl FnOnce(&mut posthuman_types::TrainParameters)) -> Parameters {
    let Parameters::Train(mut train) = parameters else {
        panic!("a training")
    };
    change(&mut train);
    Parameters::Train(train)
}

#[test]
fn texts_that_are_none_are_refused_with_their_code() {
    let bench = Bench::new();
    let texts: [(&[u8], &str); 5] = [
        (b"", "text_empty"),
        (b" \n\t ", "text_empty"),
        (b"GIF89a\x00\x01\x02 and more", "text_binary"),
        (b"caf\xe9 au lait, s'il vous pla\xeet", "text_not_utf8"),
        (b"too short", "text_too_short"),
    ];
    for (bytes, code) in texts {
        let parameters = train(Some(architecture()), 2).to_canonical();
        let launch = job_of(Operation::Train, parameters, vec![input("text", bytes)], None);
        let (found, reason) = refused(&bench, launch);
        assert_eq!(found, code, "{reason}");
        assert!(reason.contains("text"), "{reason}");
    }
    assert!(bench.vault.pending().unwrap().is_empty());
}

#[test]
fn what_was_asked_is_refused_before_the_first_step() {
    let bench = Bench::new();
    let model = bench.base_model();
    let long = text(1, 200);
    let text = ("text", long.as_str());
    let parameters = |parameters| job(parameters, &[text], None);
    let cases = [
        (parameters(train(None, 2)), "architecture_unsupported"),
        (
            parameters(with(train(Some(architecture()), 2), |train| train.sequence = 33)),
            "context_exceeded",
        ),
        (
            parameters(with(train(Some(architecture()), 2), |train| {
                train.architecture.as_mut().unwrap().heads = 3;
            })),
            "architecture_unsupported",
        ),
        (
            parameters(with(train(Some(architecture()), 2), |train| {
                train.learning_rate = 2.0
            })),
            "parameters_invalid",
        ),
        (
            parameters(with(train(Some(architecture()), 2), |train| {
                train.architecture.as_mut().unwrap().context = 4096;
                train.architecture.as_mut().unwrap().width = 2048;
                (train.batch, train.sequence) = (900, 4096);
            })),
            "parameters_invalid",
        ),
        (
            job(train(Some(architecture()), 2), &[text], Some(&model)),
            "architecture_unsupported",
        ),
        (
            job(train(Some(architecture()), 2), &[("prompt", "x")], None),
            "text_missing",
        ),
        (
            job(train(Some(architecture()), 2), &[text, ("extra", "x")], None),
            "text_missing",
        ),
        (
            job(infer(30), &[("prompt", "the sea and the sky")], Some(&model)),
            "context_exceeded",
        ),
        (job(infer(3), &[("prompt", "")], Some(&model)), "text_empty"),
        (job(infer(3), &[("prompt", "the")], None), "model_invalid"),
        (job(evaluate(), &[("text", "a")], Some(&model)), "text_too_short"),
        (
            Launch {
                allowance: Some(63),
                ..parameters(train(Some(architecture()), 2))
            },
            "allowance_exceeded",
        ),
        (
            Launch {
                allowance: Some(3),
                ..job(infer(3), &[("prompt", "the")], Some(&model))
            },
            "allowance_exceeded",
        ),
    ];
    for (launch, code) in cases {
        let described = format!("{:?}", launch.task);
        let (found, reason) = refused(&bench, launch);
        assert_eq!(found, code, "{reason}: {described}");
    }
}

#[test]
fn a_training_that_changes_nothing_is_refused() {
    let bench = Bench::new();
    let model = bench.base_model();
    let nothing = with(train(None, 1), |train| {
        // A rate so small that no weight moves by as much as its last bit.
        train.learning_rate = 1e-30;
        train.minimum_learning_rate = 0.0;
        train.warmup_steps = 0;
        train.weight_decay = 0.0;
    });
    let (code, reason) = refused(&bench, job(nothing, &[("text", &text(5, 200))], Some(&model)));
    assert_eq!(code, "unchanged_weights", "{reason}");
    assert!(
        bench.vault.pending().unwrap().is_empty(),
        "what was sealed is gone"
    );
}
