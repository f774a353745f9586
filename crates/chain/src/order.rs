//! Orders: paying one datatoken for a service, with the provider's signed fee.
//!
//! The contracts check little of it. They do not check a fee's period of validity, accept a fee of the zero address
//! with any signature, and let anyone name any order in `reuseOrder` and `orderExecuted`. Whoever acts on an order
//! checks it from [`OrderRecord`]: the datatoken is the factory's ([`Chain::is_datatoken`]), the fee's signer is the
//! node, its binding is the order's, and it was valid at the block's time.

use alloy::sol_types::SolEvent;
use posthuman_types::api::ProviderFee;
use posthuman_types::{Address, Amount, B256, Bytes, OrderId, U256, keccak256};

use crate::bindings::IDatatoken;
use crate::call::Call;
use crate::client::Chain;
use crate::datatoken::{Datatoken, MarketFee};
use crate::error::ChainError;
use crate::transaction::Receipt;
use crate::wallet::Wallet;

/// One `OrderStarted` log with the `ProviderFee` that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// Chain, transaction and index of the log in its block.
    pub id: OrderId,
    /// The block it is in.
    pub block_number: u64,
    /// That block's time, in seconds since 1970.
    pub block_timestamp: u64,
    /// Who may use the service.
    pub consumer: Address,
    /// Who paid. Through the factory's batch call this is the factory.
    pub payer: Address,
    /// The contract that logged it. Not yet known to be a real datatoken.
    pub datatoken: Address,
    /// Which service; a number over 64 bits is told as the largest.
    pub service_index: u64,
    /// Datatoken base units paid.
    pub amount: U256,
    /// The provider's fee, as signed and as charged.
    pub provider_fee: Option<ProviderFee>,
}

/// What [`Datatoken::order_executed`] says about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Hash of the order's transaction. The contract does not check it.
    pub order_transaction: B256,
    /// What the provider attests: the digest of a receipt.
    pub provider_data: Bytes,
    /// What the consumer signed, containing the order's id, since the signature covers nothing else.
    pub consumer_data: Bytes,
    /// The consumer's signature: EIP-191 over Keccak-256 of `consumer_data`, r, s and v (27 or 28).
    pub consumer_signature: Bytes,
    /// The consumer. Must not be the provider, and cannot be a contract wallet.
    pub consumer: Address,
}

/// An `OrderExecuted` log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRecord {
    /// Who attested it: the sender, as the contract checked.
    pub provider: Address,
    /// What was attested.
    pub execution: Execution,
    /// The contract that logged it.
    pub datatoken: Address,
    /// The block it is in.
    pub block_number: u64,
    /// The transaction it is in.
    pub transaction: B256,
    /// The log's index in its block.
    pub log_index: u64,
}

impl Datatoken {
    /// Pays one datatoken for a service. Allowances of [`order_approvals`](Self::order_approvals) must stand.
    pub fn start_order(
        &self,
        consumer: Address,
        service_index: u64,
        fee: &ProviderFee,
        consume_market: &MarketFee,
    ) -> Call {
        let call = IDatatoken::startOrderCall {
            consumer,
            serviceIndex: U256::from(service_index),
            _providerFee: on_chain(fee),
            _consumeMarketFee: IDatatoken::consumeMarketFee {
                consumeMarketFeeAddress: consume_market.address,
                consumeMarketFeeToken: consume_market.token,
                consumeMarketFeeAmount: consume_market.amount,
            },
        };
        self.call(
            &call,
            format!(
                "ordering service {service_index} with datatoken {}",
                self.address()
            ),
        )
    }

    /// Pays the provider's fee again for an order that stands. The contract checks neither the order nor the caller.
    pub fn reuse_order(&self, order_transaction: B256, fee: &ProviderFee) -> Call {
        let call = IDatatoken::reuseOrderCall {
            orderTxId: order_transaction,
            _providerFee: on_chain(fee),
        };
        self.call(
            &call,
            format!(
                "renewing order {order_transaction} of datatoken {}",
                self.address()
            ),
        )
    }

    /// The approvals that an order needs: to the datatoken contract, exactly the sum of the fees in each token
    /// (provider, publishing market, consuming market). None for tokens whose allowance is exactly that already.
    ///
    /// # Errors
    /// No answer, or the address is no datatoken.
    pub async fn order_approvals(
        &self,
        payer: Address,
        fee: &ProviderFee,
        consume_market: &MarketFee,
    ) -> Result<Vec<Call>, ChainError> {
        let provider = MarketFee {
            address: fee.address,
            token: fee.token,
            amount: fee.amount.0,
        };
        let publishing = self.publishing_market_fee().await?;
        let mut sums: Vec<(Address, U256)> = Vec::new();
        for due in [provider, publishing, *consume_market]
            .into_iter()
            .filter(MarketFee::is_due)
        {
            match sums.iter_mut().find(|(token, _)| *token == due.token) {
                Some((_, sum)) => *sum = sum.saturating_add(due.amount),
                None => sums.push((due.token, due.amount)),
            }
        }
        let mut calls = Vec::new();
        for (token, sum) in sums {
            calls.extend(
                self.chain()
                    .token(token)
                    .exact_allowance(payer, self.address(), sum)
                    .await?,
            );
        }
        Ok(calls)
    }

