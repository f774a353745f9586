//! Fixed-rate exchanges: Ocean's of 2.6.0, and the one of 1.1.15 on which any holder can sell.
//!
//! On 2.6.0 an exchange without minting sells nothing unless datatokens were sold into it before. On 1.1.15 it takes
//! them from its owner's balance, by the owner's allowance: that is the resale. Found by running them:
//!
//! - only a deployer of the datatoken (a role of its data NFT) can open an exchange, whoever its owner is to be; so the
//!   marketplace's wallet opens the resale for a holder who asks;
//! - there is **one exchange per pair of tokens and contract**: one resale per datatoken and base token, with one owner;
//! - the *data NFT's* owner and deployers, not the exchange's owner, set rate and state; so a holder who wants another
//!   price asks the marketplace again;
//! - proceeds stay in the exchange until anyone calls [`collect`](FixedRate::collect), and go to the datatoken's payment
//!   collector, so a resale pays the collector's payees, not the seller alone.

use alloy::sol_types::SolValue;
use posthuman_types::{Address, Amount, B256, U256, keccak256};

use crate::bindings::{IDatatoken, IFixedRate};
use crate::call::Call;
use crate::client::Chain;
use crate::datatoken::Datatoken;
use crate::error::ChainError;
use crate::publish::{FixedRateSpec, fixed_rate_arguments};
use crate::transaction::Receipt;

/// A fixed-rate exchange contract; it holds many exchanges, each named by an id.
#[derive(Clone, Debug)]
pub struct FixedRate {
    chain: Chain,
    address: Address,
}

/// One exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its owner; on the resale exchange, the seller.
    pub owner: Address,
    /// What is sold.
    pub datatoken: Address,
    /// What is paid with.
    pub base_token: Address,
    /// Decimals of the base token.
    pub base_decimals: U256,
    /// Base tokens per whole datatoken, times 10^18.
    pub rate: U256,
    /// Whether it sells.
    pub active: bool,
    /// How many datatokens it could sell now. A minting exchange shows the whole cap; on the resale exchange it is the
    /// smaller of the owner's balance and allowance, and what the exchange holds.
    pub datatoken_supply: U256,
    /// Base tokens it could pay out.
    pub base_supply: U256,
    /// Datatokens it holds.
    pub datatoken_balance: U256,
    /// Base tokens it holds, still to be collected.
    pub base_balance: U256,
    /// Whether it may mint.
    pub with_mint: bool,
}

/// What a swap costs or yields, in base tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// All of it: what the buyer pays with every fee, or what the seller gets after them.
    pub total: U256,
    /// The Ocean community's part.
    pub community_fee: U256,
    /// The publishing market's part.
    pub market_fee: U256,
    /// The consuming market's part.
    pub consume_market_fee: U256,
}

/// The consuming market of a swap, which takes a share for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ConsumeMarket {
    /// Who gets the share; zero for nobody.
    pub address: Address,
    /// The share, times 10^18: zero, or 10^14 to 5·10^17.
    pub share: U256,
}

impl Chain {
    /// The 2.6.0 exchange contract.
    pub fn fixed_rate(&self) -> FixedRate {
        self.fixed_rate_at(self.address_book().fixed_price)
    }

    /// The 1.1.15 exchange contract.
    ///
    /// # Errors
    /// A network without it.
    pub fn resale(&self) -> Result<FixedRate, ChainError> {
        Ok(self.fixed_rate_at(self.address_book().resale()?))
    }

    /// The exchange contract at an address.
    pub fn fixed_rate_at(&self, address: Address) -> FixedRate {
        FixedRate {
            chain: self.clone(),
            address,
        }
    }
}

impl Datatoken {
    /// Opens an exchange on a contract. For deployers of the datatoken.
    pub fn create_exchange(&self, contract: &FixedRate, sale: &FixedRateSpec) -> Call {
        let (addresses, uints) = fixed_rate_arguments(sale);
        let call = IDatatoken::createFixedRateCall {
            fixedPriceAddress: contract.address,
            addresses,
            uints,
        };
        self.call(
            &call,
            format!(
                "opening an exchange for datatoken {} on {}",
                self.address(),
                contract.address
            ),
        )
    }

