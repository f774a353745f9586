//! Any ERC-20 token.

use posthuman_types::{Address, U256};

use crate::bindings::IErc20;
use crate::call::Call;
use crate::client::Chain;
use crate::error::ChainError;

/// An ERC-20 token: OCEAN, a datatoken, or any other. Amounts are base units.
#[derive(Clone, Debug)]
pub struct Token {
    chain: Chain,
    address: Address,
}

impl Chain {
    /// The token at an address. Asks nothing.
    pub fn token(&self, address: Address) -> Token {
        Token {
            chain: self.clone(),
            address,
        }
    }

    /// The OCEAN token.
    pub fn ocean(&self) -> Token {
        self.token(self.address_book().ocean)
    }
}

/// Reads fail if the chain does not answer or the address is no ERC-20 token.
impl Token {
    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its name.
    ///
    /// # Errors
    /// See above.
    pub async fn name(&self) -> Result<String, ChainError> {
        self.chain.read(self.address, &IErc20::nameCall {}).await
    }

    /// Its symbol.
    ///
    /// # Errors
    /// See above.
    pub async fn symbol(&self) -> Result<String, ChainError> {
        self.chain.read(self.address, &IErc20::symbolCall {}).await
    }

    /// How many decimals people write: 18 for OCEAN and datatokens.
    ///
    /// # Errors
    /// See above.
    pub async fn decimals(&self) -> Result<u8, ChainError> {
        self.chain.read(self.address, &IErc20::decimalsCall {}).await
    }

    /// How much exists. Of no use for a datatoken with a pool; see [`Pool`](crate::Pool).
    ///
    /// # Errors
    /// See above.
    pub async fn total_supply(&self) -> Result<U256, ChainError> {
        self.chain.read(self.address, &IErc20::totalSupplyCall {}).await
    }

    /// What an address has.
    ///
    /// # Errors
    /// See above.
    pub async fn balance_of(&self, account: Address) -> Result<U256, ChainError> {
        self.chain
            .read(self.address, &IErc20::balanceOfCall { account })
            .await
    }

    /// What `spender` may take from `owner`.
    ///
    /// # Errors
    /// See above.
    pub async fn allowance(&self, owner: Address, spender: Address) -> Result<U256, ChainError> {
        self.chain
            .read(self.address, &IErc20::allowanceCall { owner, spender })
            .await
    }

    /// Lets `spender` take exactly `amount` from the sender, instead of what it was allowed before.
    ///
    /// # Errors
    /// The spender is Ocean's router: whoever creates a datatoken can spend what the router is allowed.
    /// Taking an allowance back (zero) is possible.
    pub fn approve(&self, spender: Address, amount: U256) -> Result<Call, ChainError> {
        self.refuse_router(spender, amount)?;
        let call = IErc20::approveCall { spender, amount };
        Ok(Call::contract(
            self.address,
            &call,
            format!("approving {amount} of token {} for {spender}", self.address),
        ))
    }

    /// Moves the sender's tokens.
    pub fn transfer(&self, to: Address, amount: U256) -> Call {
        let call = IErc20::transferCall { to, amount };
        Call::contract(
            self.address,
            &call,
            format!("sending {amount} of token {} to {to}", self.address),
        )
    }

    /// Moves tokens of `from` that the sender is allowed to take.
    pub fn transfer_from(&self, from: Address, to: Address, amount: U256) -> Call {
        let call = IErc20::transferFromCall { from, to, amount };
        Call::contract(
            self.address,
            &call,
            format!("moving {amount} of token {} from {from} to {to}", self.address),
        )
    }

    /// Allows `amount` more.
    ///
    /// # Errors
    /// As [`approve`](Self::approve).
    pub fn increase_allowance(&self, spender: Address, amount: U256) -> Result<Call, ChainError> {
        self.refuse_router(spender, amount)?;
        let call = IErc20::increaseAllowanceCall {
            spender,
            addedValue: amount,
        };
        Ok(Call::contract(
            self.address,
            &call,
            format!("allowing {spender} {amount} more of token {}", self.address),
        ))
    }

    /// Allows `amount` less.
    pub fn decrease_allowance(&self, spender: Address, amount: U256) -> Call {
        let call = IErc20::decreaseAllowanceCall {
            spender,
            subtractedValue: amount,
        };
        Call::contract(
            self.address,
            &call,
            format!("allowing {spender} {amount} less of token {}", self.address),
        )
    }

    /// The approval that makes the allowance exactly `amount`, or nothing if it is that already.
    ///
    /// # Errors
    /// As [`approve`](Self::approve), or the chain does not answer.
    pub async fn exact_allowance(
        &self,
        owner: Address,
        spender: Address,
        amount: U256,
    ) -> Result<Option<Call>, ChainError> {
        let standing = self.allowance(owner, spender).await?;
        if standing == amount {
            Ok(None)
        } else {
            self.approve(spender, amount).map(Some)
        }
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(crate) fn refuse_router(&self, spender: Address, amount: U256) -> Result<(), ChainError> {
        if spender == self.chain.address_book().router && !amount.is_zero() {
            return Err(ChainError::RouterAllowance { router: spender });
        }
        Ok(())
    }
}
