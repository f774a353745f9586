//! After the result: the receipt, the birth of a trained model, and the receipt's digest on the chain.
//!
//! The loop asks the queue what is unfinished, so a crash between any two steps only means that they are done later.

use std::sync::Arc;
use std::time::Duration;

use posthuman_assets::{ArchitectureFacts, AssetFacts, Ddo, receipt_name};
use posthuman_chain::Execution;
use posthuman_jobs::break_point::break_point;
use posthuman_jobs::machine::Action;
use posthuman_proofs::{ReceiptFacts, sign_receipt, sign_refusal};
use posthuman_store::{JobRow, OrderRow};
use posthuman_types::{B256, Bytes, JobId, Operation, OrderId, Parameters, Refusal, StartRequest};

use crate::error::{NodeError, OrFault, chain_of_causes};
use crate::node::Node;
use crate::publication::{Birth, Making, ParentModel};

const PAUSE: Duration = Duration::from_secs(5);

impl Node {
    /// Brings finished jobs to their end, until the node stops.
    pub(crate) async fn settlement_loop(self: Arc<Self>) {
        loop {
            if let Err(error) = self.settle_all().await {
                tracing::error!(error = %chain_of_causes(&error), "settling");
            }
            if !self.pause(Some(&self.settle), PAUSE).await {
                return;
            }
        }
    }

    async fn settle_all(&self) -> Result<(), NodeError> {
        // Each step makes the next one due.
        loop {
            let actions = self
                .queue
                .unfinished()
                .await
                .or_fault("listing what is unfinished")?;
            if actions.is_empty() || self.is_stopping() {
                return Ok(());
            }
            // What fails, as the publication of one broken job, keeps nobody else's steps waiting.
            let (due, mut failed) = (actions.len(), 0);
            for action in actions {
                if let Err(error) = self.take_step(action).await {
                    tracing::error!(error = %chain_of_causes(&error), "settling");
                    failed += 1;
                }
            }
            if failed == due {
                return Ok(());
            }
        }
    }

    async fn take_step(&self, action: Action) -> Result<(), NodeError> {
        match action {
            Action::SignReceipt(job) => self.sign(job).await,
            Action::SignRefusal(job) => self.sign_worker_refusal(job).await,
            Action::Publish(job) => self.publish(job).await,
            Action::Settle(order) => self.put_on_chain(order).await,
            _ => Ok(()),
        }
    }

    async fn sign(&self, id: JobId) -> Result<(), NodeError> {
        let (job, order) = self.job_and_order(id).await?;
        let statement = job
            .statement
            .as_ref()
            .ok_or_else(|| NodeError::bug("signing a receipt without a statement"))?;
        let asset = self.store.read().await?.asset(&job.did).await?;
        let nft = asset
            .ok_or_else(|| NodeError::bug("finding the asset of a job"))?
            .nft;
        let request = request_of(&job)?;
        let facts = ReceiptFacts {
            job: job.id,
            asset: job.did.clone(),
            nft,
            order: order.id,
            consumer: order.consumer,
            datatoken: order.datatoken,
            fee_token: order.fee_token,
            fee_amount: order.fee_amount,
            node: self.wallet(),
            request: request.digest(),
            previous: request.previous,
            started_at: job.started_at.unwrap_or(job.created_at),
            finished_at: job.finished_at.unwrap_or(job.updated_at),
        };
        let signer = self.receipt_signer_at(order.block_number).await?.signer();
        let receipt = sign_receipt(facts.receipt(statement), signer).or_fault("signing a receipt")?;
        break_point("settle.receipt_signed");
        let applied = self
            .queue
            .receipted(receipt, self.clock.now_seconds())
            .await
            .or_fault("keeping a receipt")?;
        self.perform(applied.actions).await;
        Ok(())
    }

    async fn sign_worker_refusal(&self, id: JobId) -> Result<(), NodeError> {
        let (job, order) = self.job_and_order(id).await?;
        let refusal = Refusal {
            order: order.id,
            consumer: order.consumer,
            node: self.wallet(),
            request: request_of(&job)?.digest(),
            code: job.failure_code.clone().unwrap_or_default(),
            reason: job.failure_reason.clone().unwrap_or_default(),
            at: job.finished_at.unwrap_or(job.updated_at),
        };
        let signed =
            sign_refusal(refusal, self.options.receipt_signer.signer()).or_fault("signing a refusal")?;
        self.queue
            .refusal_signed(signed, self.clock.now_seconds())
            .await
            .or_fault("keeping a refusal")
    }

    async fn publish(&self, id: JobId) -> Result<(), NodeError> {
        let (job, _) = self.job_and_order(id).await?;
        let birth = self.birth_of(&job).await?;
        let did = self.bear(&birth).await?;
        break_point("publish.indexed");
        let applied = self.queue.published(job.id, &did, self.clock.now_seconds()).await;
        self.perform(applied.or_fault("recording a publication")?.actions)
            .await;
        tracing::info!(job = %job.id, %did, "published");
        Ok(())
    }

