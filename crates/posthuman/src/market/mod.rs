//! The market as a program sees it: publish, buy, order, train, infer, evaluate, sell, collect.
//!
//! What a node says is checked before anything is paid: its wallet and receipt signer against its identity on the
//! chain, an asset's contracts and commitment against its data NFT, a quote's signature and binding against the asset.
//! The wallet signs in this process; its key goes nowhere. Approvals are exact and end with what they were for.

mod buy;
mod check;
mod collect;
mod evaluate;
mod import;
mod job;
mod order;
mod output;
mod sell;
mod session;
mod train;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use posthuman_chain::{AddressBook, Chain, Wallet};
use posthuman_types::api::{
    Asset, AssetPage, AssetQuery, Job, JobEvent, JobPage, Lineage, NodeInfo, Quote, Royalties,
};
use posthuman_types::{Address, B256, Did, Input, JobId, OrderId, SignedReceipt};

pub use buy::Purchase;
#[cfg(feature = "cli")]
pub(crate) use check::check_contracts;
pub use collect::Collected;
pub use evaluate::{Evaluation, EvaluationOutput, Segment};
#[cfg(feature = "cli")]
pub(crate) use import::check_root;
#[cfg(feature = "cli")]
pub(crate) use order::check_precision;
pub use order::{Offer, Work};
#[cfg(feature = "cli")]
pub(crate) use output::check_output;
pub use sell::Selling;
#[cfg(feature = "cli")]
pub(crate) use session::session_parameters;
pub use session::{Session, SessionEnd, Turn};
pub use train::Trained;

use crate::{Goal, MarketError, NodeClient};

/// Where the market is.
#[derive(Clone, Debug)]
pub struct MarketOptions {
    /// JSON-RPC endpoint of the chain.
    pub rpc: String,
    /// The node's address, such as `http://127.0.0.1:8001`.
    pub node: String,
    /// Ocean's address.json; without it the node names the contracts.
    pub address_file: Option<PathBuf>,
    /// How long a node that does not answer is waited for.
    pub patience: Duration,
}

impl Default for MarketOptions {
    /// The ports of `posthuman dev`.
    fn default() -> Self {
        Self {
            rpc: "http://127.0.0.1:8545".to_owned(),
            node: "http://127.0.0.1:8001".to_owned(),
            address_file: None,
            patience: crate::client::PATIENCE,
        }
    }
}

/// One user's view of one market: a node, a chain and a wallet.
#[derive(Clone, Debug)]
pub struct Market {
    node: NodeClient,
    chain: Chain,
    wallet: Wallet,
    info: NodeInfo,
}

/// A text that a job works on. `name` is what the operation calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// `text` or `held_out`.
    pub name: &'static str,
    /// Its bytes: UTF-8, as the node checks.
    pub bytes: Bytes,
}

impl Text {
    /// The text that is trained on or scored.
    #[expect(
        clippy::self_named_constructors,
        reason = "named as the input it is, beside `held_out`"
    )]
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self {
            name: "text",
            bytes: bytes.into(),
        }
    }

    /// The text that a training looks at but does not learn from.
    pub fn held_out(bytes: impl Into<Bytes>) -> Self {
        Self {
            name: "held_out",
            bytes: bytes.into(),
        }
    }

    /// Its name, digest and length.
    pub fn describe(&self) -> Input {
        Input::describe(self.name, &self.bytes)
    }
}

