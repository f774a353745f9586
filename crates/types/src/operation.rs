//! The three operations a model offers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an order on a model allows. Nothing else ever runs beside weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make a new model from this one and a text.
    Train,
    /// Continue a prompt.
    Infer,
    /// Score a text.
    Evaluate,
}

impl Operation {
    /// All operations, in the order of their service indices.
    pub const ALL: [Self; 3] = [Self::Train, Self::Infer, Self::Evaluate];

    /// The index of this operation's service in a model's DDO, the one that `startOrder` names.
    pub fn service_index(self) -> u64 {
        self as u64
    }

    /// The operation of a service index.
    pub fn from_service_index(index: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.service_index() == index)
    }

    /// The text form: `train`, `infer` or `evaluate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
            Self::Evaluate => "evaluate",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text that names no operation.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not an operation: it is one of train, infer, evaluate")]
pub struct OperationError(String);

impl FromStr for Operation {
    type Err = OperationError;

    fn from_str(text: &str) -> Result<Self, OperationError> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == text)
            .ok_or_else(|| OperationError(text.to_owned()))
    }
}
