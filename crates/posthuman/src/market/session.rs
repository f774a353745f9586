//! Inference: one order, many turns, one chain of receipts.

use posthuman_types::api::{Job, Order, OrderState};
use posthuman_types::{
    Amount, Did, Digest, InferParameters, Input, InputManifest, Operation, OrderId, Parameters, Progress,
    SignedReceipt,
};

use super::job::Start;
use super::{Event, Listener, Market, Work};
use crate::{Goal, MarketError};

/// Name of the output that holds the answer.
const ANSWER: &str = "text.txt";

/// An open inference session. Turns are asked one after another; each prompt stands for itself.
#[derive(Debug)]
pub struct Session<'a> {
    market: &'a Market,
    did: Did,
    datatoken: posthuman_types::Address,
    order: OrderId,
    allowance: u64,
    used: u64,
    turn: u64,
    previous: Digest,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The text generated.
    pub text: String,
    /// The job.
    pub job: Job,
    /// What the node vouches for.
    pub receipt: SignedReceipt,
}

/// A closed session.
#[derive(Clone, Debug)]
pub struct SessionEnd {
    /// The order as it then stands.
    pub order: Order,
    /// All receipts, in order of turns.
    pub receipts: Vec<SignedReceipt>,
}

impl Market {
    /// Pays for an inference session on a model: one datatoken and a fee of at most `limit`.
    ///
    /// # Errors
    /// What [`Market::quote`] and [`Market::order`] refuse.
    pub async fn session(
        &self,
        did: &Did,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<Session<'_>, MarketError> {
        let work = Work {
            did: did.clone(),
            texts: Vec::new(),
            parameters: session_parameters(),
        };
        let offer = self.quote(work, listener).await?;
        let order = self.order(&offer, limit, listener).await?;
        Ok(Session {
            market: self,
            did: did.clone(),
            datatoken: offer.quote.datatoken,
            order,
            allowance: offer.quote.allowance,
            used: 0,
            turn: 0,
            previous: Digest::ZERO,
        })
    }

    /// Goes on with a session that was paid earlier, where it stopped.
    ///
    /// # Errors
    /// The node's own error, an order of another model or operation, or one that is used up.
    pub async fn session_on(&self, did: &Did, order: OrderId) -> Result<Session<'_>, MarketError> {
        let asset = self.asset(did).await?;
        let (mut turn, mut previous, mut used) = (0, Digest::ZERO, 0);
        let mut allowance = asset.allowances.map_or(0, |allowances| allowances.infer);
        match self.node.order(&order).await {
            Ok(state) if state.did != *did || state.operation != Operation::Infer => {
                let message = format!(
                    "order {order} is for {} of {}, not for inference of {did}",
                    state.operation, state.did
                );
                return Err(MarketError::Input(message));
            }
            Ok(state) if state.state == OrderState::Used => {
                let message = format!(
                    "the session of order {order} is closed; order another with `posthuman infer {did}`"
                );
                return Err(MarketError::Input(message));
            }
            Ok(state) => {
                (turn, previous, used, allowance) = (
                    state.next_turn,
                    state.last_receipt,
                    state.used_tokens,
                    state.allowance,
                );
            }
            // Before its first turn a node may know nothing of an order but what the chain says.
            Err(MarketError::Node(answer)) if answer.code == "order_not_found" => {}
            Err(error) => return Err(error),
        }
        Ok(Session {
            market: self,
            did: did.clone(),
            datatoken: asset.datatoken,
            order,
            allowance,
            used,
            turn,
            previous,
        })
    }
}

/// A session is quoted for its whole allowance; each turn brings its own parameters.
pub(crate) fn session_parameters() -> Parameters {
    Parameters::Infer(InferParameters {
        maximum_tokens: 1,
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 0,
        chat: false,
    })
}

impl Session<'_> {
    /// The order that pays. With it [`Market::session_on`] goes on after a crash.
    pub fn order(&self) -> OrderId {
        self.order
    }

    /// The model.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// Tokens of prompts and answers that are left.
    pub fn tokens_left(&self) -> u64 {
        self.allowance.saturating_sub(self.used)
    }

    /// Continues a prompt. `on_text` hears the answer piece by piece; the whole of it is in the turn.
    ///
    /// After a crash the same prompt and parameters on [`Market::session_on`] give the answer that was already made.
    ///
    /// # Errors
    /// The node's own error, such as a prompt that exceeds the context or the allowance, or a job without a result.
    pub async fn say(
        &mut self,
        prompt: &str,
        parameters: InferParameters,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Turn, MarketError> {
        let parameters = Parameters::Infer(parameters);
        parameters.check().map_err(MarketError::Parameters)?;
        let manifest = InputManifest::new(vec![Input::describe("prompt", prompt.as_bytes())]);
        let canonical = parameters.to_canonical();
        let mut listener = |event: Event<'_>| {
            if let Event::Job(event) = event
                && let Some(Progress::Text { text, .. }) = &event.progress
            {
                on_text(text);
            }
        };
        let market = self.market;
        let job = match market
            .running(self.order, self.turn, &manifest, &canonical)
            .await?
        {
            Some(job) => job,
            None => self.start(prompt, manifest, canonical, &mut listener).await?,
        };
        let job = market.wait(job.id, Goal::Receipted, &mut listener).await?;
        let receipt = market.receipt(job.id).await?;
        let answer = market.receipted_output(&job, &receipt, ANSWER).await?;
        self.turn += 1;
        self.previous = receipt.receipt.digest();
        self.used += receipt.receipt.usage.counted(Operation::Infer);
        Ok(Turn {
            text: String::from_utf8_lossy(&answer).into_owned(),
            job,
            receipt,
        })
    }

    /// Ends the session: the digest of its last receipt goes on the chain, and what is left of the allowance is gone.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn close(self) -> Result<SessionEnd, MarketError> {
        let order = self.market.node.close(&self.order).await?;
        let receipts = self.market.node.receipts(&self.order).await?;
        Ok(SessionEnd { order, receipts })
    }

    async fn start(
        &self,
        prompt: &str,
        manifest: InputManifest,
        parameters: String,
        listener: &mut Listener<'_>,
    ) -> Result<Job, MarketError> {
        let start = Start {
            order: self.order,
            datatoken: self.datatoken,
            operation: Operation::Infer,
            manifest,
            parameters,
            turn: self.turn,
            previous: self.previous,
            inputs: Vec::new(),
            prompt: Some(prompt.to_owned()),
        };
        self.market.send_start(&start, listener).await
    }
}
