//! Any ERC-20 token.

use std::fmt;

use posthuman_types::{Address, Amount, U256};

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

/// An amount of a token, with what people read it by: it is shown as `1.5 OCEAN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAmount {
    /// Base units.
    pub amount: Amount,
    /// Decimals of the token.
    pub decimals: u8,
    /// Symbol of the token, without control characters.
    pub symbol: String,
}

impl fmt::Display for TokenAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.amount.display_tokens(self.decimals);
        write!(formatter, "{whole} {}", self.symbol)
    }
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

    /// An amount of this token as people read it.
    ///
    /// # Errors
    /// See above.
    pub async fn amount(&self, amount: U256) -> Result<TokenAmount, ChainError> {
        let symbol = self.symbol().await?;
        Ok(TokenAmount {
            amount: Amount(amount),
            decimals: self.decimals().await?,
            // Anyone can deploy a token, and its symbol is shown on terminals.
            symbol: symbol
                .chars()
                .filter(|character| !character.is_control())
                .collect(),
        })
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
            format!(
                "approving {amount} base units of token {} for {spender}",
                self.address
            ),
        ))
    }

    /// Moves the sender's tokens.
    pub fn transfer(&self, to: Address, amount: U256) -> Call {
        let call = IErc20::transferCall { to, amount };
        Call::contract(
            self.address,
            &call,
            format!("sending {amount} base units of token {} to {to}", self.address),
        )
    }

    /// Moves tokens of `from` that the sender is allowed to take.
    pub fn transfer_from(&self, from: Address, to: Address, amount: U256) -> Call {
        let call = IErc20::transferFromCall { from, to, amount };
        Call::contract(
            self.address,
            &call,
            format!(
                "moving {amount} base units of token {} from {from} to {to}",
                self.address
            ),
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
            format!(
                "allowing {spender} {amount} base units more of token {}",
                self.address
            ),
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
            format!(
                "allowing {spender} {amount} base units less of token {}",
                self.address
            ),
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
            return Ok(None);
        }
        let shown = self.amount(amount).await?;
        let call = self.approve(spender, amount)?;
        Ok(Some(call.with_label(format!("approving {shown} for {spender}"))))
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