    /// Opens the resale: `seller`'s own datatokens at `rate` base tokens per whole one, times 10^18, without minting
    /// and without a market's fee. For deployers of the datatoken.
    ///
    /// The seller then approves exactly what is for sale to the resale contract.
    ///
    /// # Errors
    /// A network without the resale exchange.
    pub fn open_resale(
        &self,
        seller: Address,
        base_token: Address,
        base_decimals: u8,
        rate: U256,
    ) -> Result<Call, ChainError> {
        let sale = FixedRateSpec {
            base_token,
            base_decimals,
            owner: seller,
            rate,
            market_fee: U256::ZERO,
            market_fee_collector: seller,
            allowed_swapper: Address::ZERO,
            with_mint: false,
        };
        Ok(self.create_exchange(&self.chain().resale()?, &sale))
    }

    /// The exchange that a transaction opened for this datatoken.
    ///
    /// # Errors
    /// It opened none.
    pub fn opened_exchange(&self, receipt: &Receipt) -> Result<B256, ChainError> {
        receipt
            .event::<IDatatoken::NewFixedRate>(self.address())
            .map(|event| event.exchangeId)
    }
}

/// Reads fail if the chain does not answer, the address is no exchange contract, or (quotes) the exchange is off.
impl FixedRate {
    /// Where the contract is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The id of the only exchange that a pair can have on one contract.
    pub fn exchange_id(base_token: Address, datatoken: Address) -> B256 {
        keccak256((base_token, datatoken).abi_encode())
    }

