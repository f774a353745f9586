//! Admission: is the order paid, here, for this, by this consumer, and fresh?
//!
//! The contracts check neither who signed a provider fee nor until when it holds, so everything is checked here against
//! the chain's own logs. Whoever paid and is turned away gets a signed refusal, and the order stays open.

mod turned;

use alloy_primitives::eip191_hash_message;
use posthuman_chain::{OrderRecord, provider_fee_signer};
use posthuman_jobs::JobsError;
use posthuman_jobs::machine::Action;
use posthuman_jobs::queue::{Admitted, NewJob};
use posthuman_store::OrderRow;
use posthuman_types::api::{Job, OrderState, StartJob};
use posthuman_types::order::QuoteBinding;
use posthuman_types::{Address, Digest, JobSpec, Limits, Operation, OrderId, U256};

use crate::error::{ErrorCode, NodeError};
use crate::inputs::StagedInputs;
use crate::node::Node;
use crate::offers::Offer;

pub(crate) use turned::admission_error;

const WHOLE_DATATOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

type Turned = (ErrorCode, String);

impl Node {
    /// Starts a job on a paid order. The same request gives the same job.
    pub(crate) async fn start(&self, start: StartJob) -> Result<Job, NodeError> {
        let request = &start.request;
        if request.order.chain_id != self.chain.id() {
            let message = format!(
                "The order {} is on chain {}; this node works on chain {}.",
                request.order,
                request.order.chain_id,
                self.chain.id()
            );
            return Err(NodeError::rejected(ErrorCode::WrongChain, message));
        }
        let record = self.chain.order(&request.order).await?.ok_or_else(|| {
            let message = format!(
                "Transaction {} holds no order at log {}, or is not mined yet.",
                request.order.transaction, request.order.log_index
            );
            NodeError::rejected(ErrorCode::OrderNotFound, message)
        })?;
        let signed = eip191_hash_message(request.digest());
        self.check_signature(record.consumer, signed, &start.signature)
            .await?;
        let known = self.store.read().await?.job(request.job_id()).await?;
        if let Some(job) = known {
            return self.job_view(job).await;
        }
        match self.admit(&start, &record).await {
            Ok(job) => {
                self.wake.notify_waiters();
                Ok(job)
            }
            Err(NodeError::Rejected { code, message }) => {
                Err(self.turn_away(&start, &record, code, message).await?)
            }
            Err(error) => Err(error),
        }
    }

    async fn admit(&self, start: &StartJob, record: &OrderRecord) -> Result<Job, NodeError> {
        let request = &start.request;
        let turned = |(code, message): Turned| NodeError::rejected(code, message);
        check_order(start, record).map_err(turned)?;
        self.check_unused(record.id).await?;
        let asset = self
            .store
            .read()
            .await?
            .asset_of_datatoken(self.chain.id(), record.datatoken)
            .await?;
        let asset = asset.ok_or_else(|| {
            let message = format!("Datatoken {} belongs to no asset of this node.", record.datatoken);
            NodeError::rejected(ErrorCode::OrderForAnotherAsset, message)
        })?;
        let offer = self.offer_of(asset, request.operation).await?;
        let order = self.paid_order(&offer, record).await?;
        self.parameters(&offer, request.operation, &request.parameters)?;
        let inputs = self.inputs_of(start, record.consumer).await?;
        let prompt = inputs.objects.first().map(|input| input.object);
        let admitted = self.queue_job(start, &offer, &order, inputs).await;
        let queued = admitted.as_ref().is_ok_and(|admitted| admitted.new);
        if let Some(prompt) = prompt.filter(|_| request.operation == Operation::Infer && !queued) {
            // It was sealed just now, for this request alone.
            self.perform(vec![Action::DropObject(prompt)]).await;
        }
        let admitted = admitted?;
        self.perform(admitted.actions).await;
        self.job_view(admitted.job).await
    }

