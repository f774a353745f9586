//! How every error travels.

use serde::{Deserialize, Serialize};

use crate::receipt::SignedRefusal;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable code; `docs/errors/CODE.md` tells its causes and remedies.
    pub code: String,
    /// A sentence or two for people.
    pub message: String,
    /// The node's signed refusal, where a paid order was turned away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<SignedRefusal>,
}
