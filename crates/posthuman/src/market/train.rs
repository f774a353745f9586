//! Training: a text and a model in, a new model on the market out.

use posthuman_types::api::{Asset, Job};
use posthuman_types::{Amount, Did, OrderId, Parameters, SignedReceipt, TrainParameters};

use super::{Listener, Market, Text, Work};
use crate::MarketError;

/// A training that went through.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The job.
    pub job: Job,
    /// The model that it made.
    pub model: Asset,
    /// What the node vouches for.
    pub receipt: SignedReceipt,
}

impl Market {
    /// Trains a model on a text: checks, orders (one datatoken, a fee of at most `limit`), starts, waits until the new
    /// model is on the market. On the blank model it makes one from scratch, in the shape that the parameters give.
    ///
    /// # Errors
    /// What [`Market::quote`], [`Market::order`] and [`Market::start`] refuse, or a job that ended without a result:
    /// then its order stays open, and [`Market::train_on`] goes on with it.
    pub async fn train(
        &self,
        did: &Did,
        texts: Vec<Text>,
        parameters: TrainParameters,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<Trained, MarketError> {
        let work = Work {
            did: did.clone(),
            texts,
            parameters: Parameters::Train(parameters),
        };
        let job = self.run(work, None, limit, listener).await?;
        self.trained(job).await
    }

    /// As [`Market::train`], on an order that was paid earlier; nothing is paid.
    ///
    /// # Errors
    /// As [`Market::start_on`].
    pub async fn train_on(
        &self,
        order: OrderId,
        did: &Did,
        texts: Vec<Text>,
        parameters: TrainParameters,
        listener: &mut Listener<'_>,
    ) -> Result<Trained, MarketError> {
        let work = Work {
            did: did.clone(),
            texts,
            parameters: Parameters::Train(parameters),
        };
        let job = self.run(work, Some(order), None, listener).await?;
        self.trained(job).await
    }

    /// The model and the receipt of a training that went through, checked against each other.
    ///
    /// # Errors
    /// A job that published nothing, or a receipt for other weights than the model's.
    pub async fn trained(&self, job: Job) -> Result<Trained, MarketError> {
        let did = job.published.clone().ok_or_else(|| MarketError::Strange {
            url: self.node.url().to_owned(),
            what: format!("job {}", job.id),
            why: "a published training names no model".to_owned(),
        })?;
        let model = self.asset(&did).await?;
        let receipt = self.receipt(job.id).await?;
        if receipt.receipt.commitment_out != model.commitment {
            let detail = "the receipt names other weights than the data NFT".to_owned();
            return Err(MarketError::Untrue {
                what: "the new model's commitment",
                detail,
            });
        }
        Ok(Trained { job, model, receipt })
    }
}
