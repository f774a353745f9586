//! What can go wrong between a user and the market.

use std::path::PathBuf;

use posthuman_chain::{ChainError, TokenAmount};
use posthuman_types::receipt::SignedRefusal;
use posthuman_types::{Address, Did, ErrorClass, JobId, JobState};

/// A failure of the client library. `Display` tells its own level, the cause is in `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarketError {
    /// The node answered with an error.
    #[error(transparent)]
    Node(Box<NodeAnswer>),
    /// The node's address cannot be used.
    #[error("`{url}` is not an address of a node: {why}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong and what to give instead.
        why: String,
    },
    /// No answer after several attempts.
    #[error(
        "no answer from the node at {url}; check that it runs (`posthuman dev` starts one) and that the address is right"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// The last attempt's failure.
        #[source]
        source: reqwest::Error,
    },
    /// The node answered something of another shape.
    #[error(
        "the answer of {url} to {what} is not of this dialect ({why}); it is another service, or a version that does not fit"
    )]
    Strange {
        /// Where.
        url: String,
        /// What was asked.
        what: String,
        /// What does not fit.
        why: String,
    },
    /// What the node says is not what the chain says, or not what was asked.
    #[error("{what} does not hold: {detail}; do not use this node for it")]
    Untrue {
        /// The claim.
        what: &'static str,
        /// Claim against finding.
        detail: String,
    },
    /// A limit that the caller set is exceeded. Nothing was paid.
    #[error(transparent)]
    TooExpensive(Box<Excess>),
    /// A datatoken that takes a fee for somebody on each order. Nothing was paid.
    #[error(transparent)]
    MarketFee(Box<ForeignFee>),
    /// A balance that does not suffice. Nothing was paid.
    #[error(transparent)]
    Balance(Box<Shortage>),
    /// An asset that nobody sells.
    #[error("{did} is not for sale{why}; see `posthuman asset show {did}`, or ask a holder to open a sale")]
    NotForSale {
        /// The asset.
        did: Did,
        /// More words, beginning with a space or a comma, or nothing.
        why: String,
    },
    /// A job that ended without a result. Its order stays open.
    #[error("job {job} is {}: {message} ({code}); its order stays open, start it again with the same order", state_word(*.state))]
    JobEnded {
        /// The job.
        job: JobId,
        /// How it ended.
        state: JobState,
        /// Stable code.
        code: String,
        /// The node's sentence.
        message: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot use {}; check that it exists and is yours", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something given that makes no sense.
    #[error("{0}")]
    Input(String),
    /// The parameters of a job are out of range.
    #[error("the parameters cannot be used")]
    Parameters(#[source] posthuman_types::parameters::ParametersError),
    /// Something on this machine that cannot be used.
    #[error("{what}")]
    Local {
        /// What, and what to do.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address file.
    #[error(transparent)]
    Addresses(#[from] posthuman_chain::AddressBookError),
    /// The chain, a wallet or a contract.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl MarketError {
    /// The stable code, with a page in `docs/errors/` where the node gave it.
    pub fn code(&self) -> &str {
        match self {
            Self::Node(answer) => &answer.code,
            Self::BadUrl { .. } => "bad_url",
            Self::Unreachable { .. } => "node_unreachable",
            Self::Strange { .. } => "node_strange",
            Self::Untrue { .. } => "node_untrue",
            Self::TooExpensive(_) => "too_expensive",
            Self::MarketFee(_) => "market_fee",
            Self::Balance(_) => "balance",
            Self::NotForSale { .. } => "not_for_sale",
            Self::JobEnded { code, .. } => code,
            Self::File { .. } => "file",
            Self::Input(_) => "input",
            Self::Parameters(_) => "parameters_invalid",
            Self::Local { .. } => "local",
            Self::Addresses(_) => "addresses",
            Self::Chain(_) => "chain",
        }
    }

    /// Who can mend it; fixes the exit code of a command.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Node(answer) => answer.class,
            Self::BadUrl { .. }
            | Self::File { .. }
            | Self::Input(_)
            | Self::Parameters(_)
            | Self::Addresses(_)
            | Self::Local { .. } => ErrorClass::Caller,
            Self::Unreachable { .. } | Self::Strange { .. } => ErrorClass::Unavailable,
            Self::Untrue { .. } => ErrorClass::Unauthorized,
            Self::TooExpensive(_) | Self::MarketFee(_) | Self::Balance(_) => ErrorClass::Payment,
            Self::NotForSale { .. } => ErrorClass::NotFound,
            Self::JobEnded { state, .. } => match state {
                JobState::Failed => ErrorClass::Unavailable,
                JobState::Refused => ErrorClass::Caller,
                _ => ErrorClass::Conflict,
            },
            Self::Chain(error) => error.class(),
        }
    }

    /// The node's signed refusal, if a paid order was turned away.
    pub fn refusal(&self) -> Option<&SignedRefusal> {
        match self {
            Self::Node(answer) => answer.refusal.as_ref(),
            _ => None,
        }
    }
}

/// An error as the node put it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct NodeAnswer {
    /// HTTP status.
    pub status: u16,
    /// Stable code; `docs/errors/CODE.md` tells its causes and remedies.
    pub code: String,
    /// The node's sentence.
    pub message: String,
    /// Who can mend it, by the status.
    pub class: ErrorClass,
    /// The signed refusal, where a paid order was turned away.
    pub refusal: Option<SignedRefusal>,
}

/// A balance that does not suffice.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} needs {need} and {holder} has {have}; {remedy}")]
pub struct Shortage {
    /// What was to be paid.
    pub what: &'static str,
    /// The token.
    pub token: Address,
    /// Whose balance.
    pub holder: Address,
    /// How much is needed.
    pub need: TokenAmount,
    /// How much is there.
    pub have: TokenAmount,
    /// What to do.
    pub remedy: String,
}

/// A cost above the limit that the caller set.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} costs {cost} and at most {limit} were allowed; raise the limit to go on, nothing was paid")]
pub struct Excess {
    /// What was to be bought.
    pub what: String,
    /// What it costs.
    pub cost: TokenAmount,
    /// What was allowed.
    pub limit: TokenAmount,
}

/// A publishing market's fee, which Ocean's datatokens can take on each order.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the datatoken {datatoken} takes {fee} for {receiver} on each order, beside the node's fee and above any limit; \
     nothing was paid, ask the node's operator to take this fee away"
)]
pub struct ForeignFee {
    /// The datatoken.
    pub datatoken: Address,
    /// What it takes.
    pub fee: TokenAmount,
    /// Who gets it.
    pub receiver: Address,
}

/// An error with its causes, each once: some libraries repeat their cause in their own words.
#[cfg(feature = "cli")]
pub(crate) fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn state_word(state: JobState) -> &'static str {
    match state {
        JobState::Refused => "refused",
        JobState::Cancelled => "cancelled",
        JobState::Failed => "failed",
        JobState::Queued => "waiting",
        JobState::Finished | JobState::Receipted | JobState::Published | JobState::Settled => "finished",
    }
}
