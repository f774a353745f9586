//! Orders that were paid on the chain.

use posthuman_types::api::OrderState;
use posthuman_types::{Address, Amount, B256, Did, Digest, Operation, OrderId, QuoteId};

use crate::column::Column;
use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// An order.
    pub struct OrderRow in "orders" {
        /// Chain, transaction and log.
        pub id: OrderId,
        /// Block of the log.
        pub block_number: u64,
        /// Time of that block, in seconds since 1970 (Unix time).
        pub block_timestamp: u64,
        /// The asset.
        pub did: Did,
        /// The datatoken that was spent.
        pub datatoken: Address,
        /// What was ordered.
        pub operation: Operation,
        /// Who may use it.
        pub consumer: Address,
        /// Who paid.
        pub payer: Address,
        /// Token of the provider fee.
        pub fee_token: Address,
        /// The provider fee, gross.
        pub fee_amount: Amount,
        /// The quote that it paid.
        pub quote_id: QuoteId,
        /// Whether it still pays for something.
        pub state: OrderState,
        /// Tokens that it allows.
        pub allowance: u64,
        /// Tokens used.
        pub used_tokens: u64,
        /// The next turn of a session; 1 after the one job of any other order.
        pub next_turn: u64,
        /// Digest of the newest receipt; zero before the first.
        pub last_receipt: Digest,
        /// When the consumer closed the session, in seconds since 1970 (Unix time).
        pub closed_at: Option<u64>,
        /// The transaction that carries the last receipt's digest.
        pub settled_transaction: Option<B256>,
    }
}

impl Connection {
    /// An order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn order(&mut self, id: OrderId) -> Result<Option<OrderRow>, StoreError> {
        self.select_one("WHERE id = $1", values![&id]).await
    }

    /// The order that a quote paid for.
    ///
    /// # Errors
    /// The database fails.
    pub async fn order_of_quote(&mut self, quote: QuoteId) -> Result<Option<OrderRow>, StoreError> {
        self.select_one("WHERE quote_id = $1", values![&quote]).await
    }

    /// Orders of a consumer, newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn orders_of(&mut self, consumer: Address) -> Result<Vec<OrderRow>, StoreError> {
        let tail = "WHERE consumer = $1 ORDER BY block_number DESC, log_index DESC";
        self.select(tail, values![&consumer]).await
    }

    /// Inference sessions that are open and whose newest turn ended at `before` or earlier, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn idle_sessions(&mut self, before: u64) -> Result<Vec<OrderRow>, StoreError> {
        let tail = "WHERE state = $1 AND NOT EXISTS (
                SELECT 1 FROM jobs WHERE jobs.order_id = orders.id AND (jobs.state = 'queued' OR jobs.updated_at > $2)
            ) ORDER BY block_number, log_index";
        self.select(tail, values![&OrderState::Session, &before]).await
    }
}

impl Transaction {
    /// Adds an order.
    ///
    /// # Errors
    /// The order is known, its quote paid for another order, there is no such quote, or the database fails.
    pub async fn insert_order(&mut self, order: &OrderRow) -> Result<(), StoreError> {
        let place = [
            ("chain_id", order.id.chain_id.write()?),
            ("log_index", order.id.log_index.write()?),
        ];
        self.insert(order, &place).await
    }

    /// Writes all columns of an order.
    ///
    /// # Errors
    /// No such order; the database fails.
    pub async fn update_order(&mut self, order: &OrderRow) -> Result<(), StoreError> {
        let found = self.update(order).await?;
        if found {
            Ok(())
        } else {
            Err(StoreError::Missing {
                what: "order",
                id: order.id.to_string(),
            })
        }
    }
}
