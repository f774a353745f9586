//! From a question to a paid order.

use posthuman_chain::MarketFee;
use posthuman_types::api::{InputReference, Quote, QuoteRequest};
use posthuman_types::{Amount, Did, InputManifest, Operation, OrderId, Parameters};

use super::{Event, Listener, Market, Text};
use crate::MarketError;

/// What is asked of an asset.
#[derive(Clone, Debug)]
pub struct Work {
    /// The asset.
    pub did: Did,
    /// The texts; none for an inference session, whose prompts come turn by turn.
    pub texts: Vec<Text>,
    /// How.
    pub parameters: Parameters,
}

impl Work {
    /// The operation that the parameters belong to.
    pub fn operation(&self) -> Operation {
        self.parameters.operation()
    }

    /// The texts as receipts and start requests name them.
    pub fn manifest(&self) -> InputManifest {
        InputManifest::new(self.texts.iter().map(Text::describe).collect())
    }
}

/// A quote, checked against the chain and against what was sent.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What was asked.
    pub work: Work,
    /// The uploads that hold the texts.
    pub inputs: Vec<InputReference>,
    /// The node's offer.
    pub quote: Quote,
}

impl Market {
    /// Sends the texts, has the node check them and asks what the work costs. Nothing is paid.
    ///
    /// # Errors
    /// Parameters out of range, the node's own error naming what does not fit, or an offer that is not what it should be.
    pub async fn quote(&self, work: Work, listener: &mut Listener<'_>) -> Result<Offer, MarketError> {
        work.parameters.check().map_err(MarketError::Parameters)?;
        let asset = self.asset(&work.did).await?;
        let inputs = self.upload(&work.texts, listener).await?;
        let request = QuoteRequest {
            did: work.did.clone(),
            operation: work.operation(),
            consumer: self.address(),
            inputs: inputs.clone(),
            parameters: work.parameters.to_canonical(),
        };
        let quote = self.node.quote(&request).await?;
        self.check_quote(&asset, work.operation(), &work.manifest(), &quote)?;
        listener(Event::Quoted(&quote));
        Ok(Offer { work, inputs, quote })
    }

    /// Pays: one whole datatoken and the provider fee of at most `limit`, by exact approvals to the datatoken contract.
    ///
    /// # Errors
    /// A fee over `limit`, too little balance, or a refusal by the chain. After [`posthuman_chain::ChainError::Deadline`]
    /// the order may still be mined: [`Market::orders_in`] reads it from the transaction that the error names.
    pub async fn order(
        &self,
        offer: &Offer,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<OrderId, MarketError> {
        let (quote, fee) = (&offer.quote, &offer.quote.provider_fee);
        let buy = format!("buy one with `posthuman buy {}`", quote.did);
        self.check_balance("the order", quote.datatoken, Amount::tokens(1), &buy)
            .await?;
        self.approve_fee(offer, limit, listener).await?;
        let datatoken = self.chain.datatoken(quote.datatoken);
        let call = datatoken.start_order(self.address(), quote.service_index, fee, &MarketFee::NONE);
        let receipt = self.send_call(call, listener).await?;
        let orders = self.chain.orders_of(&receipt).await?;
        let order = orders.first().ok_or_else(|| MarketError::Strange {
            url: self.chain.url().to_owned(),
            what: format!("transaction {}", receipt.transaction),
            why: "it made no order".to_owned(),
        })?;
        listener(Event::Ordered(order.id));
        Ok(order.id)
    }

    /// Pays a new provider fee of at most `limit` for an order whose own fee does not hold: its quote had ended when the
    /// order was mined, or had paid for another order. The datatoken is not spent again; start on the order afterwards.
    ///
    /// # Errors
    /// A fee over `limit`, too little balance, or a refusal by the chain.
    pub async fn renew(
        &self,
        order: OrderId,
        offer: &Offer,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<(), MarketError> {
        self.approve_fee(offer, limit, listener).await?;
        let datatoken = self.chain.datatoken(offer.quote.datatoken);
        let call = datatoken.reuse_order(order.transaction, &offer.quote.provider_fee);
        self.send_call(call, listener).await?;
        listener(Event::Ordered(order));
        Ok(())
    }

    /// Allows the datatoken contract exactly the fees that are due.
    async fn approve_fee(
        &self,
        offer: &Offer,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<(), MarketError> {
        let (quote, fee) = (&offer.quote, &offer.quote.provider_fee);
        if let Some(limit) = limit
            && fee.amount > limit
        {
            let what = format!("the provider fee of {} on {}", quote.operation, quote.did);
            return Err(MarketError::TooExpensive {
                what,
                cost: fee.amount,
                limit,
            });
        }
        let fund = "get some of it (on a devnet: `posthuman wallet fund`)";
        self.check_balance("the provider fee", fee.token, fee.amount, fund)
            .await?;
        let datatoken = self.chain.datatoken(quote.datatoken);
        for approval in datatoken
            .order_approvals(self.address(), fee, &MarketFee::NONE)
            .await?
        {
            self.send_call(approval, listener).await?;
        }
        Ok(())
    }

    /// The orders that a transaction made, for whoever lost the answer.
    ///
    /// # Errors
    /// No answer of the chain.
    pub async fn orders_in(&self, transaction: posthuman_types::B256) -> Result<Vec<OrderId>, MarketError> {
        let orders = self.chain.orders_in(transaction).await?;
        Ok(orders.into_iter().map(|order| order.id).collect())
    }

    pub(super) async fn upload(
        &self,
        texts: &[Text],
        listener: &mut Listener<'_>,
    ) -> Result<Vec<InputReference>, MarketError> {
        let mut inputs = Vec::with_capacity(texts.len());
        for text in texts {
            let name = text.name;
            let mut progress = |sent, total| listener(Event::Uploading { name, sent, total });
            let upload = self
                .node
                .upload_bytes(name, text.bytes.clone(), &mut progress)
                .await?;
            inputs.push(InputReference {
                name: name.to_owned(),
                upload: upload.id,
            });
        }
        Ok(inputs)
    }
}
