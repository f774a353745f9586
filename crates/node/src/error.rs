//! What can go wrong in the node, and what a caller is told about it.
//!
//! Every error answers a stable [`ErrorCode`], a class that fixes the HTTP status, and a sentence for the caller.
//! Errors of other rooms travel as `source`: they are logged, and their text never leaves the node.

mod codes;

use std::error::Error;

use posthuman_chain::ChainError;
use posthuman_jobs::vault::VaultError;
use posthuman_store::StoreError;
use posthuman_types::{ErrorClass, SignedRefusal};

pub use codes::{ERROR_CODES, ErrorCode, ErrorRow};

/// A failure of the node.
///
/// `Display` says its own level only; the cause stays in `source`. [`NodeError::message`] is what callers may read.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The request cannot be done as it was asked. The text is written for the caller.
    #[error("{message}")]
    Rejected {
        /// Which rule.
        code: ErrorCode,
        /// What, where and what to do.
        message: String,
    },
    /// A paid order was turned away with a signed reason.
    #[error("{reason}")]
    Refused {
        /// Which rule.
        code: ErrorCode,
        /// What, where and what to do; the same words as in the refusal.
        reason: String,
        /// The node's signed statement.
        refusal: Box<SignedRefusal>,
    },
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The vault failed.
    #[error("the vault failed")]
    Vault(#[from] VaultError),
    /// The chain failed, or a contract refused what the node asked of it.
    #[error("the chain failed")]
    Chain(#[from] ChainError),
    /// The node cannot start. The text is written for its operator.
    #[error("{message}")]
    Startup {
        /// What failed, where, and what to do.
        message: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something that should not happen did.
    #[error("failed while {what}")]
    Fault {
        /// What was being done, beginning with a verb in -ing: `signing a receipt`.
        what: String,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl NodeError {
    /// A request that cannot be done; `message` is for the caller.
    pub fn rejected(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Rejected {
            code,
            message: message.into(),
        }
    }

    /// Why the node cannot start; `message` is for its operator.
    pub fn startup(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Startup {
            message: message.into(),
            source: source.into(),
        }
    }

    /// A fault of the node, with its cause. `what` begins with a verb in -ing.
    pub fn fault(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Fault {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// A fault of the node that no other error caused. `what` begins with a verb in -ing.
    pub fn bug(what: impl Into<String>) -> Self {
        Self::Fault {
            what: what.into(),
            source: None,
        }
    }

    /// The code as a value.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::Rejected { code, .. } | Self::Refused { code, .. } => *code,
            Self::Startup { .. } => ErrorCode::StartupFailed,
            Self::Store(StoreError::DiskFull { .. }) | Self::Vault(VaultError::Full { .. }) => {
                ErrorCode::DiskFull
            }
            Self::Store(StoreError::Busy { .. }) => ErrorCode::NodeBusy,
            Self::Store(error) => of_storage(error.class()),
            Self::Vault(error) => of_storage(error.class()),
            Self::Chain(error) if error.class() == ErrorClass::Unavailable => ErrorCode::ChainUnavailable,
            Self::Chain(_) | Self::Fault { .. } => ErrorCode::Internal,
        }
    }

    /// The stable code, as it stands in answers and in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        self.error_code().as_str()
    }

    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        self.error_code().class()
    }

    /// The sentence for the caller. It never holds the text of a cause.
    pub fn message(&self) -> String {
        match self {
            Self::Rejected { message, .. } => message.clone(),
            Self::Refused { reason, .. } => reason.clone(),
            Self::Startup { message, .. } => message.clone(),
            _ => {
                let row = self.error_code().row();
                format!("{} {}", row.cause, row.remedy)
            }
        }
    }
}

/// An error as it stands in the table, without anything particular to say.
pub(crate) fn plain(code: ErrorCode) -> NodeError {
    let row = code.row();
    NodeError::rejected(code, format!("{} {}", row.cause, row.remedy))
}

/// What storage reports and no caller of it expected is a fault of ours, unless the machine keeps it from working.
fn of_storage(class: ErrorClass) -> ErrorCode {
    match class {
        ErrorClass::Unavailable => ErrorCode::StorageUnavailable,
        _ => ErrorCode::Internal,
    }
}

/// Turns any error that must not happen into a [`NodeError::Fault`].
pub trait OrFault<T> {
    /// `what` was being done, beginning with a verb in -ing.
    ///
    /// # Errors
    /// The error itself, as the source of a fault.
    fn or_fault(self, what: &str) -> Result<T, NodeError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFault<T> for Result<T, E> {
    fn or_fault(self, what: &str) -> Result<T, NodeError> {
        self.map_err(|error| NodeError::fault(what, error))
    }
}

/// An error with all its causes on one line, for logs only.
pub fn chain_of_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_cause_stays_inside() {
        let error = NodeError::fault("signing a receipt", "secret of /var/lib/key");
        assert_eq!(error.code(), "internal");
        assert_eq!(error.class(), ErrorClass::Bug);
        assert!(!error.message().contains("secret"));
        assert!(!error.message().contains("receipt"));
        assert_eq!(
            chain_of_causes(&error),
            "failed while signing a receipt: secret of /var/lib/key"
        );
    }

    #[test]
    fn a_rejection_speaks_to_the_caller() {
        let error = NodeError::rejected(ErrorCode::OrderUsed, "The order was used on Monday. Buy another.");
        assert_eq!(
            (error.code(), error.class()),
            ("order_used", ErrorClass::Conflict)
        );
        assert_eq!(error.message(), error.to_string());
    }
}
