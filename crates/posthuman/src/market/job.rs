//! Starting work on a paid order, so that a crash or a lost answer never pays twice.

use posthuman_types::api::{Asset, InputReference, Job, OrderState, StartJob};
use posthuman_types::{Digest, InputManifest, JobState, Operation, OrderId, StartRequest};

use super::{Event, Listener, Market, Work};
use crate::{Goal, MarketError, Offer};

/// Jobs that are looked through for the one of an order, newest first.
const SEARCH_PAGE: u64 = 100;

/// One request to start, before it has a nonce.
pub(super) struct Start {
    pub order: OrderId,
    pub datatoken: posthuman_types::Address,
    pub operation: Operation,
    pub manifest: InputManifest,
    pub parameters: String,
    pub turn: u64,
    pub previous: Digest,
    pub inputs: Vec<InputReference>,
    pub prompt: Option<String>,
}

impl Market {
    /// Starts what was offered on the order that paid for it.
    ///
    /// # Errors
    /// The node's own error; a refusal carries its signed statement, and the order stays open.
    pub async fn start(
        &self,
        order: OrderId,
        offer: &Offer,
        listener: &mut Listener<'_>,
    ) -> Result<Job, MarketError> {
        let work = &offer.work;
        if let Some(job) = self
            .running(order, 0, &work.manifest(), &work.parameters.to_canonical())
            .await?
        {
            listener(Event::Started(&job));
            return Ok(job);
        }
        let start = Start {
            order,
            datatoken: offer.quote.datatoken,
            operation: work.operation(),
            manifest: work.manifest(),
            parameters: work.parameters.to_canonical(),
            turn: 0,
            previous: Digest::ZERO,
            inputs: offer.inputs.clone(),
            prompt: None,
        };
        self.send_start(&start, listener).await
    }

    /// Goes on with an order that was paid earlier: finds the job that it already runs, or sends the texts again and
    /// starts one. The texts and parameters must be those that were quoted.
    ///
    /// # Errors
    /// As [`Market::start`], or an order that already runs something else.
    pub async fn start_on(
        &self,
        order: OrderId,
        work: &Work,
        listener: &mut Listener<'_>,
    ) -> Result<Job, MarketError> {
        let parameters = work.parameters.to_canonical();
        if let Some(job) = self.running(order, 0, &work.manifest(), &parameters).await? {
            listener(Event::Started(&job));
            return Ok(job);
        }
        let asset: Asset = self.asset(&work.did).await?;
        let inputs = self.upload(&work.texts, listener).await?;
        let start = Start {
            order,
            datatoken: asset.datatoken,
            operation: work.operation(),
            manifest: work.manifest(),
            parameters,
            turn: 0,
            previous: Digest::ZERO,
            inputs,
            prompt: None,
        };
        self.send_start(&start, listener).await
    }

    /// Signs and sends a start. The signed bytes are what is repeated after a lost answer: the node knows them again.
    pub(super) async fn send_start(
        &self,
        start: &Start,
        listener: &mut Listener<'_>,
    ) -> Result<Job, MarketError> {
        let job = self
            .node
            .with_nonce(|nonce| async move {
                let request = StartRequest {
                    order: start.order,
                    datatoken: start.datatoken,
                    operation: start.operation,
                    input: start.manifest.digest(),
                    parameters: start.parameters.clone(),
                    turn: start.turn,
                    previous: start.previous,
                    nonce,
                };
                let signature = self.wallet.sign_message(request.digest().as_slice())?;
                let signature = signature.as_bytes().to_vec().into();
                let (inputs, prompt) = (start.inputs.clone(), start.prompt.clone());
                let expected = request.job_id();
                let job = self
                    .node
                    .start(&StartJob {
                        request,
                        signature,
                        inputs,
                        prompt,
                    })
                    .await?;
                if job.id != expected || job.order != start.order {
                    let detail = format!("job {} on order {} was started", job.id, job.order);
                    return Err(MarketError::Untrue {
                        what: "the started job",
                        detail,
                    });
                }
                Ok(job)
            })
            .await?;
        listener(Event::Started(&job));
        Ok(job)
    }

    /// The job that already runs, or ran, on a turn of an order.
    ///
    /// # Errors
    /// It has other texts or parameters than this call asks for.
    pub(super) async fn running(
        &self,
        order: OrderId,
        turn: u64,
        manifest: &InputManifest,
        parameters: &str,
    ) -> Result<Option<Job>, MarketError> {
        let Some(job) = self.find_job(order, turn).await? else {
            return Ok(None);
        };
        if job.inputs == *manifest && job.parameters == parameters {
            return Ok(Some(job));
        }
        Err(MarketError::Input(format!(
            "order {order} already runs job {} with other texts or parameters; see `posthuman jobs show {}`, \
             or cancel it with `posthuman jobs cancel {}`",
            job.id, job.id, job.id
        )))
    }

    async fn find_job(&self, order: OrderId, turn: u64) -> Result<Option<Job>, MarketError> {
        let mut offset = 0;
        loop {
            let page = self.node.jobs(SEARCH_PAGE, offset).await?;
            let lost = |state| matches!(state, JobState::Failed | JobState::Refused | JobState::Cancelled);
            let count = page.jobs.len() as u64;
            let found = page
                .jobs
                .into_iter()
                .find(|job| job.order == order && job.turn == turn && !lost(job.state));
            offset += count;
            if found.is_some() || count == 0 || offset >= page.total {
                return Ok(found);
            }
        }
    }

    /// Orders and starts work, or goes on with an order, and waits for its result.
    pub(super) async fn run(
        &self,
        work: Work,
        order: Option<OrderId>,
        limit: Option<posthuman_types::Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<Job, MarketError> {
        let goal = Goal::of(work.operation());
        let job = match order {
            Some(order) => self.start_on(order, &work, listener).await?,
            None => {
                let offer = self.quote(work, listener).await?;
                let order = self.order(&offer, limit, listener).await?;
                self.start(order, &offer, listener).await?
            }
        };
        self.wait(job.id, goal, listener).await
    }

    /// Whether an order can still start a job.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn order_state(&self, order: OrderId) -> Result<OrderState, MarketError> {
        Ok(self.node.order(&order).await?.state)
    }
}

/// A job that ended without a result is an error for whoever waited for one.
pub(super) fn with_result(job: Job) -> Result<Job, MarketError> {
    if !matches!(
        job.state,
        JobState::Failed | JobState::Refused | JobState::Cancelled
    ) {
        return Ok(job);
    }
    let (code, message) = match job.failure {
        Some(failure) => (failure.code, failure.message),
        None => ("job_final".to_owned(), "the node gave no reason".to_owned()),
    };
    Err(MarketError::JobEnded {
        job: job.id,
        state: job.state,
        code,
        message,
    })
}
