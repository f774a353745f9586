//! Reading the chain's logs in order, with a cursor.

use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use posthuman_types::{Address, B256};

use crate::bindings::{IDatatoken, IDispenser, IErc20, IFixedRate, INft, INftFactory, IPool, ISplitter};
use crate::client::Chain;
use crate::error::ChainError;

/// How many blocks are asked for at a time, until a server finds that too much.
const PAGE_BLOCKS: u64 = 5_000;

macro_rules! events {
    ($($(#[$documentation:meta])* $variant:ident($event:path),)*) => {
        /// An event of the contracts this crate knows, decoded.
        ///
        /// A log only proves that *some* contract wrote it: check the contract ([`Chain::is_nft`],
        /// [`Chain::is_datatoken`], or that it is one of the address book's).
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$documentation])* $variant($event),)*
        }

        impl Event {
            /// First topics of every event in this list.
            pub const TOPICS: &[B256] = &[$(<$event>::SIGNATURE_HASH,)*];

            /// Reads a log, or nothing if it is none of these events.
            pub fn decode(log: &Log) -> Option<Self> {
                let topic = *log.topic0()?;
                $(if topic == <$event>::SIGNATURE_HASH && let Ok(event) = <$event>::decode_log_data(log.data()) {
                    return Some(Self::$variant(event));
                })*
                None
            }
        }
    };
}

events! {
    /// The factory made a data NFT.
    NftCreated(INftFactory::NFTCreated),
    /// The factory made a datatoken.
    DatatokenCreated(INftFactory::TokenCreated),
    /// Metadata was written for the first time.
    MetadataCreated(INft::MetadataCreated),
    /// Metadata was written again.
    MetadataUpdated(INft::MetadataUpdated),
    /// The asset's state changed without new metadata.
    MetadataState(INft::MetadataState),
    /// A value of a data NFT's store changed.
    DataChanged(INft::DataChanged),
    /// A data NFT changed hands (ERC-721).
    NftTransfer(INft::Transfer),
    /// A token moved (ERC-20).
    Transfer(IErc20::Transfer),
    /// An order was paid.
    OrderStarted(IDatatoken::OrderStarted),
    /// An order's fee was paid again.
    OrderReused(IDatatoken::OrderReused),
    /// A provider attested an order.
    OrderExecuted(IDatatoken::OrderExecuted),
    /// The provider's fee of an order.
    ProviderFee(IDatatoken::ProviderFee),
    /// The receiver of a datatoken's income changed.
    NewPaymentCollector(IDatatoken::NewPaymentCollector),
    /// An account may mint.
    AddedMinter(IDatatoken::AddedMinter),
    /// An account may no longer mint.
    RemovedMinter(IDatatoken::RemovedMinter),
    /// A datatoken got a fixed-rate exchange.
    NewFixedRate(IDatatoken::NewFixedRate),
    /// A datatoken got a dispenser.
    NewDispenser(IDatatoken::NewDispenser),
    /// A datatoken got a pool.
    NewPool(IDatatoken::NewPool),
    /// An exchange opened.
    ExchangeCreated(IFixedRate::ExchangeCreated),
    /// An exchange's rate changed.
    ExchangeRateChanged(IFixedRate::ExchangeRateChanged),
    /// An exchange was switched on.
    ExchangeActivated(IFixedRate::ExchangeActivated),
    /// An exchange was switched off.
    ExchangeDeactivated(IFixedRate::ExchangeDeactivated),
    /// A swap on an exchange.
    Swapped(IFixedRate::Swapped),
    /// An exchange paid its proceeds out.
    TokenCollected(IFixedRate::TokenCollected),
    /// A dispenser was made.
    DispenserCreated(IDispenser::DispenserCreated),
    /// A dispenser gave datatokens.
    TokensDispensed(IDispenser::TokensDispensed),
    /// A swap in a pool.
    PoolSwapped(IPool::LOG_SWAP),
    /// Somebody staked in a pool.
    PoolJoined(IPool::LOG_JOIN),
    /// Somebody took their stake out of a pool.
    PoolLeft(IPool::LOG_EXIT),
    /// A splitter paid a payee.
    PayeePaid(ISplitter::PayeePaid),
    /// A splitter paid all payees.
    PaymentReleased(ISplitter::PaymentReleased),
}

/// An event and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The contract that logged it.
    pub contract: Address,
    /// The block it is in.
    pub block_number: u64,
    /// Hash of that block; another hash at the same number later means a reorganisation.
    pub block_hash: B256,
    /// The transaction it is in.
    pub transaction: B256,
    /// That transaction's index in the block.
    pub transaction_index: u64,
    /// The log's index in the block.
    pub log_index: u64,
    /// What happened.
    pub event: Event,
}