/// What happens while something is paid for and run. Whoever must survive a crash notes `Ordered`.
#[derive(Debug)]
pub enum Event<'a> {
    /// A text is on its way to the node.
    Uploading {
        /// Its name.
        name: &'a str,
        /// Bytes sent.
        sent: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The node's offer, checked; nothing is paid yet.
    Quoted(&'a Quote),
    /// A transaction is signed and goes out now.
    Sent {
        /// What it does.
        label: &'a str,
        /// Its hash, by which it can be looked for if no answer comes; see [`Market::orders_in`].
        transaction: B256,
    },
    /// The order is paid. With its id the work can be started again after a crash, without paying again.
    Ordered(OrderId),
    /// The node admitted the job.
    Started(&'a Job),
    /// The job went on.
    Job(&'a JobEvent),
}

/// Hears events. Any `FnMut(Event) + Send` is one, passed as `&mut`.
pub type Listener<'a> = dyn FnMut(Event<'_>) + Send + 'a;

impl Market {
    /// Connects to a node and its chain, and checks the one against the other.
    ///
    /// # Errors
    /// No answer of either, different chains, contracts that differ from the address file, or a node whose identity
    /// on the chain is another's.
    pub async fn connect(options: MarketOptions, wallet: Wallet) -> Result<Self, MarketError> {
        let node = NodeClient::new(&options.node)?
            .with_patience(options.patience)
            .with_wallet(wallet.clone());
        let info = node.info().await?;
        let book = match &options.address_file {
            Some(path) => AddressBook::read(path)?,
            None => address_book(&info),
        };
        let chain = Chain::connect(&options.rpc, book).await?;
        let market = Self {
            node,
            chain,
            wallet,
            info,
        };
        market.check_node().await?;
        Ok(market)
    }

    /// The user's address.
    pub fn address(&self) -> Address {
        self.wallet.address()
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The node's HTTP interface, signed in as the user.
    pub fn node(&self) -> &NodeClient {
        &self.node
    }

    /// What the node said about itself, as checked against the chain.
    pub fn info(&self) -> &NodeInfo {
        &self.info
    }

    /// Assets that match a query.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn assets(&self, query: &AssetQuery) -> Result<AssetPage, MarketError> {
        self.node.assets(query).await
    }

    /// One asset, checked against the chain.
    ///
    /// # Errors
    /// The node's own error, no answer, or an asset that the chain tells otherwise.
    pub async fn asset(&self, did: &Did) -> Result<Asset, MarketError> {
        let asset = self.node.asset(did).await?;
        self.check_asset(did, &asset).await?;
        Ok(asset)
    }

    /// The line of an asset up to its root, and its children.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn lineage(&self, did: &Did) -> Result<Lineage, MarketError> {
        self.node.lineage(did).await
    }

    /// Who is paid when the asset is used or resold.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn royalties(&self, did: &Did) -> Result<Royalties, MarketError> {
        self.node.royalties(did).await
    }

    /// The user's jobs, newest first.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn jobs(&self, limit: u64, offset: u64) -> Result<JobPage, MarketError> {
        self.node.jobs(limit, offset).await
    }

    /// The receipt of a job. [`crate::verify()`] tells whether it holds.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn receipt(&self, job: JobId) -> Result<SignedReceipt, MarketError> {
        self.node.receipt_of(job).await
    }

    /// Cancels a job. Its order stays open.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn cancel(&self, job: JobId) -> Result<Job, MarketError> {
        self.node.cancel(job).await
    }

    /// Waits until a job has got as far as `goal`.
    ///
    /// # Errors
    /// The node's own error, no answer, or a job that ended without a result.
    pub async fn wait(
        &self,
        job: JobId,
        goal: Goal,
        listener: &mut Listener<'_>,
    ) -> Result<Job, MarketError> {
        let job = self
            .node
            .follow(job, goal, &mut |event| listener(Event::Job(event)))
            .await?;
        job::with_result(job)
    }
}

/// The addresses that a node names, for those who have no address file. Checked by what the contracts then say.
pub(crate) fn address_book(info: &NodeInfo) -> AddressBook {
    AddressBook {
        network: format!("chain {}", info.chain_id),
        chain_id: info.chain_id,
        start_block: 0,
        ocean: info.base_token,
        router: info.contracts.router,
        fixed_price: info.contracts.exchange,
        fixed_price_resale: Some(info.contracts.resale_exchange),
        dispenser: Address::ZERO,
        nft_factory: info.contracts.factory,
        side_staking: None,
        pool_template: None,
        community_fee_collector: None,
        nft_templates: BTreeMap::new(),
        datatoken_templates: BTreeMap::new(),
        others: serde_json::Map::new(),
    }
}
