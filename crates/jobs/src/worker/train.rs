//! Training: from a sealed model, or from scratch.

use std::io::Write;

use posthuman_lm::{
    Bundle, Config, Model, StepReport, Tokenizer, TrainOptions, Trainer, TrainingData, training_bytes,
};
use posthuman_proofs::StatementFacts;
use posthuman_types::{
    ArchitectureFacts, Commitment, InputManifest, JobSpec, Parameters, Progress, TrainParameters, Usage,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::session::Session;
use super::stop::Stop;
use super::{arithmetic, inputs, weights};
use crate::numerics::engine_name;
use crate::protocol::Ending;
use crate::task::{FailureCode, RefusalCode};

/// Names of the inputs.
pub(super) const INPUTS: &[&str] = &["text", "held_out"];

/// `metrics.json`: a pure function of the job, without times.
#[derive(Serialize)]
struct Metrics<'steps> {
    /// Without details, which are no figures and may come to tell more: the same job gives the same bytes.
    architecture: ArchitectureFacts,
    training_tokens: u64,
    held_out_tokens: u64,
    trained_tokens: u64,
    final_loss: f64,
    held_out_loss: Option<f64>,
    steps: &'steps [StepReport],
}

/// Runs the job.
pub(super) fn run(session: &mut Session, job: &JobSpec) -> Result<Ending, Stop> {
    let Parameters::Train(parameters) = inputs::parameters(&job.parameters)? else {
        return Err(inputs::other_operation());
    };
    inputs::only(&job.inputs, INPUTS)?;
    inputs::within_allowance(parameters.tokens(), session.start.allowance)?;
    session.phase("reading the text")?;
    let text = inputs::text(session, "text")?;
    let held_out = inputs::optional_text(session, "held_out")?;
    let start = starting_point(session, job, &parameters, &text)?;
    let before = values_before(session, job, &start)?;
    let extras = start.extras().clone();
    let (model, tokenizer) = start.into_parts();
    let options = options(&parameters, job.threads);
    check_size(model.config(), &options, job)?;
    let model = arithmetic::of_training(model, job, parameters.precision)?;
    session.phase("splitting the text into tokens")?;
    let held_out: Vec<&str> = held_out.iter().map(String::as_str).collect();
    let data = TrainingData::from_documents(&tokenizer, &[&text], &held_out)
        .map_err(Stop::engine(RefusalCode::TextTooShort))?;
    check_length(data.training_tokens(), options.sequence)?;
    let numbers = (data.training_tokens() as u64, data.held_out_tokens() as u64);
    let (trainer, reports) = train(session, model, data, options, job)?;
    let bundle = Bundle::new(trainer.into_model(), tokenizer)
        .and_then(|bundle| bundle.with_extras(extras))
        .map_err(|error| Stop::internal(&error))?;
    conclude(session, job, &bundle, before.as_ref(), numbers, &reports)
}

/// The commitment to the values that a training begins with, under the salt of the model that goes in.
fn values_before(session: &Session, job: &JobSpec, start: &Bundle) -> Result<Option<Commitment>, Stop> {
    if job.commitment.is_some() && weights::is_quantised(start) {
        let salt = weights::salt(session)?;
        return weights::commitment_to_values(start, &salt).map(Some);
    }
    Ok(job.commitment.clone())
}

/// The shape that a training from scratch asks for.
pub(super) fn new_config(parameters: &TrainParameters) -> Result<Config, Stop> {
    let Some(shape) = &parameters.architecture else {
        let reason = "the blank model has no shape of its own: give `architecture` among the parameters";
        return Err(Stop::refused(RefusalCode::ArchitectureUnsupported, reason));
    };
    let [vocabulary, context, width, layers, heads] = [
        shape.vocabulary,
        shape.context,
        shape.width,
        shape.layers,
        shape.heads,
    ]
    .map(|value| value as usize);
    Config::gpt2(vocabulary, context, width, layers, heads)
        .map_err(Stop::engine(RefusalCode::ArchitectureUnsupported))
}