    /// An order that is known as used up costs no further look at the chain and seals no prompt.
    async fn check_unused(&self, order: OrderId) -> Result<(), NodeError> {
        let known = self.store.read().await?.order(order).await?;
        if known.is_some_and(|known| known.state == OrderState::Used) {
            return Err(admission_error(JobsError::OrderUsed { order }));
        }
        Ok(())
    }

    async fn queue_job(
        &self,
        start: &StartJob,
        offer: &Offer,
        order: &OrderRow,
        inputs: StagedInputs,
    ) -> Result<Admitted, NodeError> {
        if inputs.manifest.digest() != start.request.input {
            let message = "The inputs are not those whose digest the start request signs.".to_owned();
            return Err(NodeError::rejected(ErrorCode::InputMismatch, message));
        }
        let new = self.new_job(start, offer, inputs);
        let admitted = self.queue.admit(order, new, self.clock.now_seconds()).await;
        admitted.map_err(admission_error)
    }

    fn new_job(&self, start: &StartJob, offer: &Offer, inputs: StagedInputs) -> NewJob {
        let request = start.request.clone();
        let spec = JobSpec {
            version: 1,
            job_id: request.job_id(),
            operation: request.operation,
            parameters: request.parameters.clone(),
            inputs: inputs.manifest,
            commitment: offer.commitment().cloned(),
            engine: None,
            threads: self.options.work.threads,
            limits: self.worker_limits(),
        };
        let model = offer.model.as_ref().map(|model| model.object);
        NewJob {
            request,
            signature: start.signature.clone(),
            spec,
            inputs: inputs.objects,
            model,
        }
    }

    pub(crate) fn worker_limits(&self) -> Limits {
        let work = &self.options.work;
        Limits {
            memory_bytes: work.memory_bytes,
            cpu_seconds: work.cpu_seconds,
        }
    }

    async fn inputs_of(&self, start: &StartJob, consumer: Address) -> Result<StagedInputs, NodeError> {
        let limit = self.options.market.limits.prompt_bytes;
        match (start.request.operation, &start.prompt) {
            (Operation::Infer, Some(prompt)) if prompt.len() as u64 <= limit => {
                self.stage_prompt(prompt).await
            }
            (Operation::Infer, Some(prompt)) => {
                let message = format!(
                    "The prompt has {} bytes; this node takes at most {limit}.",
                    prompt.len()
                );
                Err(NodeError::rejected(ErrorCode::TextTooLarge, message))
            }
            (Operation::Infer, None) => Err(NodeError::rejected(
                ErrorCode::TextMissing,
                "A turn of inference needs a `prompt`.",
            )),
            (operation, _) => self.staged_inputs(consumer, operation, &start.inputs).await,
        }
    }

    /// The order with the fee that was paid for it: its own, or that of a later renewal where its own does not hold.
    async fn paid_order(&self, offer: &Offer, record: &OrderRecord) -> Result<OrderRow, NodeError> {
        let first = self.order_with_fee(offer, record).await;
        if !matches!(first, Err(NodeError::Rejected { .. })) {
            return first;
        }
        let datatoken = self.chain.datatoken(record.datatoken);
        for renewal in datatoken
            .renewals(record.id.transaction, record.block_number)
            .await?
            .into_iter()
            .rev()
        {
            let renewed = OrderRecord {
                provider_fee: Some(renewal.fee),
                block_timestamp: renewal.block_timestamp,
                ..record.clone()
            };
            if let Ok(order) = self.order_with_fee(offer, &renewed).await {
                return Ok(OrderRow {
                    block_timestamp: record.block_timestamp,
                    ..order
                });
            }
        }
        first
    }

    async fn order_with_fee(&self, offer: &Offer, record: &OrderRecord) -> Result<OrderRow, NodeError> {
        let binding = self
            .check_fee(record)
            .map_err(|(code, message)| NodeError::rejected(code, message))?;
        self.order_row(offer, record, &binding).await
    }

