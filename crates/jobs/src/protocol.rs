//! What worker and launcher say to each other, one JSON object per line.
//!
//! The worker writes to its standard output `{"v":1,"event":…}`: [`Progress`] while it works, and exactly one ending.
//! The launcher writes to the worker's standard input `{"v":1,"command":…}`: one `start`, then perhaps `cancel`; the
//! end of that stream means that the launcher is gone, and the worker ends too. A line of another version is refused.
//! Sealed data and keys never travel here but over descriptors of their own ([`crate::handover`]).

use std::io::{self, BufRead, Write};

use posthuman_types::{ModelDetails, Progress};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::task::{Checked, FailureCode, ImportFacts, RefusalCode};

/// The version of both directions.
const VERSION: u16 = 1;
/// Longer lines are refused: no event is nearly as long.
const LINE_LIMIT: u64 = 1 << 20;

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum WorkerMessage {
    /// It works.
    Progress(Progress),
    /// It ends.
    Ending(Ending),
}

/// The last thing a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Ending {
    /// `statement.json` is written.
    Done,
    /// So it is, and the model is sealed.
    Trained { details: Option<Box<ModelDetails>> },
    /// The question is answered.
    Checked(Checked),
    /// The model is sealed.
    Imported(Box<ImportFacts>),
    /// What was asked cannot be done.
    Refused { code: RefusalCode, reason: String },
    /// It went wrong.
    Failed { code: FailureCode, reason: String },
    /// It was told to stop.
    Cancelled,
}

/// What a launcher says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum LauncherMessage {
    /// Begin.
    Start(Start),
    /// Stop after the present step.
    Cancel,
}

/// What a worker must know besides its job: none of it changes a bit of the result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Numbers of the inherited descriptors: keys to read, sealed input to read, sealed output to write.
    pub(crate) descriptors: [i32; 3],
    /// Steps between two checkpoints; 0 is never.
    pub(crate) checkpoint_every: u32,
    /// Tokens that the order still allows; absent for a re-run, which is not paid.
    pub(crate) allowance: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    v: u16,
    #[serde(flatten)]
    message: T,
}

/// A line that is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("a line could not be read")]
    Read(#[from] io::Error),
    #[error("a line is longer than {LINE_LIMIT} bytes")]
    TooLong,
    #[error(
        "a line is of protocol version {found}, and this is version {VERSION}: use one binary for both ends"
    )]
    Version { found: u64 },
    #[error("a line is not a message of the protocol")]
    Shape,
    #[error("the last line has no end")]
    CutOff,
}

impl ProtocolError {
    /// Whether the stream ends inside a line, as it does when the other end is killed while it writes.
    pub(crate) fn is_cut_off(&self) -> bool {
        matches!(self, Self::CutOff)
    }
}

/// Writes one message.
pub(crate) fn write_line<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Line { v: VERSION, message })?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one message; nothing at the end of the stream.
pub(crate) fn read_line<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<Option<T>, ProtocolError> {
    let mut line = Vec::new();
    io::Read::take(&mut *from, LINE_LIMIT).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(if line.len() as u64 == LINE_LIMIT {
            ProtocolError::TooLong
        } else {
            ProtocolError::CutOff
        });
    }
    let value: serde_json::Value = serde_json::from_slice(&line).map_err(|_| ProtocolError::Shape)?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(found) => return Err(ProtocolError::Version { found }),
        None => return Err(ProtocolError::Shape),
    }
    let line: Line<T> = serde_json::from_value(value).map_err(|_| ProtocolError::Shape)?;
    Ok(Some(line.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<WorkerMessage>, ProtocolError> {
        read_line(&mut text.as_bytes())
    }

    #[test]
    fn messages_read_back() {
        let messages = [
            WorkerMessage::Progress(Progress::Phase {
                name: "training".to_owned(),
            }),
            WorkerMessage::Progress(Progress::Step {
                step: 1,
                steps: 2,
                loss: 3.25,
                held_out_loss: None,
                learning_rate: 0.1,
                gradient_norm: 1.0,
                tokens: 5,
            }),
            WorkerMessage::Ending(Ending::Done),
            WorkerMessage::Ending(Ending::Trained { details: None }),
            WorkerMessage::Ending(Ending::Refused {
                code: RefusalCode::TextEmpty,
                reason: "empty".to_owned(),
            }),
            WorkerMessage::Ending(Ending::Cancelled),
        ];
        for message in messages {
            let mut line = Vec::new();
            write_line(&mut line, &message).unwrap();
            assert!(line.starts_with(b"{\"v\":1,\"event\":\""));
            assert_eq!(read_line(&mut line.as_slice()).unwrap(), Some(message));
        }
        let start = LauncherMessage::Start(Start {
            descriptors: [3, 4, 5],
            checkpoint_every: 2,
            allowance: None,
        });
        let mut line = Vec::new();
        write_line(&mut line, &start).unwrap();
        assert_eq!(read_line(&mut line.as_slice()).unwrap(), Some(start));
    }

    #[test]
    fn other_versions_and_nonsense_are_refused() {
        assert!(matches!(
            read("{\"v\":2,\"event\":\"done\"}\n"),
            Err(ProtocolError::Version { found: 2 })
        ));
        assert!(matches!(
            read("{\"event\":\"done\"}\n"),
            Err(ProtocolError::Shape)
        ));
        assert!(matches!(
            read("{\"v\":1,\"event\":\"dance\"}\n"),
            Err(ProtocolError::Shape)
        ));
        assert!(matches!(read("hello\n"), Err(ProtocolError::Shape)));
        assert!(matches!(
            read("{\"v\":1,\"event\":\"done\"}"),
            Err(ProtocolError::CutOff)
        ));
        assert!(matches!(read(&"x".repeat(2 << 20)), Err(ProtocolError::TooLong)));
        assert!(read("").unwrap().is_none());
    }
}
