//! Pools of a datatoken and a base token, half and half (Ocean's fork of Balancer, with side staking).
//!
//! Trades and stakes go to the pool itself, never through the router. At most half of a reserve moves per trade.

use posthuman_types::{Address, U256};

use crate::bindings::{IPool, ISideStaking};
use crate::call::Call;
use crate::client::Chain;
use crate::error::ChainError;
use crate::exchange::ConsumeMarket;
use crate::token::Token;

/// A pool. Its shares are an ERC-20 token at the same address.
#[derive(Clone, Debug)]
pub struct Pool {
    chain: Chain,
    address: Address,
}

/// What a swap moves: the amount in or out that was asked for, and the fees inside the amount in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolQuote {
    /// The amount in (of an exact output) or out (of an exact input).
    pub amount: U256,
    /// The liquidity providers' part, in the token that goes in.
    pub liquidity_fee: U256,
    /// The Ocean community's part.
    pub community_fee: U256,
    /// The publishing market's part.
    pub market_fee: U256,
    /// The consuming market's part.
    pub consume_market_fee: U256,
}

impl Chain {
    /// The pool at an address. Asks nothing.
    pub fn pool(&self, address: Address) -> Pool {
        Pool {
            chain: self.clone(),
            address,
        }
    }
}

/// Reads fail if the chain does not answer or the address is no pool.
impl Pool {
    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its shares.
    pub fn shares(&self) -> Token {
        self.chain.token(self.address)
    }

    /// Its base token and its datatoken.
    ///
    /// # Errors
    /// See above.
    pub async fn tokens(&self) -> Result<(Address, Address), ChainError> {
        let base = self
            .chain
            .read(self.address, &IPool::getBaseTokenAddressCall {})
            .await?;
        let datatoken = self
            .chain
            .read(self.address, &IPool::getDatatokenAddressCall {})
            .await?;
        Ok((base, datatoken))
    }

    /// How much of a token it holds.
    ///
    /// # Errors
    /// See above.
    pub async fn reserve(&self, token: Address) -> Result<U256, ChainError> {
        self.chain
            .read(self.address, &IPool::getBalanceCall { token })
            .await
    }

    /// Price of an infinitely small trade, in `token_in` per `token_out` times 10^18, fees included.
    ///
    /// # Errors
    /// See above.
    pub async fn spot_price(&self, token_in: Address, token_out: Address) -> Result<U256, ChainError> {
        let call = IPool::getSpotPriceCall {
            tokenIn: token_in,
            tokenOut: token_out,
            _consumeMarketSwapFee: U256::ZERO,
        };
        self.chain.read(self.address, &call).await
    }

    /// How many datatokens are in people's hands: neither with side staking, which holds the whole cap, nor in the
    /// reserve. The datatoken's own total supply says nothing.
    ///
    /// # Errors
    /// A network without side staking, and see above.
    pub async fn circulating_supply(&self) -> Result<U256, ChainError> {
        let book = self.chain.address_book();
        let side_staking = book.side_staking.ok_or_else(|| book.lacks("Staking"))?;
        let (_, datatoken) = self.tokens().await?;
        let call = ISideStaking::getDatatokenCirculatingSupplyCall {
            datatokenAddress: datatoken,
        };
        let outside = self.chain.read(side_staking, &call).await?;
        Ok(outside.saturating_sub(self.reserve(datatoken).await?))
    }

    /// What `amount_in` gets. The limit of half a reserve is not applied here; the swap applies it.
    ///
    /// # Errors
    /// See above.
    pub async fn quote_exact_in(
        &self,
        token_in: Address,
        token_out: Address,
        amount_in: U256,
        market: ConsumeMarket,
    ) -> Result<PoolQuote, ChainError> {
        let call = IPool::getAmountOutExactInCall {
            tokenIn: token_in,
            tokenOut: token_out,
            tokenAmountIn: amount_in,
            _consumeMarketSwapFee: market.share,
        };
        let quote = self.chain.read(self.address, &call).await?;
        Ok(PoolQuote {
            amount: quote.tokenAmountOut,
            liquidity_fee: quote.lpFeeAmount,
            community_fee: quote.oceanFeeAmount,
            market_fee: quote.publishMarketSwapFeeAmount,
            consume_market_fee: quote.consumeMarketSwapFeeAmount,
        })
    }