    /// An exchange; nothing if there is none of that id.
    ///
    /// # Errors
    /// See above.
    pub async fn exchange(&self, id: B256) -> Result<Option<Exchange>, ChainError> {
        let call = IFixedRate::getExchangeCall { exchangeId: id };
        let found = match self.chain.read(self.address, &call).await {
            Ok(found) => found,
            // Of an unknown id the contract asks the zero address for its supply, which reverts.
            Err(ChainError::Reverted { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.datatoken.is_zero() {
            return Ok(None);
        }
        Ok(Some(Exchange {
            owner: found.exchangeOwner,
            datatoken: found.datatoken,
            base_token: found.baseToken,
            base_decimals: found.btDecimals,
            rate: found.fixedRate,
            active: found.active,
            datatoken_supply: found.dtSupply,
            base_supply: found.btSupply,
            datatoken_balance: found.dtBalance,
            base_balance: found.btBalance,
            with_mint: found.withMint,
        }))
    }

    /// What `datatokens` base units cost now.
    ///
    /// # Errors
    /// See above.
    pub async fn quote_buy(
        &self,
        id: B256,
        datatokens: U256,
        market: ConsumeMarket,
    ) -> Result<Quote, ChainError> {
        let call = IFixedRate::calcBaseInGivenOutDTCall {
            exchangeId: id,
            datatokenAmount: datatokens,
            consumeMarketSwapFeeAmount: market.share,
        };
        let quote = self.chain.read(self.address, &call).await?;
        Ok(Quote {
            total: quote.baseTokenAmount,
            community_fee: quote.oceanFeeAmount,
            market_fee: quote.publishMarketFeeAmount,
            consume_market_fee: quote.consumeMarketFeeAmount,
        })
    }

    /// What `datatokens` base units yield now.
    ///
    /// # Errors
    /// See above.
    pub async fn quote_sell(
        &self,
        id: B256,
        datatokens: U256,
        market: ConsumeMarket,
    ) -> Result<Quote, ChainError> {
        let call = IFixedRate::calcBaseOutGivenInDTCall {
            exchangeId: id,
            datatokenAmount: datatokens,
            consumeMarketSwapFeeAmount: market.share,
        };
        let quote = self.chain.read(self.address, &call).await?;
        Ok(Quote {
            total: quote.baseTokenAmount,
            community_fee: quote.oceanFeeAmount,
            market_fee: quote.publishMarketFeeAmount,
            consume_market_fee: quote.consumeMarketFeeAmount,
        })
    }

    /// Buys for at most `max_base`. The contract must be allowed to take the price.
    pub fn buy(&self, id: B256, datatokens: U256, max_base: U256, market: ConsumeMarket) -> Call {
        let call = IFixedRate::buyDTCall {
            exchangeId: id,
            datatokenAmount: datatokens,
            maxBaseTokenAmount: max_base,
            consumeMarketAddress: market.address,
            consumeMarketSwapFeeAmount: market.share,
        };
        self.call(
            &call,
            format!("buying {} datatokens on exchange {id}", whole(datatokens)),
        )
    }

    /// Everything a buyer sends, in order: the approval of exactly today's price (unless it stands), then the purchase.
    ///
    /// # Errors
    /// No such exchange, or it is off.
    pub async fn purchase(
        &self,
        buyer: Address,
        id: B256,
        datatokens: U256,
        market: ConsumeMarket,
    ) -> Result<Vec<Call>, ChainError> {
        let quote = self.quote_buy(id, datatokens, market).await?;
        let exchange = self
            .exchange(id)
            .await?
            .ok_or_else(|| ChainError::UnexpectedAnswer {
                what: format!("exchange {id} of {}", self.address),
                why: "there is no such exchange".into(),
            })?;
        let token = self.chain.token(exchange.base_token);
        let mut calls: Vec<Call> = token
            .exact_allowance(buyer, self.address, quote.total)
            .await?
            .into_iter()
            .collect();
        calls.push(self.buy(id, datatokens, quote.total, market));
        Ok(calls)
    }

    /// Sells for at least `min_base`. The contract must be allowed to take the datatokens, and pays only from what it
    /// took in before.
    pub fn sell(&self, id: B256, datatokens: U256, min_base: U256, market: ConsumeMarket) -> Call {
        let call = IFixedRate::sellDTCall {
            exchangeId: id,
            datatokenAmount: datatokens,
            minBaseTokenAmount: min_base,
            consumeMarketAddress: market.address,
            consumeMarketSwapFeeAmount: market.share,
        };
        self.call(
            &call,
            format!("selling {} datatokens on exchange {id}", whole(datatokens)),
        )
    }

    /// Pays proceeds out to the datatoken's payment collector. Anyone may call it.
    pub fn collect(&self, id: B256, base_amount: U256) -> Call {
        let call = IFixedRate::collectBTCall {
            exchangeId: id,
            amount: base_amount,
        };
        self.call(
            &call,
            format!("paying out {base_amount} base units of exchange {id}"),
        )
    }

    /// Pays datatokens that were sold into the exchange out to the payment collector. Anyone may call it.
    pub fn collect_datatokens(&self, id: B256, amount: U256) -> Call {
        let call = IFixedRate::collectDTCall {
            exchangeId: id,
            amount,
        };
        self.call(
            &call,
            format!("paying out {} datatokens of exchange {id}", whole(amount)),
        )
    }

    /// Pays the publishing market's part out. Anyone may call it.
    pub fn collect_market_fee(&self, id: B256) -> Call {
        let call = IFixedRate::collectMarketFeeCall { exchangeId: id };
        self.call(&call, format!("paying out the market's fee of exchange {id}"))
    }

    /// Pays the community's part out. Anyone may call it.
    pub fn collect_community_fee(&self, id: B256) -> Call {
        let call = IFixedRate::collectOceanFeeCall { exchangeId: id };
        self.call(&call, format!("paying out the community's fee of exchange {id}"))
    }

    /// Changes the rate. For the data NFT's owner and deployers.
    pub fn set_rate(&self, id: B256, rate: U256) -> Call {
        let call = IFixedRate::setRateCall {
            exchangeId: id,
            newRate: rate,
        };
        self.call(
            &call,
            format!(
                "setting the price on exchange {id} to {} base tokens",
                whole(rate)
            ),
        )
    }

    /// Switches the exchange off, or on again. For the data NFT's owner and deployers.
    pub fn toggle(&self, id: B256) -> Call {
        let call = IFixedRate::toggleExchangeStateCall { exchangeId: id };
        self.call(&call, format!("switching exchange {id}"))
    }

    /// Lets one address alone swap, or anyone (zero). For the data NFT's owner and deployers.
    pub fn set_allowed_swapper(&self, id: B256, swapper: Address) -> Call {
        let call = IFixedRate::setAllowedSwapperCall {
            exchangeId: id,
            newAllowedSwapper: swapper,
        };
        self.call(&call, format!("letting {swapper} alone use exchange {id}"))
    }

    fn call<C: alloy::sol_types::SolCall>(&self, call: &C, label: String) -> Call {
        Call::contract(self.address, call, label)
    }
}

/// Datatokens have 18 decimals, and a rate counts as many.
fn whole(amount: U256) -> String {
    Amount(amount).display_tokens(18)
}
