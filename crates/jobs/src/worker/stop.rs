//! Why a worker stops before it is done.

use std::error::Error;
use std::io;

use posthuman_lm as lm;

use crate::task::{FailureCode, RefusalCode};
use crate::vault::is_full;

/// Why a worker stops before it is done.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(RefusalCode, String),
    Failed(FailureCode, String),
    Cancelled,
}

impl Stop {
    pub(super) fn refused(code: RefusalCode, reason: impl Into<String>) -> Self {
        Self::Refused(code, reason.into())
    }

    /// A refusal with an error and its causes as the reason.
    pub(super) fn refused_for(code: RefusalCode, error: &dyn Error) -> Self {
        Self::Refused(code, with_causes(error))
    }

    /// A failure with an error and its causes as the reason.
    pub(super) fn failed(code: FailureCode, error: &dyn Error) -> Self {
        Self::Failed(code, with_causes(error))
    }

    pub(super) fn internal(error: &dyn Error) -> Self {
        Self::failed(FailureCode::Internal, error)
    }

    /// Trouble with a file or pipe while `action`.
    pub(super) fn io(action: &str) -> impl Fn(io::Error) -> Self + '_ {
        move |error| {
            let code = match error.kind() {
                _ if is_full(&error) => FailureCode::DiskFull,
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FailureCode::WeightsCorrupted,
                _ => FailureCode::Internal,
            };
            Self::Failed(code, format!("{action} failed: {error}"))
        }
    }

    /// What the engine says of something the consumer chose: refused with `code`, unless the engine knows better.
    pub(super) fn engine(code: RefusalCode) -> impl Fn(lm::Error) -> Self {
        move |error| match &error {
            lm::Error::NotFinite { .. } => Self::failed(FailureCode::LossNotFinite, &error),
            lm::Error::ContextOverflow { .. } => {
                Self::refused(RefusalCode::ContextExceeded, with_causes(&error))
            }
            lm::Error::Cancelled { .. } => Self::Cancelled,
            lm::Error::Bug { .. } | lm::Error::Threads { .. } => Self::internal(&error),
            _ => Self::refused(code, with_causes(&error)),
        }
    }

    /// What the engine says of sealed data: nobody but the node can have damaged them.
    pub(super) fn sealed(error: lm::Error) -> Self {
        match error {
            lm::Error::BundleAccess { source } => Self::io("opening the sealed model")(source),
            error => Self::failed(FailureCode::WeightsCorrupted, &error),
        }
    }

    /// What the engine says of a model that it writes.
    pub(super) fn sealing(error: lm::Error) -> Self {
        match error {
            lm::Error::BundleAccess { source } => Self::io("sealing")(source),
            error => Self::internal(&error),
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use posthuman_types::ObjectId;

    use super::*;
    use crate::handover::{Key, OpeningReader, SealingWriter};
    use crate::vault::Secret;

    fn code(stop: Stop) -> FailureCode {
        match stop {
            Stop::Failed(code, reason) => {
                assert!(!reason.is_empty());
                code
            }
            other => panic!("{other:?}"),
        }
    }

    /// What comes of opening a model out of a stream.
    fn opened(stream: &[u8], key: u8) -> FailureCode {
        let key = Key {
            object: ObjectId([1; 16]),
            key: Secret::from_bytes([key; 32]),
        };
        let mut stream = stream;
        let read = lm::Bundle::read(&mut OpeningReader::new(&mut stream, 0, &key));
        code(Stop::sealed(read.unwrap_err()))
    }

    #[test]
    fn a_sealed_model_that_does_not_open_is_corrupted_whatever_says_so() {
        let key = Key {
            object: ObjectId([1; 16]),
            key: Secret::from_bytes([2; 32]),
        };
        let mut stream = Vec::new();
        let mut writer = SealingWriter::new(&mut stream, 0, 0, &key);
        io::Write::write_all(&mut writer, b"no bundle at all").unwrap();
        writer.finish().unwrap();
        assert_eq!(opened(&stream, 2), FailureCode::WeightsCorrupted, "no bundle");
        assert_eq!(opened(&stream, 3), FailureCode::WeightsCorrupted, "another key");
        assert_eq!(opened(&stream[..20], 2), FailureCode::WeightsCorrupted, "cut off");
        assert_eq!(opened(&[], 2), FailureCode::WeightsCorrupted, "nothing");
        let mut changed = stream.clone();
        changed[30] ^= 1;
        assert_eq!(
            opened(&changed, 2),
            FailureCode::WeightsCorrupted,
            "a flipped bit"
        );
    }

    #[test]
    fn trouble_with_a_pipe_is_not_taken_for_damage() {
        let access = |kind: io::ErrorKind| lm::Error::BundleAccess { source: kind.into() };
        assert_eq!(
            code(Stop::sealed(access(io::ErrorKind::BrokenPipe))),
            FailureCode::Internal
        );
        assert_eq!(
            code(Stop::sealing(access(io::ErrorKind::BrokenPipe))),
            FailureCode::Internal
        );
        assert_eq!(
            code(Stop::sealing(access(io::ErrorKind::StorageFull))),
            FailureCode::DiskFull
        );
    }
}
