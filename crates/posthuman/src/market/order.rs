//! From a question to a paid order.

use posthuman_chain::MarketFee;
use posthuman_types::api::{Asset, InputReference, OrderState, Quote, QuoteRequest};
use posthuman_types::{Amount, Did, InputManifest, Operation, OrderId, Parameters};

use super::{Event, Listener, Market, Text};
use crate::MarketError;
use crate::error::ForeignFee;

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
    /// Parameters out of range, a precision that the model does not have, the node's own error naming what does not fit, or
    /// an offer that is not what it should be.
    pub async fn quote(&self, work: Work, listener: &mut Listener<'_>) -> Result<Offer, MarketError> {
        work.parameters.check().map_err(MarketError::Parameters)?;
        let asset = self.asset(&work.did).await?;
        check_precision(&asset, &work.parameters)?;
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
    /// An order of somebody else or for something else, one that is used, a fee over `limit`, too little balance, or a
    /// refusal by the chain.
    pub async fn renew(
        &self,
        order: OrderId,
        offer: &Offer,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<(), MarketError> {
        self.check_renewable(order, &offer.quote).await?;
        self.approve_fee(offer, limit, listener).await?;
        let datatoken = self.chain.datatoken(offer.quote.datatoken);
        let call = datatoken.reuse_order(order.transaction, &offer.quote.provider_fee);
        self.send_call(call, listener).await?;
        listener(Event::Ordered(order));
        Ok(())
    }

    /// The contract renews any order for anyone; the node then accepts only what is checked here.
    async fn check_renewable(&self, order: OrderId, quote: &Quote) -> Result<(), MarketError> {
        let wrong = |why: String| {
            let message = format!("order {order} cannot be renewed for this: {why}; nothing was paid");
            Err(MarketError::Input(message))
        };
        let Some(record) = self.chain.order(&order).await? else {
            return wrong("the chain has no such order".to_owned());
        };
        if record.consumer != self.address() {
            return wrong(format!("it is of {}, not of you", record.consumer));
        }
        if record.datatoken != quote.datatoken {
            let (spent, named) = (record.datatoken, quote.datatoken);
            return wrong(format!(
                "it spent a datatoken of {spent}, and the asset's is {named}"
            ));
        }
        if record.service_index != quote.service_index {
            let bought = Operation::from_service_index(record.service_index);
            let bought = bought.map_or("something else", Operation::as_str);
            return wrong(format!("it is for {bought}, not for {}", quote.operation));
        }
        match self.node.order(&order).await {
            Ok(known) if known.state == OrderState::Used => wrong("it is used up".to_owned()),
            Ok(_) => Ok(()),
            // A node knows an order from its first job on.
            Err(MarketError::Node(answer)) if answer.code == "order_not_found" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Allows the datatoken contract exactly the provider's fee, and sees that no other is due.
    async fn approve_fee(
        &self,
        offer: &Offer,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<(), MarketError> {
        let (quote, fee) = (&offer.quote, &offer.quote.provider_fee);
        let what = format!("the provider fee of {} on {}", quote.operation, quote.did);
        self.check_limit(what, fee.token, fee.amount, limit).await?;
        let datatoken = self.chain.datatoken(quote.datatoken);
        let foreign = datatoken.publishing_market_fee().await?;
        if foreign.is_due() {
            return Err(MarketError::MarketFee(Box::new(ForeignFee {
                datatoken: quote.datatoken,
                fee: self.chain.token(foreign.token).amount(foreign.amount).await?,
                receiver: foreign.address,
            })));
        }
        let fund = "get some of it (on a devnet: `posthuman wallet fund`)";
        self.check_balance("the provider fee", fee.token, fee.amount, fund)
            .await?;
        // Not what the datatoken may ask for by now: a fee that came up meanwhile is refused for lack of an allowance.
        let approval = self
            .chain
            .token(fee.token)
            .exact_allowance(self.address(), quote.datatoken, fee.amount.0)
            .await?;
        if let Some(approval) = approval {
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

/// Refuses a precision that the model cannot be computed in, before a text is sent or anything is paid.
pub(crate) fn check_precision(asset: &Asset, parameters: &Parameters) -> Result<(), MarketError> {
    let Some(shape) = &asset.architecture else {
        return Ok(());
    };
    shape.check_precision(parameters).map_err(|reason| {
        let did = &asset.did;
        MarketError::Input(format!("{did} cannot be used so: {reason}; nothing was paid"))
    })
}
