//! Reading and checking inputs.

use std::fs;

use posthuman_lm as lm;
use posthuman_types::{Input, InputManifest, Parameters};

use super::session::Session;
use super::stop::Stop;
use crate::task::{FailureCode, RefusalCode};

/// The largest text, in bytes, that is trained on, continued or scored.
pub(crate) const LARGEST_TEXT: u64 = 64 << 20;

/// A job's parameters, checked.
pub(super) fn parameters(text: &str) -> Result<Parameters, Stop> {
    let invalid =
        |error: &dyn std::error::Error| Stop::refused(RefusalCode::ParametersInvalid, error.to_string());
    let parameters = Parameters::from_canonical(text).map_err(|error| invalid(&error))?;
    parameters.check().map_err(|error| invalid(&error))?;
    Ok(parameters)
}

/// Parameters of another operation than the one asked for.
pub(super) fn other_operation() -> Stop {
    Stop::refused(
        RefusalCode::ParametersInvalid,
        "the parameters are those of another operation",
    )
}

/// Refuses inputs that the operation does not know: they would be signed for and not used.
pub(super) fn only(manifest: &InputManifest, known: &[&str]) -> Result<(), Stop> {
    match manifest
        .inputs()
        .iter()
        .find(|input| !known.contains(&input.name.as_str()))
    {
        None => Ok(()),
        Some(input) => {
            let reason = format!(
                "there is an input `{}`, which this operation does not know: it takes {}",
                input.name,
                known.join(" and ")
            );
            Err(Stop::refused(RefusalCode::InputMissing, reason))
        }
    }
}

/// A text to train on or to score.
pub(super) fn text(session: &Session, name: &str) -> Result<String, Stop> {
    let text = utf8(session, name)?;
    if text.trim().is_empty() {
        let reason = format!("the input `{name}` is empty: it holds nothing but white space; send a text");
        return Err(Stop::refused(RefusalCode::TextEmpty, reason));
    }
    match lm::check_text(text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(error) => {
            let reason = format!("the input `{name}` is no text: {error}; send a plain text");
            Err(Stop::refused(RefusalCode::TextBinary, reason))
        }
    }
}

/// A text that may be absent.
pub(super) fn optional_text(session: &Session, name: &str) -> Result<Option<String>, Stop> {
    session
        .task
        .inputs()
        .get(name)
        .map(|_| text(session, name))
        .transpose()
}

/// A prompt: white space is fine, and so are control characters, which a conversation may hold.
pub(super) fn prompt(session: &Session) -> Result<String, Stop> {
    let prompt = utf8(session, "prompt")?;
    if prompt.is_empty() {
        return Err(Stop::refused(
            RefusalCode::TextEmpty,
            "the prompt is empty: send at least one character",
        ));
    }
    Ok(prompt)
}

/// The bytes of an input, which must be those that the job names.
pub(super) fn bytes(session: &Session, name: &str) -> Result<Vec<u8>, Stop> {
    let Some(named) = session.task.inputs().get(name) else {
        let reason = format!("the input `{name}` is missing: this operation needs it");
        return Err(Stop::refused(RefusalCode::InputMissing, reason));
    };
    if named.bytes > LARGEST_TEXT {
        let reason = format!(
            "the input `{name}` has {} bytes: at most {LARGEST_TEXT} are accepted",
            named.bytes
        );
        return Err(Stop::refused(RefusalCode::TextTooLarge, reason));
    }
    let bytes = fs::read(session.inputs().join(name)).map_err(Stop::io("reading an input"))?;
    if Input::describe(name, &bytes) != *named {
        let reason = format!("the input `{name}` is not the one that the job names: its digest differs");
        return Err(Stop::Failed(FailureCode::InputCorrupted, reason));
    }
    Ok(bytes)
}

fn utf8(session: &Session, name: &str) -> Result<String, Stop> {
    String::from_utf8(bytes(session, name)?).map_err(|error| {
        let error = error.utf8_error();
        // Control bytes tell a program or a picture from a text in another encoding.
        let reason = format!("the input `{name}` is not UTF-8: {error}; convert it to UTF-8");
        Stop::refused(RefusalCode::TextNotUtf8, reason)
    })
}

/// Refuses a job that would take more tokens than its order allows.
pub(super) fn within_allowance(counted: u64, allowance: Option<u64>) -> Result<(), Stop> {
    match allowance {
        Some(allowance) if counted > allowance => {
            let reason = format!(
                "the job takes {counted} tokens and the order allows {allowance}: ask for less, or order anew"
            );
            Err(Stop::refused(RefusalCode::AllowanceExceeded, reason))
        }
        _ => Ok(()),
    }
}
