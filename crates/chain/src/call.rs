//! A transaction before anyone has signed it.

use alloy::sol_types::SolCall;
use posthuman_types::{Address, Amount, Bytes, U256};
use serde::{Deserialize, Serialize};

/// What a transaction is to do: everything but its sender, nonce and fees.
///
/// Every write of this crate is made as one of these, so that a program can show it, store it before it is sent, or
/// hand it to another wallet. [`Chain::send`](crate::Chain::send) executes one; [`Chain::prepare`](crate::Chain::prepare)
/// signs one without sending it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The contract, or nothing for the creation of one.
    pub to: Option<Address>,
    /// Calldata, or creation code with its arguments.
    pub data: Bytes,
    /// Wei sent along.
    pub value: U256,
    /// A gas limit, where an estimate is known to be wrong; otherwise it is estimated.
    pub gas: Option<u64>,
    /// What it does, for people, such as `approving 5 OCEAN for 0x…`. Part of error sentences.
    pub label: String,
}

impl Call {
    /// A call of a contract's function.
    pub fn contract<C: SolCall>(to: Address, call: &C, label: impl Into<String>) -> Self {
        Self {
            to: Some(to),
            data: call.abi_encode().into(),
            value: U256::ZERO,
            gas: None,
            label: label.into(),
        }
    }

    /// The creation of a contract. `code` is creation code with its encoded arguments.
    pub fn create(code: Bytes, label: impl Into<String>) -> Self {
        Self {
            to: None,
            data: code,
            value: U256::ZERO,
            gas: None,
            label: label.into(),
        }
    }

    /// A payment of ether.
    pub fn pay(to: Address, wei: U256) -> Self {
        let label = format!("paying {} ether to {to}", Amount(wei).display_tokens(18));
        Self {
            to: Some(to),
            data: Bytes::new(),
            value: wei,
            gas: None,
            label,
        }
    }

    /// The same call in other words, where the caller knows better what is done.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same call with a fixed gas limit.
    pub fn with_gas(mut self, gas: u64) -> Self {
        self.gas = Some(gas);
        self
    }
}
