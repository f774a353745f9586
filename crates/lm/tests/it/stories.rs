//! Training learns, text comes out, scores mean what they say; and bad luck is told in sentences.

use std::ops::ControlFlow;

use posthuman_lm::{
    Bundle, Config, Error, ErrorClass, EvaluateOptions, Finish, LossMeter, Model, OrderTwoModel, Sampling,
    SpecialTokens, TrainOptions, Trainer, TrainingData, check_context, evaluate, generate, paired_difference,
};

use crate::{data, fresh_model, go_on, options, text, tokenizer, trained_bundle, trainer};

#[test]
fn a_short_training_learns_and_beats_its_parent() {
    let mut trainer = trainer(TrainOptions {
        steps: 60,
        threads: 2,
        ..options()
    });
    let first = trainer.step().unwrap();
    assert!(
        (first.loss - 320_f64.ln()).abs() < 0.3,
        "a fresh model knows nothing: {first:?}"
    );
    assert_eq!(
        (first.step, first.steps, first.tokens, first.held_out_loss),
        (1, 60, 256, None)
    );
    let mut last = first;
    while !trainer.finished() {
        last = trainer.step().unwrap();
    }
    assert!(last.held_out_loss.unwrap() < 3.0, "{last:?}");
    let child = Bundle::new(trainer.into_model(), tokenizer()).unwrap();
    let parent = Bundle::new(fresh_model(), tokenizer()).unwrap();
    let score = |bundle: &Bundle| evaluate(bundle, &text(100), &EvaluateOptions::default(), go_on).unwrap();
    let (after, before) = (score(&child), score(&parent));
    assert!(
        paired_difference(&after.segments, &before.segments, 500, 1)
            .unwrap()
            .favours_first()
    );
    assert!(after.accuracy > before.accuracy && after.perplexity < before.perplexity);
    let bytes = OrderTwoModel::fit(&[&text(300)])
        .unwrap()
        .evaluate(&text(100))
        .unwrap();
    assert_eq!(bytes.segments.len(), after.segments.len());
    assert!(paired_difference(&after.segments, &bytes.segments, 500, 1).is_ok());
}

#[test]
fn the_sums_of_an_evaluation_agree() {
    let (bundle, text) = (trained_bundle(), text(70));
    let tokens = bundle.tokenizer().encode(&text).unwrap();
    for stride in [1, 7, 32] {
        let score = evaluate(&bundle, &text, &EvaluateOptions { stride, threads: 2 }, go_on).unwrap();
        assert_eq!(score.tokens as usize, tokens.len() - 1);
        let first = bundle.tokenizer().token_bytes(tokens[0]).unwrap().len();
        assert_eq!(score.bytes as usize, text.len() - first);
        let nats: f64 = score.segments.iter().map(|segment| segment.nats).sum();
        assert!((score.loss * score.tokens as f64 - nats).abs() < 1e-9 * nats);
        assert!((score.bits_per_byte * score.bytes as f64 * 2_f64.ln() - nats).abs() < 1e-9 * nats);
        assert!((score.perplexity.ln() - score.loss).abs() < 1e-12);
        assert!(
            score.segments[1..score.segments.len() - 1]
                .iter()
                .all(|segment| segment.bytes == 512)
        );
    }
    let cancelled = evaluate(&bundle, &text, &EvaluateOptions::default(), |_, _| {
        ControlFlow::Break(())
    });
    assert!(matches!(cancelled, Err(Error::Cancelled { .. })));
}

#[test]
fn a_text_is_scored_after_the_token_that_begins_texts() {
    let (model, tokenizer) = trained_bundle().into_parts();
    let bos = tokenizer.end_of_text().unwrap();
    let special = SpecialTokens {
        adds_bos: true,
        bos: Some(bos),
        eos: vec![bos],
    };
    let tokenizer = tokenizer.with_special_tokens(special).unwrap();
    let text = "the whale";
    let tokens = [vec![bos], tokenizer.encode(text).unwrap()].concat();
    let expected = LossMeter::new(&model, 1).unwrap().loss(&[&tokens]).unwrap();
    let bundle = Bundle::new(model.clone(), tokenizer).unwrap();
    let score = evaluate(&bundle, text, &EvaluateOptions::default(), go_on).unwrap();
    assert!(
        (score.loss - expected).abs() < 1e-12,
        "{} and {expected}",
        score.loss
    );
    assert_eq!(
        (score.tokens as usize, score.bytes as usize),
        (tokens.len() - 1, text.len())
    );
}

