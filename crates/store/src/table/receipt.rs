//! What the node signed: receipts and refusals.

use posthuman_types::receipt::SignedRefusal;
use posthuman_types::{Address, B256, Digest, JobId, OrderId, SignedReceipt};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// A signed receipt.
    pub struct ReceiptRow in "receipts" {
        /// Its digest.
        pub digest: Digest,
        /// The job.
        pub job_id: JobId,
        /// The order that paid.
        pub order_id: OrderId,
        /// Turn of a session; 0 for the other operations.
        pub turn: u64,
        /// The receipt and its signature.
        pub signed: SignedReceipt,
        /// The transaction that carries its digest, or that of a later turn of the same session.
        pub settled_transaction: Option<B256>,
        /// When it was signed, in seconds since 1970 (Unix time).
        pub created_at: u64,
    }
}

row! {
    /// A signed refusal.
    pub struct RefusalRow in "refusals" {
        /// Digest of the start request that was refused.
        pub request: Digest,
        /// The order that was named; it need not exist.
        pub order_id: OrderId,
        /// Who asked.
        pub consumer: Address,
        /// The refusal and its signature.
        pub signed: SignedRefusal,
        /// When it was signed, in seconds since 1970 (Unix time).
        pub created_at: u64,
    }
}

impl Connection {
    /// The receipt of a digest.
    ///
    /// # Errors
    /// The database fails.
    pub async fn receipt(&mut self, digest: Digest) -> Result<Option<ReceiptRow>, StoreError> {
        self.select_one("WHERE digest = $1", values![&digest]).await
    }

    /// The receipt of a job.
    ///
    /// # Errors
    /// The database fails.
    pub async fn receipt_of_job(&mut self, job: JobId) -> Result<Option<ReceiptRow>, StoreError> {
        self.select_one("WHERE job_id = $1", values![&job]).await
    }

    /// The receipts of an order, in order of turns.
    ///
    /// # Errors
    /// The database fails.
    pub async fn receipts_of_order(&mut self, order: OrderId) -> Result<Vec<ReceiptRow>, StoreError> {
        self.select("WHERE order_id = $1 ORDER BY turn", values![&order])
            .await
    }

    /// The refusal of a start request.
    ///
    /// # Errors
    /// The database fails.
    pub async fn refusal(&mut self, request: Digest) -> Result<Option<RefusalRow>, StoreError> {
        self.select_one("WHERE request = $1", values![&request]).await
    }

    /// The refusals that named an order, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn refusals_of_order(&mut self, order: OrderId) -> Result<Vec<RefusalRow>, StoreError> {
        self.select(
            "WHERE order_id = $1 ORDER BY created_at, request",
            values![&order],
        )
        .await
    }
}

impl Transaction {
    /// Adds a receipt.
    ///
    /// # Errors
    /// The job or this turn of the order has a receipt, there is no such job, or the database fails.
    pub async fn insert_receipt(&mut self, receipt: &ReceiptRow) -> Result<(), StoreError> {
        self.insert(receipt, &[]).await
    }

    /// Notes the transaction that settles all receipts of an order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settle_receipts(&mut self, order: OrderId, transaction: B256) -> Result<(), StoreError> {
        let sql = "UPDATE receipts SET settled_transaction = $2 WHERE order_id = $1";
        self.execute(sql, values![&order, &transaction]).await.map(drop)
    }

    /// Writes a refusal, over the one for the same request if there is one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_refusal(&mut self, refusal: &RefusalRow) -> Result<(), StoreError> {
        self.upsert(refusal, "request").await
    }
}
