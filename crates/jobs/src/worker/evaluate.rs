//! Scoring a text.

use std::ops::ControlFlow;

use posthuman_lm::{EvaluateOptions, Evaluation, Tokenizer, bootstrap_bits_per_byte, evaluate};
use posthuman_proofs::StatementFacts;
use posthuman_types::{InputManifest, JobSpec, Parameters, Progress, Usage};
use serde::Serialize;

use super::session::Session;
use super::stop::Stop;
use super::{arithmetic, inputs, weights};
use crate::numerics::engine_name;
use crate::task::RefusalCode;

/// Names of the inputs.
pub(super) const INPUTS: &[&str] = &["text"];

/// `evaluation.json`: the score, with the segments that a paired comparison needs.
#[derive(Serialize)]
struct Score {
    /// Bounds of the bootstrap's 95 % interval of bits per byte.
    ci95: (f64, f64),
    #[serde(flatten)]
    evaluation: Evaluation,
}

/// Runs the job.
pub(super) fn run(session: &mut Session, job: &JobSpec) -> Result<(), Stop> {
    let Parameters::Evaluate(parameters) = inputs::parameters(&job.parameters)? else {
        return Err(inputs::other_operation());
    };
    inputs::only(&job.inputs, INPUTS)?;
    let text = inputs::text(session, "text")?;
    let bundle = weights::open(session, job.commitment.as_ref())?;
    let bundle = arithmetic::set(bundle, job, parameters.precision)?;
    let tokens = read_tokens(bundle.tokenizer(), &text)?;
    inputs::within_allowance(check_length(tokens)?, session.start.allowance)?;
    session.phase("scoring")?;
    let options = EvaluateOptions {
        threads: usize::from(job.threads.max(1)),
        ..EvaluateOptions::default()
    };
    let mut stopped = None;
    let evaluation = evaluate(&bundle, &text, &options, |done, total| {
        match session.report(Progress::Scored {
            tokens: done as u64,
            total: total as u64,
        }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(stop) => {
                stopped = Some(stop);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(stop) = stopped {
        return Err(stop);
    }
    let evaluation = evaluation.map_err(Stop::engine(RefusalCode::ParametersInvalid))?;
    let samples = parameters.bootstrap_samples as usize;
    let interval = bootstrap_bits_per_byte(&evaluation.segments, samples, parameters.seed)
        .map_err(Stop::engine(RefusalCode::ParametersInvalid))?;
    let scored_tokens = evaluation.tokens;
    let score = Score {
        ci95: (interval.low, interval.high),
        evaluation,
    };
    let score = serde_json::to_vec(&score).map_err(|error| Stop::internal(&error))?;
    let outputs = vec![session.write_output("evaluation.json", &score)?];
    let facts = StatementFacts {
        engine: engine_name(bundle.model().arithmetic()),
        commitment_out: None,
        tokenizer: weights::tokenizer_digest(&bundle)?,
        outputs: InputManifest::default(),
        usage: Usage {
            scored_tokens,
            ..Usage::default()
        },
    };
    session.state(job, outputs, facts)
}

/// Tokens of a text as an evaluation reads it: with the one that begins texts, where the tokenizer has one.
pub(super) fn read_tokens(tokenizer: &Tokenizer, text: &str) -> Result<usize, Stop> {
    let tokens = tokenizer
        .encode_prompt(text)
        .map_err(Stop::engine(RefusalCode::TextBinary))?;
    Ok(tokens.len())
}

/// What an evaluation of so many tokens counts: all but the first.
pub(super) fn check_length(tokens: usize) -> Result<u64, Stop> {
    if tokens >= 2 {
        return Ok(tokens as u64 - 1);
    }
    Err(Stop::refused(
        RefusalCode::TextTooShort,
        "the text is too short: scoring needs at least two tokens",
    ))
}
