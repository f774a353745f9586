//! Orders: who paid for what, and where on the chain that stands.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};

use crate::{Operation, QuoteId};

/// One `OrderStarted` log: chain, transaction and the log's index in its block.
///
/// A transaction can hold several orders, so its hash alone does not name one.
/// The text form is `chain:0xtransaction:log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId {
    /// Chain id.
    pub chain_id: u64,
    /// Hash of the transaction.
    pub transaction: B256,
    /// Index of the log in its block.
    pub log_index: u64,
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}",
            self.chain_id, self.transaction, self.log_index
        )
    }
}

/// A text that names no order.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not an order: expected CHAIN:0xTRANSACTION:LOG_INDEX")]
pub struct OrderIdError(String);

impl FromStr for OrderId {
    type Err = OrderIdError;

    fn from_str(text: &str) -> Result<Self, OrderIdError> {
        let parse = || {
            let mut parts = text.split(':');
            let order = Self {
                chain_id: parts.next()?.parse().ok()?,
                transaction: parts.next()?.parse().ok()?,
                log_index: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(order)
        };
        parse().ok_or_else(|| OrderIdError(text.to_owned()))
    }
}

sol! {
    /// What a node's signature on a provider fee covers besides the fee itself: the contract's `providerData`.
    ///
    /// ABI-encoded as one tuple. `quote` is a quote id of 16 bytes; `validUntil` and the amounts stand in the fee.
    #[derive(Debug, PartialEq, Eq)]
    struct FeeBinding {
        bytes16 quote;
        address consumer;
        address datatoken;
        uint64 serviceIndex;
        uint64 chainId;
    }
}

/// What a quote is bound to; the inner form of [`FeeBinding`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteBinding {
    /// The quote.
    pub quote: QuoteId,
    /// Who may use what is ordered.
    pub consumer: Address,
    /// The datatoken that is spent.
    pub datatoken: Address,
    /// What is ordered.
    pub operation: Operation,
    /// Chain id.
    pub chain_id: u64,
}

impl QuoteBinding {
    /// The bytes of `providerData`.
    pub fn encode(&self) -> Bytes {
        FeeBinding {
            quote: self.quote.0.into(),
            consumer: self.consumer,
            datatoken: self.datatoken,
            serviceIndex: self.operation.service_index(),
            chainId: self.chain_id,
        }
        .abi_encode()
        .into()
    }

    /// Reads `providerData` back. Returns nothing for bytes of another shape or an unknown service.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let binding = FeeBinding::abi_decode_validate(data).ok()?;
        Some(Self {
            quote: QuoteId(binding.quote.0),
            consumer: binding.consumer,
            datatoken: binding.datatoken,
            operation: Operation::from_service_index(binding.serviceIndex)?,
            chain_id: binding.chainId,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_read_back() {
        let order = OrderId {
            chain_id: 8996,
            transaction: B256::repeat_byte(7),
            log_index: 3,
        };
        assert_eq!(order.to_string().parse::<OrderId>().unwrap(), order);
        for text in ["", "8996", "8996:0x07:1", &format!("{order}:1")] {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }

    #[test]
    fn bindings_read_back_and_strange_bytes_do_not() {
        let binding = QuoteBinding {
            quote: QuoteId([1; 16]),
            consumer: Address::repeat_byte(2),
            datatoken: Address::repeat_byte(3),
            operation: Operation::Evaluate,
            chain_id: 8996,
        };
        assert_eq!(QuoteBinding::decode(&binding.encode()), Some(binding.clone()));
        assert_eq!(QuoteBinding::decode(b"{}"), None);
        assert_eq!(QuoteBinding::decode(&binding.encode()[..100]), None);
    }
}
