//! What the indexer reads from the chain besides assets: how far it came, and payment collectors.

use posthuman_types::{Address, B256, Digest};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// The last block that the indexer took in.
    pub struct CursorRow in "cursors" {
        /// Chain id.
        pub chain_id: u64,
        /// Number of the block.
        pub block_number: u64,
        /// Its hash, by which a reorganisation shows.
        pub block_hash: Digest,
    }
}

row! {
    /// A payment collector that a datatoken had from some log on.
    pub struct CollectorRow in "collectors" {
        /// Chain id.
        pub chain_id: u64,
        /// The datatoken.
        pub datatoken: Address,
        /// Block of the log.
        pub block_number: u64,
        /// Index of the log in its block.
        pub log_index: u64,
        /// The data NFT that the datatoken belongs to.
        pub nft: Address,
        /// Who collects from then on.
        pub collector: Address,
        /// Transaction of the log.
        pub transaction_hash: B256,
        /// Whether the change came after the birth of the asset, when it should not.
        pub flagged: bool,
    }
}

impl Connection {
    /// How far the indexer came on a chain.
    ///
    /// # Errors
    /// The database fails.
    pub async fn cursor(&mut self, chain_id: u64) -> Result<Option<CursorRow>, StoreError> {
        self.select_one("WHERE chain_id = $1", values![&chain_id]).await
    }

    /// All payment collectors that a datatoken ever had, oldest first. The last one collects now.
    ///
    /// # Errors
    /// The database fails.
    pub async fn collectors(
        &mut self,
        chain_id: u64,
        datatoken: Address,
    ) -> Result<Vec<CollectorRow>, StoreError> {
        let tail = "WHERE chain_id = $1 AND datatoken = $2 ORDER BY block_number, log_index";
        self.select(tail, values![&chain_id, &datatoken]).await
    }
}

impl Transaction {
    /// Remembers how far the indexer came.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_cursor(&mut self, cursor: &CursorRow) -> Result<(), StoreError> {
        self.upsert(cursor, "chain_id").await
    }

    /// Adds a payment collector to the history of its datatoken. Adding the same log again changes nothing.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_collector(&mut self, collector: &CollectorRow) -> Result<(), StoreError> {
        self.upsert(collector, "chain_id, datatoken, block_number, log_index")
            .await
    }
}
