//! What can go wrong with jobs, in sentences.

use posthuman_store::{StoreError, UniqueRule};
use posthuman_types::{ErrorClass, JobId, OrderId};

use crate::machine::Refused;

/// Everything that can go wrong in the queue of jobs.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The database failed or a unique rule forbids it.
    #[error(transparent)]
    Store {
        /// What the store says.
        #[from]
        source: StoreError,
    },
    /// The job does not take the command now.
    #[error("job {job} does not take this now")]
    Refused {
        /// The job.
        job: JobId,
        /// Why.
        source: Refused,
    },
    /// No such job.
    #[error("there is no job {job} on this node")]
    JobUnknown {
        /// The id.
        job: JobId,
    },
    /// No such order.
    #[error("there is no order {order} on this node: start a job on it first")]
    OrderUnknown {
        /// The id.
        order: OrderId,
    },
    /// The order already paid for a result.
    #[error("order {order} is used up: place a new order")]
    OrderUsed {
        /// The order.
        order: OrderId,
    },
    /// The order pays for a job that still goes on.
    #[error("order {order} already pays for a job that is not over: wait for it, or cancel it first")]
    OrderInUse {
        /// The order.
        order: OrderId,
    },
    /// A provider fee paid twice.
    #[error(
        "the provider fee of order {order} already paid for another order: ask for a new quote and order again"
    )]
    FeeReplayed {
        /// The order.
        order: OrderId,
    },
    /// The request and what it is about do not agree.
    #[error(
        "the start request does not fit order {order}: its `{field}` differs; sign a request for this order"
    )]
    RequestMismatch {
        /// The order.
        order: OrderId,
        /// What differs.
        field: &'static str,
    },
    /// The order and the quote that it paid do not agree.
    #[error("order {order} does not fit the quote that it paid: its `{field}` differs")]
    QuoteMismatch {
        /// The order.
        order: OrderId,
        /// What differs.
        field: &'static str,
    },
    /// A turn of a session out of its order.
    #[error("the request is for turn {given} of order {order}, but turn {expected} is next: sign that one")]
    WrongTurn {
        /// The order.
        order: OrderId,
        /// The turn that came.
        given: u64,
        /// The turn that is next.
        expected: u64,
    },
    /// A turn that does not name the receipt before it.
    #[error(
        "the request for turn {turn} of order {order} does not name the receipt of the turn before: \
         read that receipt, sign its digest as `previous` and send the request again"
    )]
    WrongPrevious {
        /// The order.
        order: OrderId,
        /// The turn.
        turn: u64,
    },
    /// Closing what is no open session, or one with a turn that is not over.
    #[error("order {order} is no inference session that can be closed now: {reason}")]
    NotClosable {
        /// The order.
        order: OrderId,
        /// Why not.
        reason: &'static str,
    },
    /// A receipt that is not about the job it names.
    #[error("the receipt does not fit job {job}: its `{field}` differs")]
    ReceiptMismatch {
        /// The job.
        job: JobId,
        /// What differs.
        field: &'static str,
    },
}

impl JobsError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Store { source } => source.class(),
            Self::JobUnknown { .. } | Self::OrderUnknown { .. } => ErrorClass::NotFound,
            Self::OrderUsed { .. } | Self::FeeReplayed { .. } => ErrorClass::Payment,
            Self::RequestMismatch { .. } | Self::QuoteMismatch { .. } => ErrorClass::Caller,
            Self::Refused { .. }
            | Self::OrderInUse { .. }
            | Self::WrongTurn { .. }
            | Self::WrongPrevious { .. }
            | Self::NotClosable { .. } => ErrorClass::Conflict,
            Self::ReceiptMismatch { .. } => ErrorClass::Bug,
        }
    }

    /// The public code, which has a page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store { source } => source.code(),
            Self::Refused { .. } => "job_state",
            Self::JobUnknown { .. } => "job_unknown",
            Self::OrderUnknown { .. } => "order_unknown",
            Self::OrderUsed { .. } => "order_used",
            Self::OrderInUse { .. } => "order_in_use",
            Self::FeeReplayed { .. } => "fee_replayed",
            Self::RequestMismatch { .. } => "request_mismatch",
            Self::QuoteMismatch { .. } => "quote_mismatch",
            Self::WrongTurn { .. } => "wrong_turn",
            Self::WrongPrevious { .. } => "wrong_previous",
            Self::NotClosable { .. } => "session_not_closable",
            Self::ReceiptMismatch { .. } => "internal",
        }
    }

    /// Gives the unique rules that concern an order the order's name.
    pub(crate) fn of_order(order: OrderId, error: StoreError) -> Self {
        match error {
            StoreError::Taken {
                rule: UniqueRule::JobPerTurn,
            } => Self::OrderInUse { order },
            StoreError::Taken {
                rule: UniqueRule::OrderPerQuote,
            } => Self::FeeReplayed { order },
            source => Self::Store { source },
        }
    }
}
