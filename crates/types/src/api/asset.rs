//! Assets as the market shows them.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{Amount, ArchitectureFacts, Commitment, Did, Digest, JobId, Operation};

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// A model with sealed weights on this node.
    Model,
    /// The blank model: its training service makes models from scratch.
    Blank,
    /// One of the typed operations.
    Operation,
    /// An asset of another publisher that the indexer saw.
    Foreign,
}

/// Query of `GET /assets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetQuery {
    /// Words to look for in name, description and author.
    pub q: Option<String>,
    /// Only this kind.
    pub kind: Option<AssetKind>,
    /// Only models that this address trained or imported.
    pub author: Option<Address>,
    /// Only children of this asset.
    pub parent: Option<Did>,
    /// At most so many; 20 unless said, 100 at most.
    pub limit: Option<u64>,
    /// Skip so many.
    pub offset: Option<u64>,
}

/// A page of assets, newest first, or best match first where words are given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetPage {
    /// How many match in all.
    pub total: u64,
    /// This page.
    pub assets: Vec<Asset>,
}

/// `GET /assets/{did}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// The asset.
    pub did: Did,
    /// What it is.
    pub kind: AssetKind,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Who made it, for people.
    pub author: String,
    /// Licence.
    pub license: String,
    /// Data NFT.
    pub nft: Address,
    /// Its datatoken.
    pub datatoken: Address,
    /// Ocean's state of the metadata: 0 is active.
    pub state: u8,
    /// Shape of the model.
    pub architecture: Option<ArchitectureFacts>,
    /// Commitment to its weights.
    pub commitment: Option<Commitment>,
    /// Digest of its `tokenizer.json`.
    pub tokenizer: Option<Digest>,
    /// The engine that made or imported it; `…+bf16/…` marks a model that was trained in bf16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Tokens that one order allows.
    pub allowances: Option<Allowances>,
    /// The address that trained or imported it.
    pub trainer: Option<Address>,
    /// The share that its children owe to its holders, in basis points.
    pub parent_share_bps: Option<u16>,
    /// The model it was trained from.
    pub parent: Option<Did>,
    /// Trainings since the root, which is generation 0.
    pub generation: Option<u32>,
    /// The job that made it.
    pub job: Option<JobId>,
    /// Digest of that job's receipt.
    pub receipt: Option<Digest>,
    /// Digest of the publication statement of an imported model.
    pub publication: Option<Digest>,
    /// The birth mint.
    pub initial_supply: Vec<BirthMint>,
    /// The payment collector at birth.
    pub collector: Option<Address>,
    /// Where it is sold.
    pub prices: Vec<Price>,
    /// When it was published.
    pub created_at: u64,
    /// The transaction that published its metadata.
    pub transaction: B256,
}

/// Tokens that one order allows, by operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowances {
    /// Tokens trained.
    pub train: u64,
    /// Tokens of prompts and answers together.
    pub infer: u64,
    /// Tokens scored.
    pub evaluate: u64,
}

impl Allowances {
    /// What one order of that operation allows.
    pub fn of(self, operation: Operation) -> u64 {
        match operation {
            Operation::Train => self.train,
            Operation::Infer => self.infer,
            Operation::Evaluate => self.evaluate,
        }
    }
}

/// Datatokens that an address got at a model's birth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BirthMint {
    /// Who.
    pub address: Address,
    /// How many, in base units.
    pub amount: Amount,
}

/// An exchange that sells a datatoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The exchange contract.
    pub contract: Address,
    /// The exchange's id in it.
    pub exchange: B256,
    /// Who opened it.
    pub owner: Address,
    /// Token of the price.
    pub base_token: Address,
    /// Price of one datatoken without fees.
    pub price: Amount,
    /// Datatokens that can be had now, in base units.
    pub available: Amount,
    /// Whether a holder sells own datatokens here; otherwise the exchange mints.
    pub resale: bool,
    /// Whether it is open.
    pub active: bool,
}

/// `GET /assets/{did}/lineage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// From the asset up to its root.
    pub line: Vec<LineageStep>,
    /// Models trained from the asset.
    pub children: Vec<LineageStep>,
}

/// One model of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageStep {
    /// The asset.
    pub did: Did,
    /// Name.
    pub name: String,
    /// Data NFT.
    pub nft: Address,
    /// Commitment to its weights.
    pub commitment: Option<Commitment>,
    /// Who trained or imported it.
    pub trainer: Option<Address>,
    /// The share that its children owe.
    pub parent_share_bps: Option<u16>,
    /// Trainings since the root.
    pub generation: u32,
    /// The job that made it.
    pub job: Option<JobId>,
    /// Digest of that job's receipt.
    pub receipt: Option<Digest>,
}

/// `GET /assets/{did}/royalties`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Royalties {
    /// The asset.
    pub did: Did,
    /// The payment collector at birth.
    pub birth_collector: Address,
    /// The payment collector now.
    pub collector: Address,
    /// Whether it was changed since birth: a warning.
    pub collector_changed: bool,
    /// Who is paid by the collector, in basis points that sum to 10,000; one entry for a plain address.
    pub payees: Vec<Payee>,
    /// The birth mint.
    pub birth_mint: Vec<BirthMint>,
    /// Whether the Splitter has no owner, so that its shares are final. True for a plain address.
    pub final_shares: bool,
}

/// A payee of a collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payee {
    /// The address: a person or the collector of the parent.
    pub address: Address,
    /// Its share in basis points.
    pub share_bps: u16,
}