    /// The provider fee must be this node's own, as signed, for this very order.
    fn check_fee(&self, record: &OrderRecord) -> Result<QuoteBinding, Turned> {
        let order = record.id;
        let fee = record.provider_fee.as_ref();
        let fee = fee.ok_or_else(|| {
            (
                ErrorCode::FeeMissing,
                format!("Order {order} carries no provider fee."),
            )
        })?;
        if fee.address != self.wallet() {
            let message = format!(
                "The provider fee of order {order} went to {}, not to this node.",
                fee.address
            );
            return Err((ErrorCode::OrderNotPaidHere, message));
        }
        let mismatch = |why: &str| {
            (
                ErrorCode::FeeMismatch,
                format!("The provider fee of order {order} {why}."),
            )
        };
        if provider_fee_signer(fee) != Some(self.wallet()) {
            return Err(mismatch("is not signed by this node"));
        }
        let binding =
            QuoteBinding::decode(&fee.provider_data).ok_or_else(|| mismatch("is bound to no quote"))?;
        let service = Operation::from_service_index(record.service_index);
        let bound = binding.consumer == record.consumer
            && binding.datatoken == record.datatoken
            && Some(binding.operation) == service
            && binding.chain_id == self.chain.id();
        if !bound {
            return Err(mismatch(
                "was quoted for another consumer, datatoken, service or chain",
            ));
        }
        if record.block_timestamp > fee.valid_until {
            let message = format!(
                "Order {order} was mined at {}, after its quote ended at {}.",
                record.block_timestamp, fee.valid_until
            );
            return Err((ErrorCode::FeeExpired, message));
        }
        Ok(binding)
    }

    async fn order_row(
        &self,
        offer: &Offer,
        record: &OrderRecord,
        binding: &QuoteBinding,
    ) -> Result<OrderRow, NodeError> {
        let mismatch = |why: &str| {
            let message = format!("The provider fee of order {} {why}.", record.id);
            NodeError::rejected(ErrorCode::FeeMismatch, message)
        };
        let fee = record
            .provider_fee
            .as_ref()
            .ok_or_else(|| mismatch("is missing"))?;
        let mut reader = self.store.read().await?;
        let quote = reader
            .quote(binding.quote)
            .await?
            .ok_or_else(|| mismatch("names a quote that this node does not know"))?;
        if let Some(other) = reader
            .order_of_quote(quote.id)
            .await?
            .filter(|other| other.id != record.id)
        {
            let message = format!(
                "The quote of order {} already paid for order {}.",
                record.id, other.id
            );
            return Err(NodeError::rejected(ErrorCode::FeeReplayed, message));
        }
        if quote.fee_token != fee.token || quote.fee_amount != fee.amount {
            return Err(mismatch("is not the quoted amount"));
        }
        Ok(OrderRow {
            id: record.id,
            block_number: record.block_number,
            block_timestamp: record.block_timestamp,
            did: offer.row.did.clone(),
            datatoken: record.datatoken,
            operation: binding.operation,
            consumer: record.consumer,
            payer: record.payer,
            fee_token: fee.token,
            fee_amount: fee.amount,
            quote_id: quote.id,
            state: OrderState::Open,
            allowance: quote.allowance,
            used_tokens: 0,
            next_turn: 0,
            last_receipt: Digest::ZERO,
            closed_at: None,
            settled_transaction: None,
        })
    }
}

/// What the order itself must say.
fn check_order(start: &StartJob, record: &OrderRecord) -> Result<(), Turned> {
    let request = &start.request;
    if request.datatoken != record.datatoken {
        let message = format!(
            "Order {} spent datatoken {}, not {}.",
            record.id, record.datatoken, request.datatoken
        );
        return Err((ErrorCode::OrderForAnotherAsset, message));
    }
    if request.operation.service_index() != record.service_index {
        let message = format!(
            "Order {} is on service {}; {} is service {}.",
            record.id,
            record.service_index,
            request.operation,
            request.operation.service_index()
        );
        return Err((ErrorCode::OrderForAnotherOperation, message));
    }
    if record.amount < WHOLE_DATATOKEN {
        let message = format!(
            "Order {} spent {} base units, less than one datatoken.",
            record.id, record.amount
        );
        return Err((ErrorCode::OrderNotPaidHere, message));
    }
    Ok(())
}