    /// What `amount_out` costs. The limit of half a reserve is not applied here; the swap applies it.
    ///
    /// # Errors
    /// See above.
    pub async fn quote_exact_out(
        &self,
        token_in: Address,
        token_out: Address,
        amount_out: U256,
        market: ConsumeMarket,
    ) -> Result<PoolQuote, ChainError> {
        let call = IPool::getAmountInExactOutCall {
            tokenIn: token_in,
            tokenOut: token_out,
            tokenAmountOut: amount_out,
            _consumeMarketSwapFee: market.share,
        };
        let quote = self.chain.read(self.address, &call).await?;
        Ok(PoolQuote {
            amount: quote.tokenAmountIn,
            liquidity_fee: quote.lpFeeAmount,
            community_fee: quote.oceanFeeAmount,
            market_fee: quote.publishMarketSwapFeeAmount,
            consume_market_fee: quote.consumeMarketSwapFeeAmount,
        })
    }

    /// Gives exactly `amount_in` for at least `min_out`. The pool must be allowed to take `amount_in`.
    pub fn swap_exact_in(
        &self,
        token_in: Address,
        token_out: Address,
        amount_in: U256,
        min_out: U256,
        market: ConsumeMarket,
    ) -> Call {
        let call = IPool::swapExactAmountInCall {
            tokenInOutMarket: [token_in, token_out, market.address],
            amountsInOutMaxFee: [amount_in, min_out, U256::MAX, market.share],
        };
        self.call(
            &call,
            format!("swapping {amount_in} of {token_in} in pool {}", self.address),
        )
    }

    /// Gets exactly `amount_out` for at most `max_in`. The pool must be allowed to take the price.
    pub fn swap_exact_out(
        &self,
        token_in: Address,
        token_out: Address,
        max_in: U256,
        amount_out: U256,
        market: ConsumeMarket,
    ) -> Call {
        let call = IPool::swapExactAmountOutCall {
            tokenInOutMarket: [token_in, token_out, market.address],
            amountsInOutMaxFee: [max_in, amount_out, U256::MAX, market.share],
        };
        self.call(
            &call,
            format!(
                "swapping for {amount_out} of {token_out} in pool {}",
                self.address
            ),
        )
    }

    /// Stakes base tokens for at least `min_shares`. The pool must be allowed to take them; the price does not move.
    pub fn join(&self, base_amount: U256, min_shares: U256) -> Call {
        let call = IPool::joinswapExternAmountInCall {
            tokenAmountIn: base_amount,
            minPoolAmountOut: min_shares,
        };
        self.call(&call, format!("staking {base_amount} in pool {}", self.address))
    }

    /// Gives shares back for at least `min_base` base tokens.
    pub fn exit(&self, shares: U256, min_base: U256) -> Call {
        let call = IPool::exitswapPoolAmountInCall {
            poolAmountIn: shares,
            minAmountOut: min_base,
        };
        self.call(
            &call,
            format!("taking {shares} shares out of pool {}", self.address),
        )
    }

    /// Pays the publishing market's fees out. Anyone may call it.
    pub fn collect_market_fee(&self) -> Call {
        self.call(
            &IPool::collectMarketFeeCall {},
            format!("paying out the market's fee of pool {}", self.address),
        )
    }

    /// Pays the community's fees out. Anyone may call it.
    pub fn collect_community_fee(&self) -> Call {
        self.call(
            &IPool::collectOPCCall {},
            format!("paying out the community's fee of pool {}", self.address),
        )
    }

    fn call<C: alloy::sol_types::SolCall>(&self, call: &C, label: String) -> Call {
        Call::contract(self.address, call, label)
    }
}
