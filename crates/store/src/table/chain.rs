//! What the indexer reads from the chain besides assets: how far it came, payment collectors and exchanges.

use posthuman_types::{Address, Amount, B256, Digest};

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

row! {
    /// A fixed-rate exchange of a datatoken.
    pub struct ExchangeRow in "exchanges" {
        /// Its id in its contract.
        pub exchange: B256,
        /// The exchange contract.
        pub contract: Address,
        /// Chain id.
        pub chain_id: u64,
        /// The datatoken that is sold.
        pub datatoken: Address,
        /// Who owns the exchange.
        pub owner: Address,
        /// Token of the price.
        pub base_token: Address,
        /// Price of one whole datatoken, without fees.
        pub price: Amount,
        /// Whether a holder sells here, rather than the publisher.
        pub resale: bool,
        /// Whether it is switched on.
        pub active: bool,
        /// Block of the newest log about it.
        pub block_number: u64,
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

    /// The exchanges of a datatoken, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn exchanges(
        &mut self,
        chain_id: u64,
        datatoken: Address,
    ) -> Result<Vec<ExchangeRow>, StoreError> {
        let tail = "WHERE chain_id = $1 AND datatoken = $2 ORDER BY block_number, exchange";
        self.select(tail, values![&chain_id, &datatoken]).await
    }

    /// One exchange.
    ///
    /// # Errors
    /// The database fails.
    pub async fn exchange(
        &mut self,
        chain_id: u64,
        contract: Address,
        exchange: B256,
    ) -> Result<Option<ExchangeRow>, StoreError> {
        let tail = "WHERE chain_id = $1 AND contract = $2 AND exchange = $3";
        self.select_one(tail, values![&chain_id, &contract, &exchange])
            .await
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

    /// Writes an exchange, over its older state if there is one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_exchange(&mut self, exchange: &ExchangeRow) -> Result<(), StoreError> {
        self.upsert(exchange, "chain_id, contract, exchange").await
    }

    /// Forgets everything that a chain's logs said after a block, for a reorganisation. Assets stay: their events come
    /// again, or [`Transaction::delete_asset`] removes them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_logs_after(&mut self, chain_id: u64, block_number: u64) -> Result<(), StoreError> {
        for table in ["collectors", "exchanges"] {
            let sql = format!("DELETE FROM {table} WHERE chain_id = $1 AND block_number > $2");
            self.execute(&sql, values![&chain_id, &block_number]).await?;
        }
        Ok(())
    }
}
