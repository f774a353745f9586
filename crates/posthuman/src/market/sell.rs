//! Selling and sending datatokens that one holds.

use posthuman_chain::FixedRate;
use posthuman_types::api::{OpenSale, Sale};
use posthuman_types::{Address, Amount, B256, Did, U256};
use serde::Serialize;

use super::{Listener, Market};
use crate::MarketError;

/// Datatokens that are for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selling {
    /// The exchange.
    pub sale: Sale,
    /// How many the exchange may now take from the seller, in base units.
    pub offered: Amount,
    /// The price of the same exchange until now, if it was another.
    pub former_price: Option<Amount>,
}

impl Market {
    /// Asks the node for the exchange on which the user sells datatokens of an asset, at `price` base units of the base
    /// token for a whole one, and checks it on the chain. An exchange of the user's at another price gets this one.
    /// Nothing more can be taken yet.
    ///
    /// # Errors
    /// The node's own error, or an exchange that is not what was asked for.
    pub async fn open_sale(&self, did: &Did, price: Amount) -> Result<Sale, MarketError> {
        let asset = self.asset(did).await?;
        let sale = self
            .node
            .open_sale(&OpenSale {
                did: did.clone(),
                price,
            })
            .await?;
        let untrue = |detail: String| MarketError::Untrue {
            what: "the sale",
            detail,
        };
        let resale = self.chain.address_book().resale()?;
        if sale.contract != resale
            || sale.exchange != FixedRate::exchange_id(sale.base_token, asset.datatoken)
        {
            return Err(untrue(format!(
                "exchange {} of {} is not the resale of {did}",
                sale.exchange, sale.contract
            )));
        }
        let Some(exchange) = self.chain.fixed_rate_at(resale).exchange(sale.exchange).await? else {
            return Err(untrue(format!("there is no exchange {}", sale.exchange)));
        };
        if exchange.owner != self.address() {
            return Err(untrue(format!(
                "it sells for {}, not for {}",
                exchange.owner,
                self.address()
            )));
        }
        if exchange.datatoken != asset.datatoken || exchange.rate != price.0 || exchange.with_mint {
            return Err(untrue(format!(
                "it sells {} at {}",
                exchange.datatoken,
                Amount(exchange.rate).display_tokens(18)
            )));
        }
        Ok(sale)
    }

    /// Offers exactly `datatokens` base units for sale. The proceeds go to the datatoken's payment collector, so that
    /// the ancestors are paid too.
    ///
    /// # Errors
    /// As [`Market::open_sale`], or too small a balance.
    pub async fn sell(
        &self,
        did: &Did,
        datatokens: Amount,
        price: Amount,
        listener: &mut Listener<'_>,
    ) -> Result<Selling, MarketError> {
        let resale = self.chain.resale()?;
        let asset = self.asset(did).await?;
        let id = FixedRate::exchange_id(self.chain.address_book().ocean, asset.datatoken);
        let before = resale.exchange(id).await?;
        let former_price = before
            .filter(|exchange| exchange.owner == self.address() && exchange.rate != price.0)
            .map(|exchange| Amount(exchange.rate));
        let sale = self.open_sale(did, price).await?;
        self.check_balance(
            "the sale",
            sale.datatoken,
            datatokens,
            "offer no more than you hold",
        )
        .await?;
        let token = self.chain.token(sale.datatoken);
        if let Some(approval) = token
            .exact_allowance(self.address(), sale.contract, datatokens.0)
            .await?
        {
            self.send_call(approval, listener).await?;
        }
        Ok(Selling {
            sale,
            offered: datatokens,
            former_price,
        })
    }

    /// Takes an offer back: the exchange may take nothing any more. Tells whether there was anything to take back.
    ///
    /// # Errors
    /// No answer, or a refusal by the chain.
    pub async fn withdraw_sale(&self, did: &Did, listener: &mut Listener<'_>) -> Result<bool, MarketError> {
        let asset = self.asset(did).await?;
        let contract = self.chain.address_book().resale()?;
        let token = self.chain.token(asset.datatoken);
        let approval = token
            .exact_allowance(self.address(), contract, U256::ZERO)
            .await?;
        let Some(approval) = approval else {
            return Ok(false);
        };
        let label = format!("withdrawing the offer of datatokens of {did}");
        self.send_call(approval.with_label(label), listener).await?;
        Ok(true)
    }

    /// Gives datatokens away.
    ///
    /// # Errors
    /// Too small a balance, or a refusal by the chain.
    pub async fn send(
        &self,
        did: &Did,
        datatokens: Amount,
        to: Address,
        listener: &mut Listener<'_>,
    ) -> Result<B256, MarketError> {
        let asset = self.asset(did).await?;
        self.check_balance(
            "the transfer",
            asset.datatoken,
            datatokens,
            "send no more than you hold",
        )
        .await?;
        let token = self.chain.token(asset.datatoken);
        let shown = token.amount(datatokens.0).await?;
        let call = token.transfer(to, datatokens.0);
        let call = call.with_label(format!("sending {shown} to {to}"));
        Ok(self.send_call(call, listener).await?.transaction)
    }

    /// Refuses unless the user holds a datatoken for each of so many orders.
    ///
    /// # Errors
    /// Too small a balance, the node's own error, or no answer.
    pub async fn check_holding(&self, did: &Did, orders: u64) -> Result<(), MarketError> {
        let asset = self.asset(did).await?;
        let buy = format!("buy what is missing with `posthuman buy {did}`; nothing was paid");
        self.check_balance("the work", asset.datatoken, Amount::tokens(orders), &buy)
            .await
    }

    /// What the user holds of an asset's datatoken, in base units.
    ///
    /// # Errors
    /// The node's own error, or no answer.
    pub async fn holding(&self, did: &Did) -> Result<Amount, MarketError> {
        let asset = self.asset(did).await?;
        Ok(Amount(
            self.chain
                .token(asset.datatoken)
                .balance_of(self.address())
                .await?,
        ))
    }
}
