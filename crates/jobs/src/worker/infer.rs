//! One turn of inference.

use std::ops::ControlFlow;

use posthuman_lm::{
    ChatOptions, ChatTemplate, Config, Finish, Message, Sampling, Tokenizer, check_context, generate,
};
use posthuman_proofs::StatementFacts;
use posthuman_types::{InferParameters, InputManifest, JobSpec, Parameters, Precision, Progress, Usage};
use serde::Serialize;

use super::session::Session;
use super::stop::Stop;
use super::{arithmetic, inputs, weights};
use crate::numerics::engine_name;
use crate::task::RefusalCode;

/// Names of the inputs.
pub(super) const INPUTS: &[&str] = &["prompt"];

/// `tokens.json`.
#[derive(Serialize)]
struct Tokens<'tokens> {
    /// Tokens of the prompt, as a number.
    prompt_tokens: u64,
    /// The tokens generated.
    generated: &'tokens [u32],
    /// Why it ended.
    finish: Finish,
}

/// Runs the job.
pub(super) fn run(session: &mut Session, job: &JobSpec) -> Result<(), Stop> {
    let Parameters::Infer(parameters) = inputs::parameters(&job.parameters)? else {
        return Err(inputs::other_operation());
    };
    inputs::only(&job.inputs, INPUTS)?;
    let prompt = inputs::prompt(session)?;
    let bundle = weights::open(session, job.commitment.as_ref())?;
    let bundle = arithmetic::set(bundle, job, Precision::F32)?;
    let template = bundle.extras().chat_template.as_ref();
    let tokens = prompt_tokens(bundle.tokenizer(), template, &prompt, &parameters)?;
    let counted = check_turn(bundle.model().config(), tokens.len(), &parameters)?;
    inputs::within_allowance(counted, session.start.allowance)?;
    session.phase("writing")?;
    let (mut stopped, mut count) = (None, 0);
    let threads = usize::from(job.threads.max(1));
    let generation = generate(&bundle, &tokens, &sampling(&parameters), threads, |_, text| {
        count += 1;
        match session.report(Progress::Text {
            text: text.to_owned(),
            tokens: count,
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
    let generation = generation.map_err(Stop::engine(RefusalCode::ParametersInvalid))?;
    let prompt_tokens = tokens.len() as u64;
    let listed = Tokens {
        prompt_tokens,
        generated: &generation.tokens,
        finish: generation.finish,
    };
    let listed = serde_json::to_vec(&listed).map_err(|error| Stop::internal(&error))?;
    let outputs = vec![
        session.write_output("text.txt", generation.text.as_bytes())?,
        session.write_output("tokens.json", &listed)?,
    ];
    let generated_tokens = generation.tokens.len() as u64;
    let facts = StatementFacts {
        engine: engine_name(bundle.model().arithmetic()),
        commitment_out: None,
        tokenizer: weights::tokenizer_digest(&bundle)?,
        outputs: InputManifest::default(),
        usage: Usage {
            prompt_tokens,
            generated_tokens,
            ..Usage::default()
        },
    };
    session.state(job, outputs, facts)
}

/// The tokens of a prompt, or of a conversation.
pub(super) fn prompt_tokens(
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    prompt: &str,
    parameters: &InferParameters,
) -> Result<Vec<u32>, Stop> {
    if !parameters.chat {
        return tokenizer
            .encode_prompt(prompt)
            .map_err(Stop::engine(RefusalCode::TextBinary));
    }
    let refused = |reason: String| Stop::refused(RefusalCode::ParametersInvalid, reason);
    let Some(template) = template else {
        let reason = "this model has no chat template: leave `chat` away and send the text to continue";
        return Err(refused(reason.to_owned()));
    };
    let messages: Vec<Message> = serde_json::from_str(prompt).map_err(|error| {
        refused(format!(
            "the prompt is no conversation: {error}; send a JSON array of objects with `role` (system, user, assistant or \
             tool) and `content`"
        ))
    })?;
    template
        .encode(tokenizer, &messages, &ChatOptions::default())
        .map_err(Stop::engine(RefusalCode::ParametersInvalid))
}

/// What a turn counts at most; refuses one that does not fit the context. Earlier turns are not remembered: the prompt
/// holds all that the model shall see.
pub(super) fn check_turn(
    config: &Config,
    prompt_tokens: usize,
    parameters: &InferParameters,
) -> Result<u64, Stop> {
    let maximum = parameters.maximum_tokens as usize;
    check_context(config, prompt_tokens, maximum).map_err(Stop::engine(RefusalCode::ContextExceeded))?;
    Ok((prompt_tokens + maximum) as u64)
}

fn sampling(parameters: &InferParameters) -> Sampling {
    Sampling {
        temperature: parameters.temperature,
        top_k: parameters.top_k as usize,
        top_p: parameters.top_p,
        seed: parameters.seed,
        maximum_tokens: parameters.maximum_tokens as usize,
        stop: parameters.stop.clone(),
    }
}
