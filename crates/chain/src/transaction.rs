//! Sending: simulated and awaited for users, or signed first and broadcast later for those who must survive a crash.

use std::time::Instant;

use alloy::consensus::TxEip1559;
use alloy::providers::Provider;
use alloy::rpc::types::{Log, TransactionReceipt};
use alloy::sol_types::SolEvent;
use alloy::transports::TransportError;
use posthuman_types::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::{Chain, is_transient, request};
use crate::error::ChainError;
use crate::revert::Revert;
use crate::wallet::Wallet;

/// Estimates are raised by a quarter: storage may change between the estimate and the block.
const GAS_MARGIN_PERCENT: u64 = 25;

/// A transaction that is signed and may or may not have been sent. Its hash is fixed, so sending it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    /// The sender.
    pub from: Address,
    /// The sender's nonce.
    pub nonce: u64,
    /// The transaction's hash.
    pub hash: B256,
    /// Its EIP-2718 encoding. Whoever has it can send it.
    pub raw: Bytes,
}

/// What became of a mined transaction.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The transaction.
    pub transaction: B256,
    /// Whether it did what it was to do; otherwise it only spent gas.
    pub success: bool,
    /// The block it is in.
    pub block_number: u64,
    /// Its index in that block.
    pub transaction_index: u64,
    /// The sender.
    pub from: Address,
    /// The contract called.
    pub to: Option<Address>,
    /// The contract created.
    pub created: Option<Address>,
    /// Gas spent.
    pub gas_used: u64,
    /// Its logs in order.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// The events of one kind, with the log each came from.
    pub fn events<E: SolEvent>(&self) -> impl Iterator<Item = (&Log, E)> {
        self.logs
            .iter()
            .filter_map(|log| Some((log, E::decode_log_data(log.data()).ok()?)))
    }

    /// The first event of a kind that `contract` emitted.
    ///
    /// # Errors
    /// There is none, so the contract is not what it was taken for.
    pub fn event<E: SolEvent>(&self, contract: Address) -> Result<E, ChainError> {
        let found = self.events::<E>().find(|(log, _)| log.address() == contract);
        found
            .map(|(_, event)| event)
            .ok_or_else(|| ChainError::UnexpectedAnswer {
                what: format!("transaction {}", self.transaction),
                why: format!("no event {} of {contract}", E::SIGNATURE),
            })
    }
}

impl From<TransactionReceipt> for Receipt {
    fn from(receipt: TransactionReceipt) -> Self {
        Self {
            transaction: receipt.transaction_hash,
            success: receipt.status(),
            block_number: receipt.block_number.unwrap_or_default(),
            transaction_index: receipt.transaction_index.unwrap_or_default(),
            from: receipt.from,
            to: receipt.to,
            created: receipt.contract_address,
            gas_used: receipt.gas_used,
            logs: receipt.inner.logs().to_vec(),
        }
    }
}

impl Chain {
    /// Executes a call for a user: tries it without sending, so that a refusal costs nothing and comes with its reason;
    /// then signs, sends and waits for the receipt.
    ///
    /// The nonce is the chain's count of the wallet's transactions, pending ones included. Clones of one `Wallet` wait
    /// for one another; two processes that send from one key at once can meet in a nonce, and one of them then gets
    /// [`ChainError::NonceTaken`] or a deadline.
    ///
    /// # Errors
    /// A refusal, lack of ether, a failure after sending, or a deadline (then the transaction may still be mined). Only
    /// before anything was sent does a chain that does not answer give [`ChainError::Unreachable`].
    pub async fn send(&self, wallet: &Wallet, call: Call) -> Result<Receipt, ChainError> {
        self.send_announced(wallet, call, &mut |_| {}).await
    }

