//! The node's transactions: written down before they are sent, so that a crash neither repeats nor loses one.
//!
//! See `docs/decisions/0002-outbox-of-signed-transactions.md`. Nothing else may send from the node's wallet.

use posthuman_chain::{Call, Chain, Receipt, SignedTransaction, Wallet};
use posthuman_jobs::break_point::break_point;
use posthuman_store::{Store, TransactionRow, TransactionState};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::error::NodeError;

/// Sends the node's transactions, each exactly once under the key that names its purpose.
pub(crate) struct Outbox {
    chain: Chain,
    store: Store,
    wallet: Wallet,
    clock: Clock,
    /// One transaction at a time: nonces have no gaps, and a failed estimate takes none.
    sending: Mutex<()>,
}

impl Outbox {
    pub(crate) fn new(chain: Chain, store: Store, wallet: Wallet, clock: Clock) -> Self {
        Self {
            chain,
            store,
            wallet,
            clock,
            sending: Mutex::default(),
        }
    }

    /// Executes a call once. Asked again under the same key, it returns the receipt of the first time.
    ///
    /// # Errors
    /// The call would be refused by its contract, the chain does not answer, or the transaction failed in a block
    /// (its key can then be used anew).
    pub(crate) async fn execute(&self, key: &str, call: Call) -> Result<Receipt, NodeError> {
        let _sending = self.sending.lock().await;
        let recorded = self.store.read().await?.transaction(key).await?;
        let row = match recorded {
            Some(row) if row.state != TransactionState::Failed => row,
            _ => self.prepare(key, &call).await?,
        };
        self.complete(row).await
    }

    /// Whether a transaction of that key is recorded and did not fail.
    pub(crate) async fn has(&self, key: &str) -> Result<bool, NodeError> {
        let row = self.store.read().await?.transaction(key).await?;
        Ok(row.is_some_and(|row| row.state != TransactionState::Failed))
    }

    /// Completes what a crash interrupted, in the order of nonces.
    pub(crate) async fn heal(&self) -> Result<(), NodeError> {
        let _sending = self.sending.lock().await;
        let unfinished = self.store.read().await?.unfinished_transactions().await?;
        for row in unfinished {
            tracing::info!(key = row.key, transaction = %row.hash, "completing a transaction from before the restart");
            match self.complete(row).await {
                Ok(_) => {}
                // It failed in its block. Its purpose comes up again with the job or publication it belongs to.
                Err(error @ NodeError::Fault { .. }) => {
                    tracing::warn!(%error, "a transaction from before the restart failed")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn prepare(&self, key: &str, call: &Call) -> Result<TransactionRow, NodeError> {
        let sender = self.wallet.address();
        let (chain_id, now) = (self.chain.id(), self.clock.now_seconds());
        let counted = self.chain.transaction_count(sender).await?;
        let recorded = self
            .store
            .read()
            .await?
            .next_wallet_nonce(chain_id, sender)
            .await?;
        let nonce = recorded.map_or(counted, |recorded| recorded.max(counted));
        let signed = self.chain.prepare(&self.wallet, call, nonce).await?;
        break_point("outbox.signed");
        let row = TransactionRow {
            key: key.to_owned(),
            label: call.label.clone(),
            chain_id,
            sender,
            nonce,
            hash: signed.hash,
            raw: signed.raw,
            state: TransactionState::Prepared,
            block_number: None,
            error: None,
            created_at: now,
            updated_at: now,
        };
        let mut transaction = self.store.begin().await?;
        let row = transaction.prepare_transaction(&row).await?;
        transaction.commit().await?;
        break_point("outbox.recorded");
        Ok(row)
    }

    async fn complete(&self, row: TransactionRow) -> Result<Receipt, NodeError> {
        let signed = SignedTransaction {
            from: row.sender,
            nonce: row.nonce,
            hash: row.hash,
            raw: row.raw,
        };
        let receipt = match self.chain.receipt(row.hash).await? {
            Some(receipt) => receipt,
            None => {
                self.chain.broadcast(&signed).await?;
                break_point("outbox.broadcast");
                self.chain.wait(&signed).await?
            }
        };
        if row.state == TransactionState::Mined {
            return Ok(receipt);
        }
        break_point("outbox.mined");
        let now = self.clock.now_seconds();
        let mut transaction = self.store.begin().await?;
        if receipt.success {
            transaction
                .transaction_mined(&row.key, receipt.block_number, now)
                .await?;
            transaction.commit().await?;
            tracing::info!(key = row.key, transaction = %row.hash, block = receipt.block_number, "mined");
            return Ok(receipt);
        }
        let reason = format!("{} failed in block {}", row.label, receipt.block_number);
        transaction
            .transaction_failed(&row.key, Some(receipt.block_number), &reason, now)
            .await?;
        transaction.commit().await?;
        Err(NodeError::bug(format!("sending a transaction: {reason}")))
    }
}
