//! What can go wrong between this crate and a chain.

use alloy::transports::TransportError;
use posthuman_types::{Address, Amount, B256, ErrorClass, U256};

use crate::revert::Revert;

/// A failure of a call, a transaction or a connection.
///
/// `Display` tells its own level; the contract's or the transport's words are in `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The address of the chain's RPC cannot be used at all.
    #[error("{url} is not an address of a chain: {why}")]
    BadUrl {
        /// What was given, without credentials; not a letter of it where it cannot be read.
        url: String,
        /// What is wrong with it and what to give instead.
        why: String,
    },
    /// No answer after several attempts.
    #[error("no answer from the chain at {url}; check that it runs and that the address is right")]
    Unreachable {
        /// Where.
        url: String,
        /// The last attempt's failure.
        #[source]
        source: Box<TransportError>,
    },
    /// The chain answered with an error that is no revert.
    #[error("the chain at {url} refused {what}")]
    Refused {
        /// Where.
        url: String,
        /// What was asked.
        what: String,
        /// Its answer.
        #[source]
        source: Box<TransportError>,
    },
    /// Another chain answers at this address.
    #[error(
        "the addresses of `{network}` are for chain {expected}, but {url} is chain {actual}; \
         connect to chain {expected}, or give the address book of chain {actual}"
    )]
    WrongChain {
        /// Where.
        url: String,
        /// The address book's network.
        network: String,
        /// The address book's chain id.
        expected: u64,
        /// The chain id that answered.
        actual: u64,
    },
    /// A contract refused a call or a transaction that was only simulated; nothing was sent.
    #[error("{label} was refused")]
    Reverted {
        /// What was attempted, from [`Call::label`](crate::Call).
        label: String,
        /// Why, in words.
        #[source]
        source: Revert,
    },
    /// A transaction was mined and failed; its gas is spent, everything else is as before.
    #[error("{label} failed in transaction {transaction}")]
    Failed {
        /// What was attempted.
        label: String,
        /// The transaction.
        transaction: B256,
        /// Why, as a repetition of the call on the state after that block tells it.
        #[source]
        source: Revert,
    },
    /// The sender cannot pay for gas and value.
    #[error(
        "{address} cannot pay for {label}: it needs up to {} ether for gas and value and has {}; \
         send it ether (on a devnet: `posthuman wallet fund {address}`)",
        Amount(*need).display_tokens(18), Amount(*have).display_tokens(18)
    )]
    NoFunds {
        /// The sender.
        address: Address,
        /// What was attempted.
        label: String,
        /// Wei needed at most.
        need: U256,
        /// Wei there.
        have: U256,
    },
    /// A transaction was sent, or may have been, and nobody knows yet that it is mined.
    #[error(
        "transaction {transaction} has no receipt after {seconds} s; it may still get one: \
         look for its receipt before you send anything again"
    )]
    Deadline {
        /// The transaction.
        transaction: B256,
        /// How long was waited.
        seconds: u64,
        /// Why the chain could not be asked in the end, if it could not.
        #[source]
        source: Option<Box<ChainError>>,
    },
    /// The nonce of a prepared transaction was used by another transaction.
    #[error(
        "the chain has used the nonce of transaction {transaction} for another transaction of the same wallet; \
         prepare it again with a new nonce, and let only one process send from a wallet"
    )]
    NonceTaken {
        /// The transaction that can never be mined.
        transaction: B256,
    },
    /// There is no contract where one is expected.
    #[error("there is no contract at {address}, so {what} cannot be asked; check the address and the chain")]
    NoContract {
        /// Where.
        address: Address,
        /// What was asked.
        what: String,
    },
    /// A contract or the chain answered something of another shape.
    #[error(
        "the answer to {what} has an unexpected shape ({why}); the contract is of another kind or version"
    )]
    UnexpectedAnswer {
        /// What was asked.
        what: String,
        /// What does not fit.
        why: String,
    },
    /// The address book lacks a contract that this needs.
    #[error(
        "the address book of `{network}` has no {contract}; this network cannot do it, or its address.json lacks the key"
    )]
    NotOnThisNetwork {
        /// The address book's network.
        network: String,
        /// The key in address.json.
        contract: &'static str,
    },
    /// An allowance to the router, which anyone could spend.
    #[error(
        "tokens are never allowed to Ocean's router {router}: anyone who creates a datatoken could spend them; \
         allow the exchange, the pool or the factory instead"
    )]
    RouterAllowance {
        /// The router.
        router: Address,
    },
    /// Signing failed.
    #[error("{address} could not sign {what}")]
    Signing {
        /// The wallet.
        address: Address,
        /// What was to be signed.
        what: String,
        /// The signer's failure.
        #[source]
        source: alloy::signers::Error,
    },
}

impl ChainError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::BadUrl { .. }
            | Self::WrongChain { .. }
            | Self::NotOnThisNetwork { .. }
            | Self::RouterAllowance { .. } => ErrorClass::Caller,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Deadline { .. } => {
                ErrorClass::Unavailable
            }
            Self::Reverted { source, .. } | Self::Failed { source, .. } => source.class(),
            Self::NoFunds { .. } => ErrorClass::Payment,
            Self::NonceTaken { .. } => ErrorClass::Conflict,
            Self::NoContract { .. } => ErrorClass::NotFound,
            Self::UnexpectedAnswer { .. } | Self::Signing { .. } => ErrorClass::Bug,
        }
    }

    /// The contract's reason, if a contract refused.
    pub fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Reverted { source, .. } | Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}