    /// As [`send`](Self::send); `announce` hears the transaction's hash before it is sent, so that it can be looked for
    /// even if no answer ever comes.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_announced(
        &self,
        wallet: &Wallet,
        call: Call,
        announce: &mut (dyn FnMut(B256) + Send),
    ) -> Result<Receipt, ChainError> {
        let signed = {
            let _sending = wallet.sending.lock().await;
            let nonce = self.transaction_count(wallet.address()).await?;
            let signed = self.prepare(wallet, &call, nonce).await?;
            announce(signed.hash);
            match self.broadcast(&signed).await {
                Err(error) if may_have_arrived(&error) => {
                    tracing::warn!(transaction = %signed.hash, %error, "nobody knows whether it was sent");
                }
                outcome => outcome?,
            }
            signed
        };
        tracing::debug!(transaction = %signed.hash, nonce = signed.nonce, label = call.label, "sent");
        let receipt = self.wait(&signed).await?;
        if receipt.success {
            Ok(receipt)
        } else {
            Err(self.failure(&call, &receipt).await)
        }
    }

    /// Signs a call with a nonce of the caller's choice and broadcasts nothing.
    ///
    /// Gas is estimated on the newest state unless the call fixes it, so a call that can only succeed after an earlier,
    /// unmined one needs a fixed limit. Fees are twice the base fee plus a tip.
    ///
    /// # Errors
    /// A refusal of the estimate's execution, lack of ether, or no answer.
    pub async fn prepare(
        &self,
        wallet: &Wallet,
        call: &Call,
        nonce: u64,
    ) -> Result<SignedTransaction, ChainError> {
        let from = wallet.address();
        let have = self.balance(from).await?;
        let no_funds = |need| ChainError::NoFunds {
            address: from,
            label: call.label.clone(),
            need,
            have,
        };
        if have < call.value {
            return Err(no_funds(call.value));
        }
        let gas_limit = match call.gas {
            Some(gas) => gas,
            None => self.estimate_gas(from, call).await?,
        };
        let fees = self
            .ask("its fees", || self.provider().estimate_eip1559_fees())
            .await?;
        let need = (U256::from(gas_limit) * U256::from(fees.max_fee_per_gas)).saturating_add(call.value);
        if have < need {
            return Err(no_funds(need));
        }
        wallet.sign_transaction(TxEip1559 {
            chain_id: self.id(),
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            to: call.to.into(),
            value: call.value,
            input: call.data.clone(),
            ..TxEip1559::default()
        })
    }

    /// Sends a signed transaction. Sending it again, pending or mined, is no error.
    ///
    /// # Errors
    /// Another transaction took its nonce, the chain refuses it, or no answer.
    pub async fn broadcast(&self, signed: &SignedTransaction) -> Result<(), ChainError> {
        let what = format!("transaction {}", signed.hash);
        let sent = self
            .ask(&what, || self.provider().send_raw_transaction(&signed.raw))
            .await;
        let error = match sent {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let ChainError::Refused { source, .. } = &error else {
            return Err(error);
        };
        if says(source, "already known") || says(source, "already imported") {
            return Ok(());
        }
        // The answer to an earlier attempt may have been lost, and the transaction mined meanwhile.
        if self.receipt(signed.hash).await?.is_some() {
            return Ok(());
        }
        let taken = says(source, "nonce too low") || says(source, "replacement transaction underpriced");
        Err(if taken {
            ChainError::NonceTaken {
                transaction: signed.hash,
            }
        } else {
            error
        })
    }

    /// The receipt of a transaction, or nothing while it is not mined.
    ///
    /// # Errors
    /// No answer.
    pub async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let receipt = self
            .ask("a receipt", || async {
                self.provider().get_transaction_receipt(transaction).await
            })
            .await?;
        // Some nodes tell of transactions that are still waiting.
        Ok(receipt
            .filter(|receipt| receipt.block_number.is_some())
            .map(Receipt::from))
    }

    /// Waits for the receipt of a transaction that was sent, also while the chain does not answer.
    ///
    /// # Errors
    /// A deadline, or the nonce was taken by another transaction.
    pub async fn wait(&self, signed: &SignedTransaction) -> Result<Receipt, ChainError> {
        let start = Instant::now();
        loop {
            let look = self.receipt(signed.hash).await;
            if let Ok(Some(receipt)) = look {
                return Ok(receipt);
            }
            if start.elapsed() >= self.deadline() {
                return Err(self.never_mined(signed, look.err()).await);
            }
            tokio::time::sleep(self.poll()).await;
        }
    }

    /// Why a transaction has no receipt after the deadline: another one has its nonce, or it still waits, or the last
    /// question for it had no answer. Whatever it is, the sender learns which transaction to look for.
    async fn never_mined(&self, signed: &SignedTransaction, unanswered: Option<ChainError>) -> ChainError {
        let taken = match unanswered {
            Some(error) => Err(error),
            None => self.is_nonce_taken(signed).await,
        };
        match taken {
            Ok(true) => ChainError::NonceTaken {
                transaction: signed.hash,
            },
            waits => ChainError::Deadline {
                transaction: signed.hash,
                seconds: self.deadline().as_secs(),
                source: waits.err().map(Box::new),
            },
        }
    }

    async fn is_nonce_taken(&self, signed: &SignedTransaction) -> Result<bool, ChainError> {
        Ok(self.mined_transaction_count(signed.from).await? > signed.nonce
            && self.receipt(signed.hash).await?.is_none())
    }

    /// The next nonce of an address: how many transactions it sent, pending ones included.
    ///
    /// # Errors
    /// No answer.
    pub async fn transaction_count(&self, address: Address) -> Result<u64, ChainError> {
        self.ask("a transaction count", || async {
            self.provider().get_transaction_count(address).pending().await
        })
        .await
    }

    /// The next nonce of an address counting mined transactions alone.
    ///
    /// # Errors
    /// No answer.
    pub async fn mined_transaction_count(&self, address: Address) -> Result<u64, ChainError> {
        self.ask("a transaction count", || async {
            self.provider().get_transaction_count(address).latest().await
        })
        .await
    }

    /// Why a mined call failed: the call again, on the state after its block.
    ///
    /// # Errors
    /// Nothing: what cannot be found out is said.
    pub async fn failure(&self, call: &Call, receipt: &Receipt) -> ChainError {
        let source = match self.simulate(receipt.from, call).await {
            Err(ChainError::Reverted { source, .. }) => source,
            _ => Revert::from_data(&[]),
        };
        ChainError::Failed {
            label: call.label.clone(),
            transaction: receipt.transaction,
            source,
        }
    }

    /// Gas with a margin; a call that would fail gives its reason instead.
    async fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> {
        self.simulate(from, call).await?;
        let estimate = self
            .ask(&call.label, || self.provider().estimate_gas(request(from, call)))
            .await?;
        Ok(estimate.saturating_mul(100 + GAS_MARGIN_PERCENT) / 100)
    }
}

/// Whether a transaction may have reached the chain although sending it ended in this error.
fn may_have_arrived(error: &ChainError) -> bool {
    match error {
        ChainError::Unreachable { .. } | ChainError::UnexpectedAnswer { .. } => true,
        // Too busy to answer now, after attempts whose answers were lost.
        ChainError::Refused { source, .. } => is_transient(source),
        _ => false,
    }
}

fn says(error: &TransportError, words: &str) -> bool {
    error
        .as_error_resp()
        .is_some_and(|response| response.message.to_lowercase().contains(words))
}
