//! The class of an error, which fixes how every dialect answers it.

use serde::{Deserialize, Serialize};

/// Who can mend an error. Every room's error answers `class()`; each HTTP dialect maps it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The caller sent something wrong and can mend it. HTTP 400.
    Caller,
    /// The caller is not who may do this. HTTP 401.
    Unauthorized,
    /// Something has to be paid first, or what was paid does not cover this. HTTP 402.
    Payment,
    /// No such thing. HTTP 404.
    NotFound,
    /// The state of things forbids it now: already used, already running, replayed. HTTP 409.
    Conflict,
    /// More than is accepted. HTTP 413.
    TooLarge,
    /// Something the node needs is out of reach or full; trying later may help. HTTP 503.
    Unavailable,
    /// A fault of ours. The text stays inside; the caller gets a reference. HTTP 500.
    Bug,
}

impl ErrorClass {
    /// The HTTP status of every error of this class.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Caller => 400,
            Self::Unauthorized => 401,
            Self::Payment => 402,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unavailable => 503,
            Self::Bug => 500,
        }
    }

    /// The exit code of a command that ended with an error of this class.
    ///
    /// 2 is left to wrong use of the command line itself, as the parser of arguments has it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Caller | Self::TooLarge => 3,
            Self::Unauthorized => 4,
            Self::Payment => 5,
            Self::NotFound => 6,
            Self::Conflict => 7,
            Self::Unavailable => 8,
            Self::Bug => 1,
        }
    }
}
