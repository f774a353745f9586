//! Dispensers: datatokens for free.
//!
//! Anyone may ask for any receiver, and limits go by the receiver's balance: no protection against one person with
//! many addresses. An allowed swapper is.

use posthuman_types::{Address, U256};

use crate::bindings::{IDatatoken, IDispenser};
use crate::call::Call;
use crate::client::Chain;
use crate::datatoken::Datatoken;
use crate::error::ChainError;
use crate::publish::DispenserSpec;

/// Ocean's dispenser contract; each datatoken has at most one dispenser in it.
#[derive(Clone, Debug)]
pub struct GiveAway {
    chain: Chain,
    address: Address,
}

/// The state of one datatoken's dispenser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispenserStatus {
    /// Whether it gives.
    pub active: bool,
    /// Its owner; the factory, where it was made together with the NFT. Rights go by the data NFT's roles.
    pub owner: Address,
    /// Whether it may mint.
    pub is_minter: bool,
    /// The most it gives at a time.
    pub max_tokens: U256,
    /// Whoever holds this much gets nothing.
    pub max_balance: U256,
    /// Datatokens it holds.
    pub balance: U256,
    /// The only address that may ask, or zero for anyone.
    pub allowed_swapper: Address,
}

impl Chain {
    /// Ocean's dispenser contract.
    pub fn give_away(&self) -> GiveAway {
        GiveAway {
            chain: self.clone(),
            address: self.address_book().dispenser,
        }
    }
}

impl Datatoken {
    /// Makes a dispenser for this datatoken. For deployers.
    pub fn create_dispenser(&self, spec: &DispenserSpec) -> Call {
        let call = IDatatoken::createDispenserCall {
            _dispenser: self.chain().address_book().dispenser,
            maxTokens: spec.max_tokens,
            maxBalance: spec.max_balance,
            withMint: spec.with_mint,
            allowedSwapper: spec.allowed_swapper,
        };
        self.call(
            &call,
            format!("making a dispenser for datatoken {}", self.address()),
        )
    }
}

impl GiveAway {
    /// Where the contract is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The state of a datatoken's dispenser. A datatoken without one has no owner in it.
    ///
    /// # Errors
    /// No answer, or the address is no datatoken.
    pub async fn status(&self, datatoken: Address) -> Result<DispenserStatus, ChainError> {
        let status = self
            .chain
            .read(self.address, &IDispenser::statusCall { datatoken })
            .await?;
        Ok(DispenserStatus {
            active: status.active,
            owner: status.owner,
            is_minter: status.isMinter,
            max_tokens: status.maxTokens,
            max_balance: status.maxBalance,
            balance: status.balance,
            allowed_swapper: status.allowedSwapper,
        })
    }

    /// Gives datatokens to an address.
    pub fn dispense(&self, datatoken: Address, amount: U256, to: Address) -> Call {
        let call = IDispenser::dispenseCall {
            datatoken,
            amount,
            destination: to,
        };
        self.call(
            &call,
            format!("dispensing {amount} of datatoken {datatoken} to {to}"),
        )
    }

    /// Switches on and sets the limits. For the data NFT's owner and deployers.
    pub fn activate(&self, datatoken: Address, max_tokens: U256, max_balance: U256) -> Call {
        let call = IDispenser::activateCall {
            datatoken,
            maxTokens: max_tokens,
            maxBalance: max_balance,
        };
        self.call(
            &call,
            format!("switching on the dispenser of datatoken {datatoken}"),
        )
    }

    /// Switches off. For the data NFT's owner and deployers.
    pub fn deactivate(&self, datatoken: Address) -> Call {
        let call = IDispenser::deactivateCall { datatoken };
        self.call(
            &call,
            format!("switching off the dispenser of datatoken {datatoken}"),
        )
    }

    /// Lets one address alone ask, or anyone (zero). For the data NFT's owner and deployers.
    pub fn set_allowed_swapper(&self, datatoken: Address, swapper: Address) -> Call {
        let call = IDispenser::setAllowedSwapperCall {
            datatoken,
            newAllowedSwapper: swapper,
        };
        self.call(
            &call,
            format!("letting {swapper} alone use the dispenser of datatoken {datatoken}"),
        )
    }

    /// Sends what the dispenser holds to the payment collector. For the data NFT's owner and deployers.
    pub fn withdraw(&self, datatoken: Address) -> Call {
        let call = IDispenser::ownerWithdrawCall { datatoken };
        self.call(&call, format!("emptying the dispenser of datatoken {datatoken}"))
    }

    fn call<C: alloy::sol_types::SolCall>(&self, call: &C, label: String) -> Call {
        Call::contract(self.address, call, label)
    }
}
