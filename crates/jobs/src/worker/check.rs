//! Answering what a job would count, and whether it would be refused, without doing it.

use posthuman_lm::{BundleHeader, Tokenizer};
use posthuman_types::{EvaluateParameters, InferParameters, Operation, Parameters, TrainParameters};

use super::session::Session;
use super::stop::Stop;
use super::{arithmetic, evaluate, infer, inputs, train, weights};
use crate::protocol::Ending;
use crate::task::{CheckSpec, Checked, RefusalCode};

/// Bytes of text per token of a small vocabulary, for estimates before there is a tokenizer. Rather too many: an
/// estimate must not promise a longer text than there will be.
const BYTES_PER_TOKEN: usize = 4;

/// Answers. Refusals are answers too; only failures end the worker.
pub(super) fn run(session: &mut Session, check: &CheckSpec) -> Result<Ending, Stop> {
    let mut checked = Checked {
        tokens: 0,
        held_out_tokens: 0,
        counted: 0,
        context: 0,
        estimated: false,
        refusal: None,
    };
    match examine(session, check, &mut checked) {
        Ok(()) => {}
        Err(Stop::Refused(code, reason)) => checked.refusal = Some((code, reason)),
        Err(stop) => return Err(stop),
    }
    Ok(Ending::Checked(checked))
}

fn examine(session: &mut Session, check: &CheckSpec, checked: &mut Checked) -> Result<(), Stop> {
    let parameters = inputs::parameters(&check.parameters)?;
    if parameters.operation() != check.operation {
        return Err(inputs::other_operation());
    }
    let known = match check.operation {
        Operation::Train => train::INPUTS,
        Operation::Infer => infer::INPUTS,
        Operation::Evaluate => evaluate::INPUTS,
    };
    inputs::only(&check.inputs, known)?;
    let model = match session.keys.model.clone() {
        Some(key) => Some(weights::open_header(session, &key)?),
        None => None,
    };
    if let Some(header) = &model {
        arithmetic::check(header, &parameters)?;
    }
    checked.context = model.as_ref().map_or(0, |header| header.config.context as u32);
    match (parameters, &model) {
        (Parameters::Train(parameters), model) => {
            examine_training(session, check, checked, &parameters, model.as_ref())
        }
        (Parameters::Infer(parameters), Some(model)) => examine_turn(session, checked, &parameters, model),
        (Parameters::Evaluate(parameters), Some(model)) => examine_text(session, checked, &parameters, model),
        (_, None) => Err(Stop::refused(
            RefusalCode::ModelInvalid,
            "the blank model has no weights: it can only be trained",
        )),
    }
}

fn examine_training(
    session: &Session,
    check: &CheckSpec,
    checked: &mut Checked,
    parameters: &TrainParameters,
    model: Option<&BundleHeader>,
) -> Result<(), Stop> {
    checked.counted = parameters.tokens();
    let config = match model {
        Some(header) => {
            train::no_new_shape(parameters)?;
            header.config.clone()
        }
        None => train::new_config(parameters)?,
    };
    checked.context = config.context as u32;
    checked.estimated = model.is_none();
    let tokenizer = model.map(|header| &header.tokenizer);
    let text = inputs::text(session, "text")?;
    checked.tokens = count(tokenizer, &text)?;
    if let Some(held_out) = inputs::optional_text(session, "held_out")? {
        checked.held_out_tokens = count(tokenizer, &held_out)?;
    }
    let options = train::options(parameters, check.threads);
    train::check_options(&config, &options)?;
    train::check_length(checked.tokens as usize, options.sequence)?;
    inputs::within_allowance(checked.counted, session.start.allowance)
}

fn examine_turn(
    session: &Session,
    checked: &mut Checked,
    parameters: &InferParameters,
    header: &BundleHeader,
) -> Result<(), Stop> {
    let prompt = inputs::prompt(session)?;
    let template = header.extras.chat_template.as_ref();
    let tokens = infer::prompt_tokens(&header.tokenizer, template, &prompt, parameters)?;
    checked.tokens = tokens.len() as u64;
    checked.counted = infer::check_turn(&header.config, tokens.len(), parameters)?;
    inputs::within_allowance(checked.counted, session.start.allowance)
}

fn examine_text(
    session: &Session,
    checked: &mut Checked,
    _: &EvaluateParameters,
    header: &BundleHeader,
) -> Result<(), Stop> {
    let text = inputs::text(session, "text")?;
    let tokens = evaluate::read_tokens(&header.tokenizer, &text)?;
    checked.tokens = tokens as u64;
    checked.counted = evaluate::check_length(tokens)?;
    inputs::within_allowance(checked.counted, session.start.allowance)
}

fn count(tokenizer: Option<&Tokenizer>, text: &str) -> Result<u64, Stop> {
    match tokenizer {
        Some(tokenizer) => {
            let tokens = tokenizer
                .encode(text)
                .map_err(Stop::engine(RefusalCode::TextBinary))?;
            Ok(tokens.len() as u64)
        }
        None => Ok(text.len().div_ceil(BYTES_PER_TOKEN) as u64),
    }
}