/// Refuses a shape for a model that has one.
pub(super) fn no_new_shape(parameters: &TrainParameters) -> Result<(), Stop> {
    if parameters.architecture.is_none() {
        return Ok(());
    }
    let reason = "this model has a shape already: leave `architecture` away, or train the blank model";
    Err(Stop::refused(RefusalCode::ArchitectureUnsupported, reason))
}

/// What the engine is asked.
pub(super) fn options(parameters: &TrainParameters, threads: u16) -> TrainOptions {
    TrainOptions {
        batch: parameters.batch as usize,
        sequence: parameters.sequence as usize,
        accumulate: parameters.accumulate as usize,
        steps: u64::from(parameters.steps),
        learning_rate: parameters.learning_rate,
        minimum_learning_rate: parameters.minimum_learning_rate,
        warmup_steps: u64::from(parameters.warmup_steps),
        weight_decay: parameters.weight_decay,
        beta1: parameters.beta1,
        beta2: parameters.beta2,
        clip: parameters.clip,
        evaluate_every: u64::from(parameters.evaluate_every),
        seed: parameters.seed,
        threads: usize::from(threads.max(1)),
        ..TrainOptions::default()
    }
}

/// Refuses what cannot work with this shape, before the first step.
pub(super) fn check_options(config: &Config, options: &TrainOptions) -> Result<(), Stop> {
    if options.sequence > config.context {
        let reason = format!(
            "`sequence` is {} and the model's context is {}: ask for a shorter sequence",
            options.sequence, config.context
        );
        return Err(Stop::refused(RefusalCode::ContextExceeded, reason));
    }
    options
        .check(config)
        .map_err(Stop::engine(RefusalCode::ParametersInvalid))
}

/// Refuses a text with fewer tokens than one window and its last target.
pub(super) fn check_length(tokens: usize, sequence: usize) -> Result<(), Stop> {
    if tokens > sequence {
        return Ok(());
    }
    let reason = format!(
        "the text has {tokens} tokens and one training window needs {}: send a longer text or ask for a shorter \
         `sequence`",
        sequence + 1
    );
    Err(Stop::refused(RefusalCode::TextTooShort, reason))
}

fn check_size(config: &Config, options: &TrainOptions, job: &JobSpec) -> Result<(), Stop> {
    check_options(config, options)?;
    let needed = training_bytes(config, options);
    if needed <= job.limits.memory_bytes {
        return Ok(());
    }
    let reason = format!(
        "the training needs about {needed} bytes of memory and may have {}: ask for a smaller `batch`, `sequence` or \
         architecture",
        job.limits.memory_bytes
    );
    Err(Stop::refused(RefusalCode::ParametersInvalid, reason))
}

fn starting_point(
    session: &mut Session,
    job: &JobSpec,
    parameters: &TrainParameters,
    text: &str,
) -> Result<Bundle, Stop> {
    if job.commitment.is_some() {
        no_new_shape(parameters)?;
        return weights::open(session, job.commitment.as_ref());
    }
    let config = new_config(parameters)?;
    check_size(&config, &options(parameters, job.threads), job)?;
    session.phase("training the tokenizer")?;
    let tokenizer = Tokenizer::train(&[text], config.vocabulary)
        .map_err(Stop::engine(RefusalCode::ArchitectureUnsupported))?;
    let model = Model::random(config, parameters.seed).map_err(|error| Stop::internal(&error))?;
    Bundle::new(model, tokenizer).map_err(|error| Stop::internal(&error))
}

fn train(
    session: &mut Session,
    model: Model,
    data: TrainingData,
    options: TrainOptions,
    job: &JobSpec,
) -> Result<(Trainer, Vec<StepReport>), Stop> {
    let threads = options.threads;
    let (mut trainer, mut reports) = match weights::open_checkpoint(session)? {
        Some(checkpoint) => {
            let (reports, state) = unpack(&checkpoint)?;
            (
                Trainer::resume(state, data, threads).map_err(Stop::sealed)?,
                reports,
            )
        }
        None => (
            Trainer::new(model, data, options).map_err(Stop::engine(RefusalCode::ParametersInvalid))?,
            vec![],
        ),
    };
    session.phase("training")?;
    let every = u64::from(session.start.checkpoint_every);
    let mut slot = 0;
    while !trainer.finished() {
        let report = trainer
            .step()
            .map_err(Stop::engine(RefusalCode::ParametersInvalid))?;
        session.report(progress(&report))?;
        reports.push(report);
        if every > 0 && trainer.steps_done().is_multiple_of(every) && !trainer.finished() {
            slot += 1;
            let state = Zeroizing::new(trainer.checkpoint().map_err(|error| Stop::internal(&error))?);
            seal_checkpoint(session, slot, trainer.steps_done() as u32, &reports, &state)?;
        }
    }
    tracing::debug!(job = %job.job_id, steps = trainer.steps_done(), "trained");
    Ok((trainer, reports))
}

