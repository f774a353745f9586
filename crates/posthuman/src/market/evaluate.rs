//! Evaluation: a text and a model in, a score out.

use posthuman_types::api::Job;
use posthuman_types::{Amount, Did, EvaluateParameters, OrderId, Parameters, SignedReceipt};
use serde::{Deserialize, Serialize};

use super::{Listener, Market, Text, Work};
use crate::MarketError;

/// Name of the output that holds the score.
pub const OUTPUT: &str = "evaluation.json";

/// An evaluation with its receipt.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The model.
    pub did: Did,
    /// The job.
    pub job: Job,
    /// The score.
    pub output: EvaluationOutput,
    /// What the node vouches for; its output digest covers the score.
    pub receipt: SignedReceipt,
}

/// `evaluation.json`, as the engine writes it. Fields that this version does not know are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationOutput {
    /// Tokens scored.
    pub tokens: u64,
    /// Bytes of text that they stand for.
    pub bytes: u64,
    /// Mean loss, in nats per token.
    pub loss: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// Bits per byte of text: comparable between tokenizers.
    pub bits_per_byte: f64,
    /// Share of tokens that the model ranked first.
    pub accuracy: f64,
    /// Bounds of the bootstrap's 95 % interval of bits per byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<(f64, f64)>,
    /// The pieces of the text that the bootstrap resamples, in order.
    #[serde(default)]
    pub segments: Vec<Segment>,
}

/// The score of one piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its bytes.
    pub bytes: u64,
    /// Its tokens.
    pub tokens: u64,
    /// Sum of the losses of its tokens, in nats.
    pub nats: f64,
    /// Tokens that the model ranked first.
    pub correct: u64,
}

impl Market {
    /// Scores a text with a model: checks, orders (one datatoken, a fee of at most `limit`), starts, waits.
    ///
    /// # Errors
    /// What [`Market::quote`], [`Market::order`] and [`Market::start`] refuse, or a job that ended without a result.
    pub async fn evaluate(
        &self,
        did: &Did,
        text: Text,
        parameters: EvaluateParameters,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<Evaluation, MarketError> {
        let work = Work {
            did: did.clone(),
            texts: vec![text],
            parameters: Parameters::Evaluate(parameters),
        };
        let job = self.run(work, None, limit, listener).await?;
        self.evaluation(did, job).await
    }

    /// As [`Market::evaluate`], on an order that was paid earlier; nothing is paid.
    ///
    /// # Errors
    /// As [`Market::start_on`].
    pub async fn evaluate_on(
        &self,
        order: OrderId,
        did: &Did,
        text: Text,
        parameters: EvaluateParameters,
        listener: &mut Listener<'_>,
    ) -> Result<Evaluation, MarketError> {
        let work = Work {
            did: did.clone(),
            texts: vec![text],
            parameters: Parameters::Evaluate(parameters),
        };
        let job = self.run(work, Some(order), None, listener).await?;
        self.evaluation(did, job).await
    }

    async fn evaluation(&self, did: &Did, job: Job) -> Result<Evaluation, MarketError> {
        let receipt = self.receipt(job.id).await?;
        let bytes = self.receipted_output(&job, &receipt, OUTPUT).await?;
        let output = serde_json::from_slice(&bytes).map_err(|error| MarketError::Strange {
            url: self.node.url().to_owned(),
            what: OUTPUT.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Evaluation {
            did: did.clone(),
            job,
            output,
            receipt,
        })
    }
}
