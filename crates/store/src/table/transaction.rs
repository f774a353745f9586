//! The outbox: signed transactions that are written down before they are sent.
//!
//! A transaction is signed once, recorded under a key that says what it is for, and only then broadcast. After a crash
//! the same bytes are broadcast again: the chain takes them once, whatever happened in between.

use posthuman_types::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

/// How far a transaction came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionState {
    /// Signed and recorded; perhaps broadcast, perhaps mined.
    Prepared,
    /// In a block, and it did what it should.
    Mined,
    /// It reverted or can never be mined. Its key may be prepared anew.
    Failed,
}

row! {
    /// A signed transaction of the node's wallet.
    pub struct TransactionRow in "transactions" {
        /// What it is for, for example `publish:<job>:mint:2`. One key is done once.
        pub key: String,
        /// What it is for, for people.
        pub label: String,
        /// Chain id.
        pub chain_id: u64,
        /// Who signed it.
        pub sender: Address,
        /// Its nonce.
        pub nonce: u64,
        /// Its hash.
        pub hash: B256,
        /// Its signed bytes.
        pub raw: Bytes,
        /// How far it came.
        pub state: TransactionState,
        /// The block that holds it.
        pub block_number: Option<u64>,
        /// Why it failed, in a sentence.
        pub error: Option<String>,
        /// When it was signed, in seconds since 1970 (Unix time).
        pub created_at: u64,
        /// When the row was last written.
        pub updated_at: u64,
    }
}

impl Connection {
    /// The transaction of a key.
    ///
    /// # Errors
    /// The database fails.
    pub async fn transaction(&mut self, key: &str) -> Result<Option<TransactionRow>, StoreError> {
        self.select_one("WHERE key = $1", values![&key.to_owned()]).await
    }

    /// Transactions whose key begins so, in order of nonces.
    ///
    /// # Errors
    /// The database fails.
    pub async fn transactions_under(&mut self, prefix: &str) -> Result<Vec<TransactionRow>, StoreError> {
        let tail = "WHERE substr(key, 1, length($1)) = $1 ORDER BY nonce, key";
        self.select(tail, values![&prefix.to_owned()]).await
    }

    /// Transactions that are neither mined nor failed, in order of nonces: to be broadcast again after a crash.
    ///
    /// # Errors
    /// The database fails.
    pub async fn unfinished_transactions(&mut self) -> Result<Vec<TransactionRow>, StoreError> {
        self.select(
            "WHERE state = $1 ORDER BY chain_id, sender, nonce",
            values![&TransactionState::Prepared],
        )
        .await
    }

    /// One more than the largest nonce of a wallet that a recorded transaction holds or held; nothing before the
    /// first. The next nonce is the larger of this and the chain's count.
    ///
    /// Failed transactions are not counted: one that reverted is in the chain's count, one that was dropped freed its
    /// nonce.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_wallet_nonce(
        &mut self,
        chain_id: u64,
        sender: Address,
    ) -> Result<Option<u64>, StoreError> {
        let tail = "WHERE chain_id = $1 AND sender = $2 AND state <> $3 ORDER BY nonce DESC";
        let values = values![&chain_id, &sender, &TransactionState::Failed];
        let last: Option<TransactionRow> = self.select_one(tail, values).await?;
        Ok(last.map(|transaction| transaction.nonce + 1))
    }
}

impl Transaction {
    /// Records a signed transaction before it is sent, and gives what stands under its key from now on: this one, or
    /// an earlier one that did not fail. Send that one, whichever it is.
    ///
    /// # Errors
    /// Another transaction holds the wallet's nonce, or the database fails.
    pub async fn prepare_transaction(&mut self, new: &TransactionRow) -> Result<TransactionRow, StoreError> {
        match self.transaction(&new.key).await? {
            Some(old) if old.state != TransactionState::Failed => Ok(old),
            _ => {
                self.upsert(new, "key").await?;
                Ok(new.clone())
            }
        }
    }

    /// Notes the block that holds a transaction.
    ///
    /// # Errors
    /// No such key, or the database fails.
    pub async fn transaction_mined(
        &mut self,
        key: &str,
        block_number: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        self.end_transaction(key, TransactionState::Mined, Some(block_number), None, now)
            .await
    }

    /// Notes that a transaction failed, in which block if in any, and why.
    ///
    /// # Errors
    /// No such key, or the database fails.
    pub async fn transaction_failed(
        &mut self,
        key: &str,
        block_number: Option<u64>,
        error: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        self.end_transaction(
            key,
            TransactionState::Failed,
            block_number,
            Some(error.to_owned()),
            now,
        )
        .await
    }

    async fn end_transaction(
        &mut self,
        key: &str,
        state: TransactionState,
        block_number: Option<u64>,
        error: Option<String>,
        now: u64,
    ) -> Result<(), StoreError> {
        let missing = || StoreError::Missing {
            what: "transaction",
            id: key.to_owned(),
        };
        let mut row = self.transaction(key).await?.ok_or_else(missing)?;
        (row.state, row.block_number, row.error, row.updated_at) = (state, block_number, error, now);
        self.update(&row).await.map(drop)
    }
}
