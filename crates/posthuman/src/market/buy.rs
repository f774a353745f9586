//! Buying datatokens from whoever sells them.

use posthuman_chain::ConsumeMarket;
use posthuman_types::api::{Asset, Price};
use posthuman_types::{Address, Amount, B256, Did, U256};
use serde::Serialize;

use super::{Event, Listener, Market};
use crate::MarketError;
use crate::error::{Excess, Shortage};

/// Datatokens that were bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Purchase {
    /// The asset.
    pub did: Did,
    /// Its datatoken.
    pub datatoken: Address,
    /// How many, in base units.
    pub amount: Amount,
    /// The exchange contract.
    pub contract: Address,
    /// The exchange's id in it.
    pub exchange: B256,
    /// Who sold: the exchange's owner.
    pub seller: Address,
    /// Token of the price.
    pub base_token: Address,
    /// What was paid in all, in base units of the base token.
    pub paid: Amount,
    /// The community's part of it.
    pub community_fee: Amount,
    /// The publishing market's part of it.
    pub market_fee: Amount,
    /// The transaction that bought.
    pub transaction: B256,
}

impl Market {
    /// Buys `datatokens` base units of an asset's datatoken where they are cheapest now, for at most `limit` with fees.
    ///
    /// The exchange may take exactly the price; a price that rises in between is refused by the contract.
    ///
    /// # Errors
    /// Nobody sells that many, it costs more than `limit`, too little balance, or a refusal by the chain.
    pub async fn buy(
        &self,
        did: &Did,
        datatokens: Amount,
        limit: Option<Amount>,
        listener: &mut Listener<'_>,
    ) -> Result<Purchase, MarketError> {
        let asset = self.asset(did).await?;
        let (price, quote) = self.cheapest(&asset, datatokens).await?;
        let total = Amount(quote.total);
        let what = format!("{} of the datatokens of {did}", datatokens.display_tokens(18));
        self.check_limit(what, price.base_token, total, limit).await?;
        self.check_balance(
            "the purchase",
            price.base_token,
            total,
            "get some of it (on a devnet: `posthuman wallet fund`)",
        )
        .await?;
        let contract = self.chain.fixed_rate_at(price.contract);
        let token = self.chain.token(price.base_token);
        if let Some(approval) = token
            .exact_allowance(self.address(), price.contract, total.0)
            .await?
        {
            self.send_call(approval, listener).await?;
        }
        let call = contract.buy(price.exchange, datatokens.0, total.0, ConsumeMarket::default());
        let receipt = self.send_call(call, listener).await?;
        Ok(Purchase {
            did: did.clone(),
            datatoken: asset.datatoken,
            amount: datatokens,
            contract: price.contract,
            exchange: price.exchange,
            seller: price.owner,
            base_token: price.base_token,
            paid: total,
            community_fee: Amount(quote.community_fee),
            market_fee: Amount(quote.market_fee),
            transaction: receipt.transaction,
        })
    }

    /// What `datatokens` base units cost now where they are cheapest, with all fees.
    ///
    /// # Errors
    /// Nobody sells that many, or no answer.
    pub async fn price(&self, did: &Did, datatokens: Amount) -> Result<Amount, MarketError> {
        let asset = self.asset(did).await?;
        let (_, quote) = self.cheapest(&asset, datatokens).await?;
        Ok(Amount(quote.total))
    }

    /// Only exchanges of the two contracts that the address book names are used, and of them those that take OCEAN,
    /// since prices in different tokens cannot be compared; with the state the chain tells.
    async fn cheapest(
        &self,
        asset: &Asset,
        datatokens: Amount,
    ) -> Result<(Price, posthuman_chain::Quote), MarketError> {
        let book = self.chain.address_book();
        let known = [Some(book.fixed_price), book.fixed_price_resale];
        let mut best: Option<(Price, posthuman_chain::Quote)> = None;
        for price in asset
            .prices
            .iter()
            .filter(|price| known.contains(&Some(price.contract)))
        {
            let contract = self.chain.fixed_rate_at(price.contract);
            let Some(exchange) = contract.exchange(price.exchange).await? else {
                continue;
            };
            let fits = exchange.datatoken == asset.datatoken && exchange.base_token == book.ocean;
            if !fits || !exchange.active || exchange.datatoken_supply < datatokens.0 {
                continue;
            }
            let quote = contract
                .quote_buy(price.exchange, datatokens.0, ConsumeMarket::default())
                .await?;
            if best.as_ref().is_none_or(|(_, other)| quote.total < other.total) {
                best = Some((
                    Price {
                        owner: exchange.owner,
                        base_token: exchange.base_token,
                        ..price.clone()
                    },
                    quote,
                ));
            }
        }
        best.ok_or_else(|| {
            let wanted = datatokens.display_tokens(18);
            let why = if asset.prices.is_empty() {
                String::new()
            } else {
                format!(": nobody offers {wanted} of its datatokens for OCEAN now")
            };
            MarketError::NotForSale {
                did: asset.did.clone(),
                why,
            }
        })
    }

    /// Refuses what costs more than the caller allowed.
    pub(super) async fn check_limit(
        &self,
        what: String,
        token: Address,
        cost: Amount,
        limit: Option<Amount>,
    ) -> Result<(), MarketError> {
        let Some(limit) = limit.filter(|limit| cost > *limit) else {
            return Ok(());
        };
        let token = self.chain.token(token);
        Err(MarketError::TooExpensive(Box::new(Excess {
            what,
            cost: token.amount(cost.0).await?,
            limit: token.amount(limit.0).await?,
        })))
    }

    pub(super) async fn check_balance(
        &self,
        what: &'static str,
        token: Address,
        need: Amount,
        remedy: &str,
    ) -> Result<(), MarketError> {
        let erc20 = self.chain.token(token);
        let have: U256 = erc20.balance_of(self.address()).await?;
        if have >= need.0 {
            return Ok(());
        }
        Err(MarketError::Balance(Box::new(Shortage {
            what,
            token,
            holder: self.address(),
            need: erc20.amount(need.0).await?,
            have: erc20.amount(have).await?,
            remedy: remedy.to_owned(),
        })))
    }

    pub(super) async fn send_call(
        &self,
        call: posthuman_chain::Call,
        listener: &mut Listener<'_>,
    ) -> Result<posthuman_chain::Receipt, MarketError> {
        let label = call.label.clone();
        let mut announce = |transaction| {
            let label = &label;
            listener(Event::Sent { label, transaction });
        };
        Ok(self
            .chain
            .send_announced(&self.wallet, call, &mut announce)
            .await?)
    }
}
