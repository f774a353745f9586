//! Binding offers.

use posthuman_types::{Address, Amount, Did, Digest, Operation, QuoteId};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// An offer of the node, which pays for one order.
    pub struct QuoteRow in "quotes" {
        /// The offer.
        pub id: QuoteId,
        /// Who may use what is ordered.
        pub consumer: Address,
        /// The asset.
        pub did: Did,
        /// The datatoken that is spent.
        pub datatoken: Address,
        /// What is ordered.
        pub operation: Operation,
        /// Digest of the input manifest that was checked; zero for a session.
        pub input: Digest,
        /// Parameters in canonical text.
        pub parameters: String,
        /// Tokens that count against the allowance.
        pub tokens: u64,
        /// Tokens that the order will allow.
        pub allowance: u64,
        /// Token of the provider fee.
        pub fee_token: Address,
        /// The provider fee, gross.
        pub fee_amount: Amount,
        /// Until when an order with this fee is accepted, in seconds since 1970 (Unix time).
        pub valid_until: u64,
        /// When the offer was made.
        pub created_at: u64,
    }
}

impl Connection {
    /// A quote.
    ///
    /// # Errors
    /// The database fails.
    pub async fn quote(&mut self, id: QuoteId) -> Result<Option<QuoteRow>, StoreError> {
        self.select_one("WHERE id = $1", values![&id]).await
    }
}

impl Transaction {
    /// Adds a quote.
    ///
    /// # Errors
    /// The id is taken, or the database fails.
    pub async fn insert_quote(&mut self, quote: &QuoteRow) -> Result<(), StoreError> {
        self.insert(quote, &[]).await
    }

    /// Notes that a fee on the chain names a quote: it is kept until its order comes, however late. A quote that is not
    /// here is passed over.
    ///
    /// # Errors
    /// The database fails.
    pub async fn quote_paid(&mut self, id: QuoteId) -> Result<(), StoreError> {
        let sql = "UPDATE quotes SET paid = TRUE WHERE id = $1";
        self.execute(sql, values![&id]).await.map(drop)
    }

    /// Removes quotes that ended before `before` and that nobody paid, and says how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_unused_quotes(&mut self, before: u64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM quotes WHERE valid_until < $1 AND NOT paid
                   AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.quote_id = quotes.id)";
        self.execute(sql, values![&before]).await
    }
}