    async fn birth_of(&self, job: &JobRow) -> Result<Birth, NodeError> {
        let missing = || NodeError::bug("publishing a model whose job is incomplete");
        let statement = job.statement.as_ref().ok_or_else(missing)?;
        let Ok(Parameters::Train(train)) = Parameters::from_canonical(&statement.parameters) else {
            return Err(missing());
        };
        let asset = self
            .store
            .read()
            .await?
            .asset(&job.did)
            .await?
            .ok_or_else(missing)?;
        let ddo = Ddo::parse(asset.ddo.as_bytes()).or_fault("reading an indexed DDO")?;
        let parent = match ddo.facts().or_fault("reading the facts of an indexed DDO")? {
            Some(AssetFacts::Model(facts)) => Some(ParentModel {
                did: asset.did,
                nft: asset.nft,
                facts: *facts,
            }),
            _ => None,
        };
        let share = train.publication.parent_share_bps;
        let parent_share_bps = match &parent {
            Some(parent) => share.unwrap_or(0).max(parent.facts.parent_share_bps),
            None => share.ok_or_else(missing)?,
        };
        Ok(Birth {
            key: format!("publish:{}", job.id),
            publication: train.publication,
            trainer: job.consumer,
            architecture: self.architecture_of(job)?,
            commitment: statement.commitment_out.clone().ok_or_else(missing)?,
            tokenizer: statement.tokenizer,
            engine: statement.engine.clone(),
            parent_share_bps,
            parent,
            making: Making::Trained {
                job: job.id,
                receipt: job.receipt.ok_or_else(missing)?,
            },
            object: job.result.ok_or_else(missing)?,
            at: job.finished_at.ok_or_else(missing)?,
        })
    }

    /// The shape of a trained model, as its worker wrote it beside the metrics, and what it told besides.
    fn architecture_of(&self, job: &JobRow) -> Result<ArchitectureFacts, NodeError> {
        let metrics = self.read_output(job, "metrics.json")?;
        let metrics: serde_json::Value =
            serde_json::from_slice(&metrics).or_fault("reading the metrics of a training")?;
        let shape: ArchitectureFacts = serde_json::from_value(metrics["architecture"].clone())
            .or_fault("reading the shape of a trained model")?;
        let details = self.engine.details(&job.id);
        Ok(ArchitectureFacts {
            details: details.or_fault("reading what a trained model is")?,
            ..shape
        })
    }

    /// The digest of an order's last receipt goes on the chain.
    async fn put_on_chain(&self, id: OrderId) -> Result<(), NodeError> {
        let order = self.store.read().await?.order(id).await?;
        let order = order.ok_or_else(|| NodeError::bug("finding an order to settle"))?;
        let jobs = self.store.read().await?.jobs_of_order(id).await?;
        let last = jobs.iter().find(|job| job.receipt == Some(order.last_receipt));
        let last = last.ok_or_else(|| NodeError::bug("finding the job of an order's last receipt"))?;
        let transaction = self.attest(&order, last).await?;
        break_point("settle.on_chain");
        let now = self.clock.now_seconds();
        for applied in self
            .queue
            .settled(id, transaction, now)
            .await
            .or_fault("recording a settlement")?
        {
            self.perform(applied.actions).await;
        }
        Ok(())
    }

    async fn attest(&self, order: &OrderRow, job: &JobRow) -> Result<B256, NodeError> {
        let key = format!("settle:{}", order.id);
        let call = if self.chain.is_contract(order.consumer).await? {
            // A contract signs by ERC-1271, which `orderExecuted` cannot check.
            let asset = self.store.read().await?.asset(&order.did).await?;
            let nft = asset
                .ok_or_else(|| NodeError::bug("finding the asset of an order"))?
                .nft;
            let name = receipt_name(&order.id);
            self.chain
                .nft(nft)
                .set_data(&name, posthuman_assets::encode_digest(order.last_receipt))
        } else {
            let execution = Execution {
                order_transaction: order.id.transaction,
                provider_data: Bytes::copy_from_slice(order.last_receipt.as_slice()),
                consumer_data: job.request.clone(),
                consumer_signature: job.request_signature.clone(),
                consumer: order.consumer,
            };
            self.chain
                .datatoken(order.datatoken)
                .order_executed(self.signing_wallet(), &execution)?
        };
        Ok(self.outbox.execute(&key, call).await?.transaction)
    }

    async fn job_and_order(&self, id: JobId) -> Result<(JobRow, OrderRow), NodeError> {
        let mut reader = self.store.read().await?;
        let job = reader
            .job(id)
            .await?
            .ok_or_else(|| NodeError::bug("finding a job"))?;
        let order = reader
            .order(job.order_id)
            .await?
            .ok_or_else(|| NodeError::bug("finding the order of a job"))?;
        Ok((job, order))
    }

    /// Closes sessions that nobody has used for a while.
    pub(crate) async fn close_idle_sessions(&self) -> Result<(), NodeError> {
        let now = self.clock.now_seconds();
        let before = now.saturating_sub(self.options.market.session_seconds);
        let idle = self.store.read().await?.idle_sessions(before).await?;
        for order in idle
            .into_iter()
            .filter(|order| order.operation == Operation::Infer)
        {
            match self.queue.close_session(order.id, now).await {
                Ok(actions) => self.perform(actions).await,
                Err(error) => tracing::debug!(order = %order.id, %error, "an idle session stays open"),
            }
        }
        Ok(())
    }
}

pub(crate) fn request_of(job: &JobRow) -> Result<StartRequest, NodeError> {
    StartRequest::decode(&job.request).ok_or_else(|| NodeError::bug("reading the start request of a job"))
}