#[test]
fn streamed_text_is_the_text_and_stops_where_asked() {
    let bundle = trained_bundle();
    let prompt = bundle.tokenizer().encode("the").unwrap();
    let sampling = Sampling {
        maximum_tokens: 20,
        ..Sampling::default()
    };
    let mut streamed = (Vec::new(), String::new());
    let generation = generate(&bundle, &prompt, &sampling, 2, |token, text| {
        streamed.0.push(token);
        streamed.1.push_str(text);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(streamed, (generation.tokens.clone(), generation.text.clone()));
    if generation.finish == Finish::Length {
        assert_eq!(generation.tokens.len(), 20);
    }
    let stop: String = generation.text.chars().skip(3).take(2).collect();
    let stopping = Sampling {
        stop: vec![stop.clone()],
        ..sampling.clone()
    };
    let stopped = generate(&bundle, &prompt, &stopping, 2, |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(stopped.finish, Finish::Stop);
    assert!(!stopped.text.contains(&stop) && generation.text.starts_with(&stopped.text));
    let cut = generate(&bundle, &prompt, &sampling, 2, |_, _| ControlFlow::Break(())).unwrap();
    assert_eq!((cut.finish, cut.tokens.len()), (Finish::Cancelled, 1));
}

#[test]
fn what_does_not_fit_the_context_is_refused_with_the_numbers() {
    let bundle = trained_bundle();
    let sampling = Sampling {
        maximum_tokens: 30,
        ..Sampling::default()
    };
    let error = generate(
        &bundle,
        &[1, 2, 3],
        &sampling,
        1,
        |_, _| ControlFlow::Continue(()),
    )
    .unwrap_err();
    assert!(matches!(
        error,
        Error::ContextOverflow {
            prompt: 3,
            maximum: 30,
            context: 32
        }
    ));
    assert_eq!(error.class(), ErrorClass::Caller);
    assert!(check_context(bundle.model().config(), 2, 30).is_ok());
    assert!(check_context(bundle.model().config(), usize::MAX, 30).is_err());
    let refused = |prompt: &[u32]| {
        generate(&bundle, prompt, &Sampling::default(), 1, |_, _| {
            ControlFlow::Continue(())
        })
    };
    assert!(refused(&[]).unwrap_err().to_string().contains("empty"));
    let outside = Sampling {
        maximum_tokens: 1,
        ..Sampling::default()
    };
    let error = generate(&bundle, &[320], &outside, 1, |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("token 320"), "{error}");
}

#[test]
fn texts_that_cannot_be_used_are_refused() {
    let bundle = trained_bundle();
    for (text, reason) in [
        ("", "empty"),
        (" \n", "empty"),
        ("a\0b", "binary"),
        ("a few\x02 words", "binary"),
        ("t", "too short"),
    ] {
        let error = evaluate(&bundle, text, &EvaluateOptions::default(), go_on).unwrap_err();
        assert!(error.to_string().contains(reason), "{text:?}: {error}");
        assert_eq!(error.class(), ErrorClass::Caller);
    }
    let far = EvaluateOptions {
        stride: 33,
        threads: 1,
    };
    assert!(
        evaluate(&bundle, "some text", &far, go_on)
            .unwrap_err()
            .to_string()
            .contains("stride")
    );
    let none = EvaluateOptions {
        stride: 0,
        threads: 0,
    };
    assert!(
        evaluate(&bundle, "some text", &none, go_on)
            .unwrap_err()
            .to_string()
            .contains("threads")
    );
}

#[test]
fn a_training_that_runs_away_stops_before_the_step() {
    let mut weights = fresh_model().to_safetensors().unwrap();
    // The last tensor but one is the final normalisation's weight: make its products overflow.
    let end = weights.len() - 24 * 4;
    for place in (end - 24 * 4..end).step_by(4) {
        weights[place..place + 4].copy_from_slice(&3e38_f32.to_le_bytes());
    }
    let model = Model::from_safetensors(fresh_model().config().clone(), &weights).unwrap();
    let mut trainer = Trainer::new(model, data(&tokenizer()), options()).unwrap();
    let before = trainer.checkpoint().unwrap();
    let error = trainer.step().unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("step 1"));
    assert!(before == trainer.checkpoint().unwrap(), "nothing has moved");
}

#[test]
fn a_text_shorter_than_the_context_trains() {
    let tokenizer = tokenizer();
    let data = TrainingData::from_documents(&tokenizer, &["the whale sings."], &[]).unwrap();
    assert!(data.training_tokens() < 32);
    let mut trainer = Trainer::new(
        fresh_model(),
        data.clone(),
        TrainOptions {
            steps: 3,
            warmup_steps: 1,
            ..options()
        },
    )
    .unwrap();
    let report = trainer.step().unwrap();
    assert_eq!(report.tokens as usize, 2 * 4 * (data.training_tokens() - 1));
    while !trainer.finished() {
        assert_eq!(trainer.step().unwrap().held_out_loss, None);
    }
    assert!(matches!(trainer.step(), Err(Error::Finished { steps: 3 })));
}

#[test]
fn data_of_another_tokenizer_or_checkpoint_is_refused() {
    let small = Model::random(Config::gpt2(260, 32, 8, 1, 1).unwrap(), 1).unwrap();
    let error = Trainer::new(small, data(&tokenizer()), options()).unwrap_err();
    assert!(error.to_string().contains("another tokenizer"), "{error}");
    let mut trainer = trainer(options());
    trainer.step().unwrap();
    let checkpoint = trainer.checkpoint().unwrap();
    let other = TrainingData::from_text(&tokenizer(), &text(30), 0.2).unwrap();
    let error = Trainer::resume(&checkpoint, other, 1).unwrap_err();
    assert!(error.to_string().contains("another text"), "{error}");
    let plain = fresh_model().to_safetensors().unwrap();
    assert!(matches!(
        Trainer::resume(&plain, data(&tokenizer()), 1),
        Err(Error::Checkpoint { .. })
    ));
    assert!(Trainer::resume(&checkpoint[..checkpoint.len() - 8], data(&tokenizer()), 1).is_err());
}