fn progress(report: &StepReport) -> Progress {
    Progress::Step {
        step: report.step as u32,
        steps: report.steps as u32,
        loss: report.loss as f32,
        held_out_loss: report.held_out_loss.map(|loss| loss as f32),
        learning_rate: report.learning_rate as f32,
        gradient_norm: report.gradient_norm as f32,
        tokens: report.tokens,
    }
}

/// A checkpoint as it is sealed: the length of the reports' JSON (8 bytes, big-endian), that JSON, the engine's state.
/// The reports belong to it because `metrics.json` tells of every step, also of those before a crash.
fn seal_checkpoint(
    session: &mut Session,
    slot: u32,
    step: u32,
    reports: &[StepReport],
    state: &[u8],
) -> Result<(), Stop> {
    let reports = serde_json::to_vec(reports).map_err(|error| Stop::internal(&error))?;
    let mut writer = weights::sealing(session, slot, step);
    writer
        .write_all(&(reports.len() as u64).to_be_bytes())
        .and_then(|()| writer.write_all(&reports))
        .and_then(|()| writer.write_all(state))
        .and_then(|()| writer.finish())
        .map_err(Stop::io("sealing"))
}

fn unpack(packed: &[u8]) -> Result<(Vec<StepReport>, &[u8]), Stop> {
    let damaged = || {
        Stop::Failed(
            FailureCode::WeightsCorrupted,
            "the checkpoint is damaged".to_owned(),
        )
    };
    let (length, rest) = packed.split_first_chunk().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| damaged())?;
    let (reports, state) = rest.split_at_checked(length).ok_or_else(damaged)?;
    Ok((serde_json::from_slice(reports).map_err(|_| damaged())?, state))
}

/// Commits to the new model, seals it and states what was done.
fn conclude(
    session: &mut Session,
    job: &JobSpec,
    bundle: &Bundle,
    before: Option<&Commitment>,
    (training_tokens, held_out_tokens): (u64, u64),
    steps: &[StepReport],
) -> Result<Ending, Stop> {
    let last = steps.last().ok_or_else(|| {
        Stop::Failed(
            FailureCode::WeightsCorrupted,
            "the checkpoint holds no step".to_owned(),
        )
    })?;
    session.phase("committing to the weights")?;
    if let Some(before) = before
        && weights::commitment(bundle, &weights::salt(session)?)? == *before
    {
        let reason = "the training left the weights as they were, so there is no new model: train longer or with a \
                      higher learning rate";
        return Err(Stop::refused(RefusalCode::UnchangedWeights, reason));
    }
    let output_salt = session.keys.output_salt.clone();
    let facts = StatementFacts {
        engine: engine_name(bundle.model().arithmetic()),
        commitment_out: Some(weights::commitment(bundle, &output_salt)?),
        tokenizer: weights::tokenizer_digest(bundle)?,
        outputs: InputManifest::default(),
        usage: Usage {
            trained_tokens: last.tokens,
            ..Usage::default()
        },
    };
    weights::seal_model(session, bundle)?;
    let mut architecture = bundle.header().describe();
    let details = architecture.details.take().map(Box::new);
    let metrics = Metrics {
        architecture,
        training_tokens,
        held_out_tokens,
        trained_tokens: last.tokens,
        final_loss: last.loss,
        held_out_loss: last.held_out_loss,
        steps,
    };
    let metrics = serde_json::to_vec(&metrics).map_err(|error| Stop::internal(&error))?;
    let outputs = vec![session.write_output("metrics.json", &metrics)?];
    session.state(job, outputs, facts)?;
    Ok(Ending::Trained { details })
}
