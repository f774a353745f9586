//! What a start does about the life before it, and what is swept while the node runs.

use std::sync::Arc;
use std::time::Duration;

use posthuman_chain::Chain;
use posthuman_jobs::vault::ObjectKind;
use posthuman_store::Store;

use crate::error::{NodeError, OrFault, chain_of_causes};
use crate::node::Node;

/// Prompts of turns that were refused are sealed and named by no row.
const STRAY_SECONDS: u64 = 3600;
/// An unpaid quote is kept for a day after its end, for whoever asks why it is refused.
const QUOTE_GRACE_SECONDS: u64 = 24 * 3600;
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// Refuses a database that belongs to another chain: a devnet that was started anew with an old node folder.
pub(crate) async fn check_chain(chain: &Chain, store: &Store) -> Result<(), NodeError> {
    let Some(cursor) = store.read().await?.cursor(chain.id()).await? else {
        return Ok(());
    };
    let newest = chain
        .block_number()
        .await
        .map_err(|error| NodeError::startup("cannot use the chain", error))?;
    if cursor.block_number <= newest {
        return Ok(());
    }
    let message = format!(
        "the node's database has seen block {} of chain {}, but {} is only at block {newest}: the chain was started \
         anew. Start the chain with its old state, or the node with an empty data folder",
        cursor.block_number,
        chain.id(),
        chain.url()
    );
    Err(NodeError::startup(message, "the chain is behind the database"))
}

impl Node {
    /// Completes or undoes what a crash left between database, vault and job folders.
    pub(crate) async fn recover(&self) -> Result<(), NodeError> {
        let now = self.clock.now_seconds();
        for applied in self
            .queue
            .abandon_leases(now)
            .await
            .or_fault("taking back jobs")?
        {
            tracing::info!(job = %applied.job.id, "a job from before the restart is queued again");
            self.perform(applied.actions).await;
        }
        self.engine
            .remove_leftovers()
            .or_fault("removing folders of checks and imports")?;
        let used = self.store.read().await?.used_objects().await?;
        for object in self.vault.pending()? {
            if used.contains(&object) {
                self.vault.commit(object)?;
            } else {
                self.vault.discard(object)?;
            }
        }
        // A checkpoint that the next one, or the result, replaced just before the crash.
        let checkpoints = self.vault.list()?.into_iter();
        for facts in checkpoints.filter(|facts| facts.kind == ObjectKind::Checkpoint) {
            if !used.contains(&facts.object) {
                self.vault.remove(facts.object)?;
            }
        }
        Ok(())
    }

    /// Small duties: leases that ran out, idle sessions, uploads and sign-ins past their time.
    pub(crate) async fn housekeeping_loop(self: Arc<Self>) {
        while self.pause(None, SWEEP_EVERY).await {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = %chain_of_causes(&error), "housekeeping");
            }
        }
    }

    async fn sweep(&self) -> Result<(), NodeError> {
        let now = self.clock.now_seconds();
        for applied in self.queue.expire_leases(now).await.or_fault("taking back jobs")? {
            self.perform(applied.actions).await;
            self.wake.notify_waiters();
        }
        self.close_idle_sessions().await?;
        self.complete_imports().await?;
        self.remove_ended_uploads().await?;
        self.remove_stray_uploads(STRAY_SECONDS).await?;
        let mut transaction = self.store.begin().await?;
        transaction.delete_ended_access_tokens(now).await?;
        transaction.commit().await?;
        self.remove_unpaid_quotes().await
    }

    /// Quotes that ended a day before the newest block of the index: by then the index knows those that were paid.
    async fn remove_unpaid_quotes(&self) -> Result<(), NodeError> {
        let cursor = self.store.read().await?.cursor(self.chain.id()).await?;
        let Some(cursor) = cursor else { return Ok(()) };
        let indexed = self.chain.block_timestamp(cursor.block_number).await?;
        let before = indexed.unwrap_or_default().saturating_sub(QUOTE_GRACE_SECONDS);
        let mut transaction = self.store.begin().await?;
        transaction.delete_unused_quotes(before).await?;
        Ok(transaction.commit().await?)
    }
}
