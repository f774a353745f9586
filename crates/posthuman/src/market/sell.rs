//! Selling and sending datatokens that one holds.

use posthuman_chain::FixedRate;
use posthuman_types::api::{OpenSale, Sale};
use posthuman_types::{Address, Amount, B256, Did};
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
}

impl Market {
    /// Asks the node for the exchange on which the user sells datatokens of an asset, at `price` base units of the base
    /// token for a whole one, and checks it on the chain. Nothing can be taken yet.
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
                exchange.datatoken, exchange.rate
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
        })
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
        let call = self.chain.token(asset.datatoken).transfer(to, datatokens.0);
        Ok(self.send_call(call, listener).await?.transaction)
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
