//! What a node says about itself.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::{Amount, Did};

/// `GET /node`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Version of the software.
    pub version: String,
    /// Name and version of the engine's numerics.
    pub engine: String,
    /// Chain id.
    pub chain_id: u64,
    /// The node's wallet.
    pub wallet: Address,
    /// Signs receipts and refusals.
    pub receipt_signer: Address,
    /// The data NFT in whose ERC-725Y store the receipt signer is registered.
    pub identity_nft: Address,
    /// Token of prices and fees.
    pub base_token: Address,
    /// Contracts in use.
    pub contracts: Contracts,
    /// The blank model.
    pub blank: Did,
    /// The typed operations.
    pub operations: Operations,
    /// What work costs.
    pub fees: Fees,
    /// Datatokens minted at the birth of a model, in base units.
    pub birth_supply: Amount,
    /// What is accepted.
    pub limits: NodeLimits,
    /// Whether workers are confined by the operating system.
    pub sandboxed: bool,
}

/// Ocean contracts that users of the node need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contracts {
    /// ERC721Factory.
    pub factory: Address,
    /// FactoryRouter.
    pub router: Address,
    /// FixedRateExchange.
    pub exchange: Address,
    /// The exchange on which holders sell.
    pub resale_exchange: Address,
}

/// The algorithm assets of the three operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// `train`.
    pub train: Did,
    /// `infer`.
    pub infer: Did,
    /// `evaluate`.
    pub evaluate: Did,
}

/// Fees of the node's work, in base units of the base token per 1,000 tokens, rounded up; never below one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Per 1,000 tokens trained.
    pub train: Amount,
    /// Per 1,000 tokens of prompt and answer.
    pub infer: Amount,
    /// Per 1,000 tokens scored.
    pub evaluate: Amount,
}

/// What the node accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLimits {
    /// Largest upload.
    pub upload_bytes: u64,
    /// Largest chunk of an upload.
    pub chunk_bytes: u64,
    /// Largest prompt.
    pub prompt_bytes: u64,
    /// Seconds for which a quote holds.
    pub quote_seconds: u64,
    /// Largest model made from scratch, in parameters.
    pub model_parameters: u64,
}

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// Newest block that was indexed.
    pub indexed_block: u64,
    /// Newest block of the chain, if it answers.
    pub chain_block: Option<u64>,
    /// Jobs that wait or run.
    pub queued_jobs: u64,
}
