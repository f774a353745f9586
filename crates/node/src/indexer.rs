//! The indexer: reads the chain's logs into the store. Everything it writes is written again without harm.

use std::sync::Arc;

use posthuman_assets::{AssetFacts, Ddo, ModelFacts, read_published};
use posthuman_chain::{Event, EventCursor, EventQuery, EventRecord, Receipt};
use posthuman_store::{AssetRow, CollectorRow, CursorRow};
use posthuman_types::api::AssetKind;
use posthuman_types::order::QuoteBinding;
use posthuman_types::{Address, B256, Digest};

use crate::error::{NodeError, OrFault, chain_of_causes};
use crate::node::Node;

/// How far back a start looks again, in case the chain was reorganised while the node was down or behind.
const OVERLAP_BLOCKS: u64 = 12;

/// Metadata as a data NFT told of it, and who wrote it.
struct Written<'event> {
    by: Address,
    state: u8,
    flags: &'event [u8],
    data: &'event [u8],
    hash: B256,
}

impl Node {
    /// Follows the chain until the node stops.
    pub(crate) async fn index_loop(self: Arc<Self>) {
        while self.pause(None, self.options.work.poll_interval).await {
            if let Err(error) = self.index().await {
                tracing::warn!(error = %chain_of_causes(&error), "indexing");
            }
        }
    }

