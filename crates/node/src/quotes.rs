//! Quotes: what a job would cost, checked on the consumer's own text before anything is paid.

use std::time::Duration;

use posthuman_chain::sign_provider_fee;
use posthuman_jobs::engine::local::{CheckSpec, Launch, Outcome, Task};
use posthuman_store::QuoteRow;
use posthuman_types::api::{Quote, QuoteRequest};
use posthuman_types::order::QuoteBinding;
use posthuman_types::{Address, Amount, InputManifest, Operation, QuoteId, U256};

use crate::error::{ErrorCode, NodeError};
use crate::inputs::StagedInputs;
use crate::node::Node;
use crate::offers::Offer;
use crate::unpaid::refused;

/// How long a text may be checked.
const CHECK_DEADLINE: Duration = Duration::from_secs(300);

struct Counted {
    tokens: u64,
    input_tokens: Vec<(String, u64)>,
}

impl Node {
    /// Answers a request for a quote.
    pub(crate) async fn quote(&self, caller: Address, request: QuoteRequest) -> Result<Quote, NodeError> {
        if caller != request.consumer {
            let message = format!(
                "You are signed in as {caller}; a quote for {} needs its own sign-in.",
                request.consumer
            );
            return Err(NodeError::rejected(ErrorCode::NotTheConsumer, message));
        }
        let offer = self.offer(&request.did, request.operation).await?;
        self.parameters(&offer, request.operation, &request.parameters)?;
        let inputs = match request.operation {
            Operation::Infer => StagedInputs {
                manifest: InputManifest::default(),
                objects: Vec::new(),
            },
            operation => self.staged_inputs(caller, operation, &request.inputs).await?,
        };
        let allowance = offer.allowances.of(request.operation);
        let counted = self.count(&offer, &request, &inputs).await?;
        self.offer_quote(&offer, &request, &inputs, counted, allowance)
            .await
    }

    async fn count(
        &self,
        offer: &Offer,
        request: &QuoteRequest,
        inputs: &StagedInputs,
    ) -> Result<Counted, NodeError> {
        let allowance = offer.allowances.of(request.operation);
        if request.operation == Operation::Infer {
            return Ok(Counted {
                tokens: allowance,
                input_tokens: Vec::new(),
            });
        }
        let check = CheckSpec {
            operation: request.operation,
            parameters: request.parameters.clone(),
            inputs: inputs.manifest.clone(),
            commitment: offer.commitment().cloned(),
            threads: self.options.work.threads,
            limits: self.worker_limits(),
        };
        let launch = Launch {
            task: Task::Check(check),
            model: offer.model.as_ref().map(|model| model.object),
            inputs: inputs.stage(),
            checkpoint: None,
            checkpoint_every: 0,
            allowance: Some(allowance),
            deadline: Some(self.options.work.deadline.min(CHECK_DEADLINE)),
        };
        let Outcome::Checked(checked) = self.run_unpaid(launch).await? else {
            return Err(NodeError::bug("checking an input: the worker did something else"));
        };
        if let Some((code, reason)) = checked.refusal {
            return Err(refused(code.as_str(), reason));
        }
        let mut input_tokens = vec![("text".to_owned(), checked.tokens)];
        if inputs.manifest.get("held_out").is_some() {
            input_tokens.push(("held_out".to_owned(), checked.held_out_tokens));
        }
        Ok(Counted {
            tokens: checked.counted,
            input_tokens,
        })
    }

    async fn offer_quote(
        &self,
        offer: &Offer,
        request: &QuoteRequest,
        inputs: &StagedInputs,
        counted: Counted,
        allowance: u64,
    ) -> Result<Quote, NodeError> {
        let now = self.chain_time().await?;
        let valid_until = now + self.options.market.limits.quote_seconds;
        let (id, operation) = (QuoteId(rand::random()), request.operation);
        let amount = self.fee(operation, counted.tokens);
        let binding = QuoteBinding {
            quote: id,
            consumer: request.consumer,
            datatoken: offer.row.datatoken,
            operation,
            chain_id: self.chain.id(),
        };
        let token = self.chain.address_book().ocean;
        let fee = sign_provider_fee(
            self.signing_wallet(),
            token,
            amount,
            valid_until,
            binding.encode(),
        )?;
        let row = QuoteRow {
            id,
            consumer: request.consumer,
            did: request.did.clone(),
            datatoken: offer.row.datatoken,
            operation,
            input: inputs.manifest.digest(),
            parameters: request.parameters.clone(),
            tokens: counted.tokens,
            // What was paid for is what the order allows.
            allowance: counted.tokens,
            fee_token: token,
            fee_amount: amount,
            valid_until,
            created_at: now,
        };
        let mut transaction = self.store.begin().await?;
        transaction.insert_quote(&row).await?;
        transaction.commit().await?;
        Ok(Quote {
            id,
            did: request.did.clone(),
            operation,
            datatoken: offer.row.datatoken,
            service_index: operation.service_index(),
            tokens: counted.tokens,
            allowance,
            input_tokens: counted.input_tokens,
            inputs: inputs.manifest.clone(),
            input: inputs.manifest.digest(),
            provider_fee: fee,
        })
    }

    /// Whether a quote holds is judged by the time of blocks, which may run ahead of this machine's clock.
    async fn chain_time(&self) -> Result<u64, NodeError> {
        let newest = self.chain.block_number().await?;
        let block = self.chain.block_timestamp(newest).await?.unwrap_or_default();
        Ok(block.max(self.clock.now_seconds()))
    }

    /// The fee of that many tokens: the price per 1,000, rounded up, and never below one unit.
    fn fee(&self, operation: Operation, tokens: u64) -> Amount {
        let fees = &self.options.market.fees;
        let price = match operation {
            Operation::Train => fees.train,
            Operation::Infer => fees.infer,
            Operation::Evaluate => fees.evaluate,
        };
        let amount = price
            .0
            .saturating_mul(U256::from(tokens))
            .div_ceil(U256::from(1000));
        Amount(amount.max(U256::ONE))
    }
}
