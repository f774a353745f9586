//! The receipts of one inference session: each names the one before, so that the last digest stands for all of them.

use std::collections::HashSet;

use posthuman_types::{Address, Digest, ErrorClass, JobId, Receipt, SignedReceipt, StartRequest};

use crate::compare::Differences;
use crate::receipt::check_request;
use crate::signature::{SignatureError, check_signature};

/// Receipts that do not form one chain. Turns count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No receipt at all.
    #[error("the chain holds no receipt")]
    Empty,
    /// A receipt that was changed or signed by somebody else.
    #[error("the receipt of turn {turn} is not signed as it should be")]
    Signature {
        /// The turn.
        turn: usize,
        /// What is wrong.
        source: SignatureError,
    },
    /// A receipt that follows another one than the one before it.
    #[error("the receipt of turn {turn} follows {found}, and the receipt before it is {expected}")]
    Link {
        /// The turn.
        turn: usize,
        /// Digest of the receipt before; zero at turn 0.
        expected: Digest,
        /// Digest that it names.
        found: Digest,
    },
    /// A receipt of another session.
    #[error("the receipt of turn {turn} is of another session than turn 0")]
    Session {
        /// The turn.
        turn: usize,
        /// In what they differ; the first side is turn 0.
        source: Box<Differences>,
    },
    /// The same job twice.
    #[error("job {job} stands in the chain twice, the second time at turn {turn}")]
    Repeated {
        /// The turn.
        turn: usize,
        /// The job.
        job: JobId,
    },
    /// Another number of requests than of receipts.
    #[error("there are {requests} requests for {receipts} receipts: each turn has one of both")]
    Count {
        /// Number of receipts.
        receipts: usize,
        /// Number of requests.
        requests: usize,
    },
    /// A request that counts another turn.
    #[error("the request of turn {turn} says that it is of turn {found}")]
    Turn {
        /// The turn.
        turn: usize,
        /// The turn it names.
        found: u64,
    },
    /// A receipt that does not answer the request of its turn.
    #[error("the receipt of turn {turn} does not answer the request of that turn")]
    Request {
        /// The turn.
        turn: usize,
        /// In what they differ.
        source: Box<Differences>,
    },
}

impl ChainError {
    /// A chain is its bringer's to mend.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Checks that `receipts`, in order of turns, are one whole chain signed by `signer`.
///
/// Each is signed, the first follows nothing, each other follows the one before; all are of one order, asset, consumer,
/// node, operation, model and engine; no job comes twice. One receipt alone is a chain of one turn, whatever its
/// operation. It cannot know of turns after the last.
///
/// # Errors
/// The first turn that does not fit, and why.
pub fn check_chain(receipts: &[SignedReceipt], signer: Address) -> Result<(), ChainError> {
    let Some(first) = receipts.first() else {
        return Err(ChainError::Empty);
    };
    let mut expected = Digest::ZERO;
    let mut jobs = HashSet::new();
    for (turn, signed) in receipts.iter().enumerate() {
        check_signature(signed, signer).map_err(|source| ChainError::Signature { turn, source })?;
        let found = signed.receipt.previous;
        if found != expected {
            return Err(ChainError::Link {
                turn,
                expected,
                found,
            });
        }
        same_session(&first.receipt, &signed.receipt).map_err(|source| ChainError::Session {
            turn,
            source: Box::new(source),
        })?;
        let job = signed.receipt.job;
        if !jobs.insert(job) {
            return Err(ChainError::Repeated { turn, job });
        }
        expected = signed.digest;
    }
    Ok(())
}

/// Checks a chain as [`check_chain`] does, and that each receipt answers the request of its turn.
///
/// # Errors
/// The first turn that does not fit, and why.
pub fn check_session(
    receipts: &[SignedReceipt],
    requests: &[StartRequest],
    signer: Address,
) -> Result<(), ChainError> {
    check_chain(receipts, signer)?;
    if receipts.len() != requests.len() {
        return Err(ChainError::Count {
            receipts: receipts.len(),
            requests: requests.len(),
        });
    }
    for (turn, (signed, request)) in receipts.iter().zip(requests).enumerate() {
        if request.turn != turn as u64 {
            return Err(ChainError::Turn {
                turn,
                found: request.turn,
            });
        }
        check_request(&signed.receipt, request).map_err(|source| ChainError::Request {
            turn,
            source: Box::new(source),
        })?;
    }
    Ok(())
}

fn same_session(first: &Receipt, other: &Receipt) -> Result<(), Differences> {
    let mut differences = Differences::between("receipts");
    differences.field("the order", first.order, other.order);
    differences.field("the asset", &first.asset, &other.asset);
    differences.field("the data NFT", first.nft, other.nft);
    differences.field("the datatoken", first.datatoken, other.datatoken);
    differences.field("the consumer", first.consumer, other.consumer);
    differences.field("the node", first.node, other.node);
    differences.field("the operation", first.operation, other.operation);
    differences.field("the engine", &first.engine, &other.engine);
    differences.commitment(
        "the weights",
        first.commitment_in.as_ref(),
        other.commitment_in.as_ref(),
    );
    differences.field("the tokenizer", first.tokenizer, other.tokenizer);
    differences.into_result()
}