    /// Attests the execution of an order. Sent by `provider`, who signs here: EIP-191 over
    /// Keccak-256 of order and data, packed.
    ///
    /// # Errors
    /// A failure of the signer.
    pub fn order_executed(&self, provider: &Wallet, execution: &Execution) -> Result<Call, ChainError> {
        let packed = [execution.order_transaction.as_slice(), &execution.provider_data].concat();
        let signature = provider.sign_message(keccak256(packed).as_slice())?;
        let call = IDatatoken::orderExecutedCall {
            orderTxId: execution.order_transaction,
            providerData: execution.provider_data.clone(),
            providerSignature: signature.as_bytes().to_vec().into(),
            consumerData: execution.consumer_data.clone(),
            consumerSignature: execution.consumer_signature.clone(),
            consumerAddress: execution.consumer,
        };
        Ok(self.call(&call, format!("attesting order {}", execution.order_transaction)))
    }

    /// All attestations of an order from a block on, in chain order. Whose they are is for the caller to check.
    ///
    /// # Errors
    /// No answer.
    pub async fn executions(
        &self,
        order_transaction: B256,
        from_block: u64,
    ) -> Result<Vec<ExecutionRecord>, ChainError> {
        let logs = self
            .chain()
            .logs_since(
                self.address(),
                &[IDatatoken::OrderExecuted::SIGNATURE_HASH],
                from_block,
            )
            .await?;
        let records = logs.iter().filter_map(|log| {
            let event = IDatatoken::OrderExecuted::decode_log_data(log.data()).ok()?;
            (event.orderTxId == order_transaction).then(|| ExecutionRecord {
                provider: event.providerAddress,
                execution: Execution {
                    order_transaction: event.orderTxId,
                    provider_data: event.providerData,
                    consumer_data: event.consumerData,
                    consumer_signature: event.consumerSignature,
                    consumer: event.consumerAddress,
                },
                datatoken: log.address(),
                block_number: log.block_number.unwrap_or_default(),
                transaction: log.transaction_hash.unwrap_or_default(),
                log_index: log.log_index.unwrap_or_default(),
            })
        });
        Ok(records.collect())
    }
}

impl Chain {
    /// The orders of a transaction, in the order of their logs. Empty if it is unknown, not mined, failed, or made none.
    ///
    /// # Errors
    /// No answer.
    pub async fn orders_in(&self, transaction: B256) -> Result<Vec<OrderRecord>, ChainError> {
        let Some(receipt) = self.receipt(transaction).await? else {
            return Ok(Vec::new());
        };
        self.orders_of(&receipt).await
    }

    /// The orders of a receipt.
    ///
    /// # Errors
    /// No answer to the question for the block's time.
    pub async fn orders_of(&self, receipt: &Receipt) -> Result<Vec<OrderRecord>, ChainError> {
        if !receipt.success || receipt.events::<IDatatoken::OrderStarted>().next().is_none() {
            return Ok(Vec::new());
        }
        let block_timestamp = self
            .timestamp_of(receipt.block_number, receipt.transaction)
            .await?;
        Ok(read_orders(self.id(), block_timestamp, receipt))
    }

    /// The order of an id, or nothing if there is none.
    ///
    /// # Errors
    /// No answer.
    pub async fn order(&self, id: &OrderId) -> Result<Option<OrderRecord>, ChainError> {
        if id.chain_id != self.id() {
            return Ok(None);
        }
        Ok(self
            .orders_in(id.transaction)
            .await?
            .into_iter()
            .find(|order| order.id == *id))
    }
}

/// Pairs each `OrderStarted` with the `ProviderFee` that the same contract logged next, before anything else began there.
fn read_orders(chain_id: u64, block_timestamp: u64, receipt: &Receipt) -> Vec<OrderRecord> {
    let mut orders: Vec<OrderRecord> = Vec::new();
    // Indices of orders that wait for their fee.
    let mut open: Vec<usize> = Vec::new();
    for log in &receipt.logs {
        let contract = log.address();
        if let Ok(event) = IDatatoken::OrderStarted::decode_log_data(log.data()) {
            open.retain(|index| orders[*index].datatoken != contract);
            open.push(orders.len());
            let log_index = log.log_index.unwrap_or_default();
            orders.push(OrderRecord {
                id: OrderId {
                    chain_id,
                    transaction: receipt.transaction,
                    log_index,
                },
                block_number: receipt.block_number,
                block_timestamp,
                consumer: event.consumer,
                payer: event.payer,
                datatoken: contract,
                service_index: event.serviceIndex.saturating_to(),
                amount: event.amount,
                provider_fee: None,
            });
        } else if IDatatoken::OrderReused::decode_log_data(log.data()).is_ok() {
            open.retain(|index| orders[*index].datatoken != contract);
        } else if let Ok(event) = IDatatoken::ProviderFee::decode_log_data(log.data())
            && let Some(place) = open.iter().position(|index| orders[*index].datatoken == contract)
        {
            let index = open.remove(place);
            orders[index].provider_fee = Some(off_chain(event));
        }
    }
    orders
}

fn on_chain(fee: &ProviderFee) -> IDatatoken::providerFee {
    IDatatoken::providerFee {
        providerFeeAddress: fee.address,
        providerFeeToken: fee.token,
        providerFeeAmount: fee.amount.0,
        v: fee.v,
        r: fee.r,
        s: fee.s,
        validUntil: U256::from(fee.valid_until),
        providerData: fee.provider_data.clone(),
    }
}

/// A time over 64 bits becomes the largest; the fee's signer then no longer recovers, as it should be.
pub(crate) fn off_chain(event: IDatatoken::ProviderFee) -> ProviderFee {
    ProviderFee {
        address: event.providerFeeAddress,
        token: event.providerFeeToken,
        amount: Amount(event.providerFeeAmount),
        valid_until: event.validUntil.saturating_to(),
        provider_data: event.providerData,
        v: event.v,
        r: event.r,
        s: event.s,
    }
}