    /// Reads all blocks up to the newest.
    pub(crate) async fn index(&self) -> Result<(), NodeError> {
        let chain_id = self.chain.id();
        let cursor = self.store.read().await?.cursor(chain_id).await?;
        let newest = self.chain.block_number().await?;
        if cursor
            .as_ref()
            .is_some_and(|cursor| cursor.block_number == newest)
        {
            return Ok(());
        }
        let start = self.chain.address_book().start_block;
        let from = cursor.map_or(start, |cursor| {
            cursor.block_number.saturating_sub(OVERLAP_BLOCKS).max(start)
        });
        let mut pages = EventCursor::new(
            EventQuery {
                contracts: Vec::new(),
                topics: Vec::new(),
            },
            from,
        );
        while let Some(page) = pages.next(&self.chain).await? {
            for record in &page.events {
                self.index_event(record).await?;
            }
            let row = CursorRow {
                chain_id,
                block_number: page.to_block,
                block_hash: block_hash(&page.events),
            };
            let mut transaction = self.store.begin().await?;
            transaction.set_cursor(&row).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Indexes what a transaction of the node itself did, without waiting for the loop.
    pub(crate) async fn index_receipt(&self, receipt: &Receipt) -> Result<(), NodeError> {
        for log in &receipt.logs {
            let Some(event) = Event::decode(log) else { continue };
            let record = EventRecord {
                contract: log.address(),
                block_number: receipt.block_number,
                block_hash: log.block_hash.unwrap_or_default(),
                transaction: receipt.transaction,
                transaction_index: receipt.transaction_index,
                log_index: log.log_index.unwrap_or_default(),
                event,
            };
            self.index_event(&record).await?;
        }
        Ok(())
    }

    async fn index_event(&self, record: &EventRecord) -> Result<(), NodeError> {
        match &record.event {
            Event::MetadataCreated(event) => {
                let written = Written {
                    by: event.createdBy,
                    state: event.state,
                    flags: &event.flags,
                    data: &event.data,
                    hash: event.metaDataHash,
                };
                self.index_metadata(record, &written).await
            }
            Event::MetadataUpdated(event) => {
                let written = Written {
                    by: event.updatedBy,
                    state: event.state,
                    flags: &event.flags,
                    data: &event.data,
                    hash: event.metaDataHash,
                };
                self.index_metadata(record, &written).await
            }
            Event::MetadataState(event) => self.index_state(record, event.state).await,
            Event::NewPaymentCollector(event) => {
                self.index_collector(record, event._newPaymentCollector).await
            }
            Event::ProviderFee(event) if event.providerFeeAddress == self.wallet() => {
                self.index_fee(record, &event.providerData).await
            }
            _ => Ok(()),
        }
    }

    /// A DDO on the chain. What cannot be read is somebody else's business and is left out.
    async fn index_metadata(&self, record: &EventRecord, written: &Written<'_>) -> Result<(), NodeError> {
        let nft = record.contract;
        let ddo = match read_published(written.flags, written.data, written.hash) {
            Ok(ddo) => ddo,
            Err(error) => {
                tracing::debug!(%nft, %error, "metadata that this node does not read");
                return Ok(());
            }
        };
        if !self.speaks_for_itself(&ddo, nft).await? {
            tracing::debug!(%nft, did = %ddo.id, "metadata of another asset");
            return Ok(());
        }
        let known = self.store.read().await?.asset(&ddo.id).await?;
        if known
            .as_ref()
            .is_some_and(|known| known.block_number > record.block_number)
        {
            return Ok(());
        }
        // Anyone can make an NFT for this node's wallet, or give it one; what stands in it is the wallet's word only
        // if the wallet wrote it.
        let wallet = self.wallet();
        let ours = written.by == wallet && self.chain.nft(nft).owner().await? == wallet;
        let facts = if ours { own_facts(&ddo) } else { None };
        if let Some(known) = &known
            && !self.keeps_birth(known, facts.as_ref())?
        {
            tracing::warn!(%nft, did = %ddo.id, by = %written.by, "metadata that would change the birth of an own asset is not taken");
            return Ok(());
        }
        let Some(mut row) = self.asset_row(&ddo, record, facts, written.state).await? else {
            return Ok(());
        };
        if let Some(known) = known {
            row.created_at = known.created_at;
        }
        let mut transaction = self.store.begin().await?;
        transaction.put_asset(&row).await?;
        Ok(transaction.commit().await?)
    }

    /// Anyone can write any DDO into an NFT of their own; it is that NFT's only if it names it, and it sells that NFT's
    /// datatokens alone.
    async fn speaks_for_itself(&self, ddo: &Ddo, nft: Address) -> Result<bool, NodeError> {
        let named = ddo.nft_address == nft && ddo.chain_id == self.chain.id();
        if !named || !self.chain.is_nft(nft).await? {
            return Ok(false);
        }
        for datatoken in ddo.datatokens() {
            if !self.chain.is_datatoken(datatoken).await?
                || self.chain.datatoken(datatoken).nft().await? != nft
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether new metadata leaves what was fixed at the birth of an own asset: its kind, and of a model who is paid,
    /// who was given datatokens, what it is and where it comes from. The wallet that writes metadata could change them.
    fn keeps_birth(&self, known: &AssetRow, facts: Option<&AssetFacts>) -> Result<bool, NodeError> {
        if known.kind == AssetKind::Foreign {
            return Ok(true);
        }
        if known.kind != kind_of(facts) {
            return Ok(false);
        }
        Ok(match (self.model_facts(known)?, facts) {
            (Some(born), Some(AssetFacts::Model(now))) => same_birth(&born, now),
            _ => true,
        })
    }

    async fn asset_row(
        &self,
        ddo: &Ddo,
        record: &EventRecord,
        facts: Option<AssetFacts>,
        state: u8,
    ) -> Result<Option<AssetRow>, NodeError> {
        let Some(datatoken) = ddo.datatokens().first().copied() else {
            return Ok(None);
        };
        let at = self
            .chain
            .block_timestamp(record.block_number)
            .await?
            .unwrap_or_default();
        let mut row = AssetRow {
            did: ddo.id.clone(),
            chain_id: ddo.chain_id,
            nft: record.contract,
            datatoken,
            exchange: None,
            kind: kind_of(facts.as_ref()),
            name: ddo.metadata.name.clone(),
            description: ddo.metadata.description.clone(),
            author: ddo.metadata.author.clone(),
            tags: ddo.metadata.tags.clone(),
            state: u64::from(state),
            parent: None,
            commitment_root: None,
            trainer: None,
            created_at: at,
            updated_at: at,
            block_number: record.block_number,
            transaction_hash: record.transaction,
            ddo: String::from_utf8(ddo.to_bytes()).or_fault("writing a DDO")?,
        };
        match facts {
            Some(AssetFacts::Model(facts)) => {
                row.exchange = facts.exchange;
                row.parent = facts.lineage.parent.map(|parent| parent.did);
                row.commitment_root = Some(facts.commitment.root);
                row.trainer = Some(facts.lineage.trainer);
            }
            Some(AssetFacts::Blank(facts)) => row.exchange = facts.exchange,
            Some(AssetFacts::Operation(_)) | None => {}
        }
        Ok(Some(row))
    }

    async fn index_state(&self, record: &EventRecord, state: u8) -> Result<(), NodeError> {
        let asset = self
            .store
            .read()
            .await?
            .asset_of_nft(self.chain.id(), record.contract)
            .await?;
        let Some(mut asset) = asset else { return Ok(()) };
        asset.state = u64::from(state);
        let mut transaction = self.store.begin().await?;
        transaction.put_asset(&asset).await?;
        Ok(transaction.commit().await?)
    }

    /// A fee that this node was paid: the quote that it names is kept, however late its order is brought.
    async fn index_fee(&self, record: &EventRecord, data: &[u8]) -> Result<(), NodeError> {
        let Some(binding) = QuoteBinding::decode(data) else {
            return Ok(());
        };
        if !self.chain.is_datatoken(record.contract).await? {
            return Ok(());
        }
        let mut transaction = self.store.begin().await?;
        transaction.quote_paid(binding.quote).await?;
        Ok(transaction.commit().await?)
    }

    /// A change of the payment collector after birth is flagged: the marketplace's wallet could do it, and must not.
    async fn index_collector(&self, record: &EventRecord, collector: Address) -> Result<(), NodeError> {
        let asset = self
            .store
            .read()
            .await?
            .asset_of_datatoken(self.chain.id(), record.contract)
            .await?;
        let birth = match &asset {
            Some(asset) => self.model_facts(asset)?.map(|facts| facts.collector),
            None => None,
        };
        let flagged = birth.is_some_and(|birth| birth != collector);
        if flagged {
            tracing::warn!(datatoken = %record.contract, %collector, "a payment collector was changed after birth");
        }
        let row = CollectorRow {
            chain_id: self.chain.id(),
            datatoken: record.contract,
            block_number: record.block_number,
            log_index: record.log_index,
            nft: asset.map(|asset| asset.nft).unwrap_or_default(),
            collector,
            transaction_hash: record.transaction,
            flagged,
        };
        let mut transaction = self.store.begin().await?;
        transaction.put_collector(&row).await?;
        Ok(transaction.commit().await?)
    }
}

/// The facts of a DDO that the node's wallet wrote. Those that cannot be read make the asset a foreign one: whatever
/// stands on the chain, the index goes on.
fn own_facts(ddo: &Ddo) -> Option<AssetFacts> {
    ddo.facts().unwrap_or_else(|error| {
        tracing::error!(did = %ddo.id, %error, "the facts of an own DDO cannot be read");
        None
    })
}

fn kind_of(facts: Option<&AssetFacts>) -> AssetKind {
    match facts {
        Some(AssetFacts::Model(_)) => AssetKind::Model,
        Some(AssetFacts::Blank(_)) => AssetKind::Blank,
        Some(AssetFacts::Operation(_)) => AssetKind::Operation,
        None => AssetKind::Foreign,
    }
}

fn same_birth(born: &ModelFacts, now: &ModelFacts) -> bool {
    born.collector == now.collector
        && born.initial_supply == now.initial_supply
        && born.commitment == now.commitment
        && born.lineage == now.lineage
        && born.parent_share_bps == now.parent_share_bps
}

fn block_hash(events: &[EventRecord]) -> Digest {
    events.last().map(|event| event.block_hash).unwrap_or_default()
}
