//! What the node says about itself.

use posthuman_types::JobState;
use posthuman_types::api::{AssetKind, Contracts, Health, NodeInfo, Operations};

use crate::node::Node;

/// Blocks that the indexer may be behind before the node calls itself degraded.
const LAG_BLOCKS: u64 = 50;

impl Node {
    /// Identity, contracts, terms and limits.
    pub(crate) fn info(&self) -> NodeInfo {
        let book = self.chain.address_book();
        let [train, infer, evaluate] = self.identity.operations.clone();
        let market = &self.options.market;
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.engine_version.clone(),
            chain_id: self.chain.id(),
            wallet: self.wallet(),
            receipt_signer: self.options.receipt_signer.address(),
            identity_nft: self.identity.nft,
            base_token: book.ocean,
            contracts: Contracts {
                factory: book.nft_factory,
                router: book.router,
                exchange: book.fixed_price,
                resale_exchange: book.fixed_price_resale.unwrap_or_default(),
            },
            blank: self.identity.blank.clone(),
            operations: Operations {
                train,
                infer,
                evaluate,
            },
            fees: market.fees.clone(),
            birth_supply: market.birth_supply,
            limits: market.limits.clone(),
            sandboxed: self.options.sandbox,
        }
    }

    /// Whether the node can do its work now.
    pub(crate) async fn health(&self) -> Health {
        let chain_block = self.chain.block_number().await.ok();
        let (indexed_block, queued_jobs, stored) = match self.stored_health().await {
            Some((block, jobs)) => (block, jobs, true),
            None => (0, 0, false),
        };
        let behind = chain_block.is_none_or(|newest| newest.saturating_sub(indexed_block) > LAG_BLOCKS);
        let status = if stored && !behind { "ok" } else { "degraded" };
        Health {
            status: status.to_owned(),
            indexed_block,
            chain_block,
            queued_jobs,
        }
    }

    async fn stored_health(&self) -> Option<(u64, u64)> {
        let mut reader = self.store.read().await.ok()?;
        let cursor = reader.cursor(self.chain.id()).await.ok()?;
        let counts = reader.job_counts().await.ok()?;
        // An index without the node's own assets would be an empty market.
        reader.assets_of_kind(AssetKind::Blank).await.ok()?;
        let queued = counts
            .into_iter()
            .filter(|(state, _)| *state == JobState::Queued)
            .map(|(_, count)| count)
            .sum();
        Some((cursor.map_or(0, |cursor| cursor.block_number), queued))
    }
}
