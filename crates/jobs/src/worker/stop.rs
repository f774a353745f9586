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
        Self::failed(FailureCode::WeightsCorrupted, &error)
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