/// Which events to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Contracts; none means any.
    pub contracts: Vec<Address>,
    /// First topics, such as `IDatatoken::OrderStarted::SIGNATURE_HASH`; none means all of [`Event::TOPICS`].
    pub topics: Vec<B256>,
}

/// What one step of a cursor found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// First block read.
    pub from_block: u64,
    /// Last block read: everything up to it is in this page or an earlier one.
    pub to_block: u64,
    /// The events in chain order.
    pub events: Vec<EventRecord>,
}

/// A place in the chain up to which events were read.
///
/// It follows the newest block and notices no reorganisation; keep [`EventRecord::block_hash`] where that matters.
#[derive(Clone, Debug)]
pub struct EventCursor {
    query: EventQuery,
    next_block: u64,
    page: u64,
}

impl EventCursor {
    /// Starts at a block.
    pub fn new(query: EventQuery, from_block: u64) -> Self {
        Self {
            query,
            next_block: from_block,
            page: PAGE_BLOCKS,
        }
    }

    /// The first block not read yet: what to keep for a restart.
    pub fn next_block(&self) -> u64 {
        self.next_block
    }

    /// Reads the next blocks, or nothing if the newest block was read. The cursor moves only if reading succeeds.
    ///
    /// A server that finds the range too large is asked for half of it.
    ///
    /// # Errors
    /// No answer, or a refusal even of a single block.
    pub async fn next(&mut self, chain: &Chain) -> Result<Option<EventPage>, ChainError> {
        let newest = chain.block_number().await?;
        if self.next_block > newest {
            return Ok(None);
        }
        let from_block = self.next_block;
        let (to_block, logs) = chain
            .log_page(&self.query.filter(), from_block, newest, &mut self.page)
            .await?;
        self.next_block = to_block + 1;
        Ok(Some(EventPage {
            from_block,
            to_block,
            events: logs.iter().filter_map(record).collect(),
        }))
    }
}

impl EventQuery {
    fn filter(&self) -> Filter {
        let topics = if self.topics.is_empty() {
            Event::TOPICS
        } else {
            &self.topics
        };
        Filter::new()
            .address(self.contracts.clone())
            .event_signature(topics.to_vec())
    }
}

impl Chain {
    /// The events of a range of blocks, both ends included, in chain order. Logs of other shapes are left out.
    ///
    /// # Errors
    /// No answer, or the server finds the range too large.
    pub async fn events(
        &self,
        query: &EventQuery,
        from_block: u64,
        to_block: u64,
    ) -> Result<Vec<EventRecord>, ChainError> {
        let logs = self.logs(query.filter(), from_block, to_block).await?;
        Ok(logs.iter().filter_map(record).collect())
    }

    /// Raw logs of a contract by first topics, from a block to the newest, in chain order.
    ///
    /// Everything is asked for at once, since one contract logs little; smaller pages are for servers that refuse that.
    pub(crate) async fn logs_since(
        &self,
        contract: Address,
        topics: &[B256],
        from_block: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let filter = Filter::new().address(contract).event_signature(topics.to_vec());
        let newest = self.block_number().await?;
        let (mut next, mut page) = (from_block, u64::MAX);
        let mut found = Vec::new();
        while next <= newest {
            let (to_block, logs) = self.log_page(&filter, next, newest, &mut page).await?;
            found.extend(logs);
            next = to_block + 1;
        }
        Ok(found)
    }

    /// The logs of at most `page` blocks, and the last of these blocks. Where the server finds the range too large, the
    /// page is halved, for the next call too.
    async fn log_page(
        &self,
        filter: &Filter,
        from_block: u64,
        newest: u64,
        page: &mut u64,
    ) -> Result<(u64, Vec<Log>), ChainError> {
        loop {
            let to_block = newest.min(from_block.saturating_add(*page - 1));
            match self.logs(filter.clone(), from_block, to_block).await {
                Ok(logs) => return Ok((to_block, logs)),
                Err(ChainError::Refused { .. }) if to_block > from_block => {
                    *page = (to_block - from_block).div_ceil(2)
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn logs(&self, filter: Filter, from_block: u64, to_block: u64) -> Result<Vec<Log>, ChainError> {
        let filter = filter.from_block(from_block).to_block(to_block);
        self.ask("logs", || self.provider().get_logs(&filter)).await
    }
}

fn record(log: &Log) -> Option<EventRecord> {
    Some(EventRecord {
        contract: log.address(),
        block_number: log.block_number?,
        block_hash: log.block_hash?,
        transaction: log.transaction_hash?,
        transaction_index: log.transaction_index?,
        log_index: log.log_index?,
        event: Event::decode(log)?,
    })
}
