//! Orders that were given a new provider fee with `reuseOrder`.
//!
//! Anybody may renew any order, and the contract checks nothing of the fee but its signature: who reads renewals checks
//! signer, amount, validity and binding, as for the fee of the order itself.

use alloy::sol_types::SolEvent;
use posthuman_types::api::ProviderFee;
use posthuman_types::{Address, B256};

use crate::bindings::IDatatoken;
use crate::datatoken::Datatoken;
use crate::error::ChainError;
use crate::order::off_chain;

/// A provider fee that was paid for an order after it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Who paid.
    pub caller: Address,
    /// What was paid.
    pub fee: ProviderFee,
    /// The block that holds the payment.
    pub block_number: u64,
    /// When that block was made, in seconds since 1970.
    pub block_timestamp: u64,
    /// The transaction.
    pub transaction: B256,
}

impl Datatoken {
    /// All renewals of the orders in a transaction, oldest first, from a block on.
    ///
    /// # Errors
    /// No answer of the chain, or it does not know the block of a renewal.
    pub async fn renewals(
        &self,
        order_transaction: B256,
        from_block: u64,
    ) -> Result<Vec<Renewal>, ChainError> {
        let topics = [
            IDatatoken::OrderReused::SIGNATURE_HASH,
            IDatatoken::ProviderFee::SIGNATURE_HASH,
        ];
        let logs = self
            .chain()
            .logs_since(self.address(), &topics, from_block)
            .await?;
        let mut renewals = Vec::new();
        // The fee of a renewal follows its `OrderReused` in the same transaction.
        let mut open: Option<(B256, Address)> = None;
        for log in &logs {
            let transaction = log.transaction_hash.unwrap_or_default();
            if let Ok(event) = IDatatoken::OrderReused::decode_log_data(log.data()) {
                open = (event.orderTxId == order_transaction).then_some((transaction, event.caller));
            } else if let Ok(event) = IDatatoken::ProviderFee::decode_log_data(log.data())
                && let Some((_, caller)) = open.take().filter(|(of, _)| *of == transaction)
            {
                let block_number = log.block_number.unwrap_or_default();
                let block_timestamp = self.chain().timestamp_of(block_number, transaction).await?;
                renewals.push(Renewal {
                    caller,
                    fee: off_chain(event),
                    block_number,
                    block_timestamp,
                    transaction,
                });
            }
        }
        Ok(renewals)
    }
}
