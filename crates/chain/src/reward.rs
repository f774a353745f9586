//! Splitters: contracts that pay what they receive to fixed payees.
//!
//! Ocean's `Splitter` pays any ERC-20 token that is sent to it. [`release`](Splitter::release) divides all but one base
//! unit of its balance among all payees; the last payee gets what rounding leaves. Its `released` getter is wrong
//! (it reads the two keys the other way round), so payments are read from `PayeePaid` events.
//! Its owner could rewrite the payees: renounce the ownership right after deployment.

use alloy::sol_types::{SolEvent, SolValue};
use posthuman_types::{Address, B256, U256};

use crate::bindings::ISplitter;
use crate::call::Call;
use crate::client::Chain;
use crate::error::ChainError;
use crate::transaction::Receipt;

/// Creation code of `Splitter` of `@oceanprotocol/contracts` 2.6.0, hexadecimal, without constructor arguments.
///
/// The one piece of bytecode in this repository, so that a node needs no package of contracts: its licence is
/// `(Apache-2.0 AND MIT)` by its SPDX line, © BigchainDB GmbH and Ocean Protocol contributors, with parts of
/// OpenZeppelin under MIT. A test compares it with the pinned package.
const SPLITTER_CODE: &str = include_str!("splitter.hex");

/// A Splitter.
#[derive(Clone, Debug)]
pub struct Splitter {
    chain: Chain,
    address: Address,
}

/// What one payee got of one token in one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The token.
    pub token: Address,
    /// The payee.
    pub payee: Address,
    /// Base units.
    pub amount: U256,
    /// The block it is in.
    pub block_number: u64,
    /// The transaction it is in.
    pub transaction: B256,
}

impl Chain {
    /// The Splitter at an address. Asks nothing.
    pub fn splitter(&self, address: Address) -> Splitter {
        Splitter {
            chain: self.clone(),
            address,
        }
    }
}

/// Reads fail if the chain does not answer or the address is no Splitter.
impl Splitter {
    /// The creation of a Splitter. Its address is [`Receipt::created`]; its owner is the sender.
    ///
    /// Each payee needs a share above zero and must be named once; otherwise the contract refuses.
    pub fn deploy(payees: &[(Address, U256)]) -> Call {
        let (accounts, shares): (Vec<Address>, Vec<U256>) = payees.iter().copied().unzip();
        let mut code = splitter_code();
        code.extend((accounts, shares).abi_encode_params());
        Call::create(
            code.into(),
            format!("creating a splitter for {} payees", payees.len()),
        )
    }

    /// The address of a Splitter that a transaction created.
    ///
    /// # Errors
    /// The transaction created nothing.
    pub fn deployed(receipt: &Receipt) -> Result<Address, ChainError> {
        receipt.created.ok_or_else(|| ChainError::UnexpectedAnswer {
            what: format!("transaction {}", receipt.transaction),
            why: "it created no contract".into(),
        })
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its payees with their shares, in the contract's order.
    ///
    /// # Errors
    /// See above.
    pub async fn payees(&self) -> Result<Vec<(Address, U256)>, ChainError> {
        let accounts = self
            .chain
            .read(self.address, &ISplitter::getPayeesCall {})
            .await?;
        let mut payees = Vec::with_capacity(accounts.len());
        for account in accounts {
            payees.push((account, self.shares(account).await?));
        }
        Ok(payees)
    }

    /// The share of an account; zero if it is no payee.
    ///
    /// # Errors
    /// See above.
    pub async fn shares(&self, account: Address) -> Result<U256, ChainError> {
        self.chain
            .read(self.address, &ISplitter::sharesCall { account })
            .await
    }

    /// The sum of all shares.
    ///
    /// # Errors
    /// See above.
    pub async fn total_shares(&self) -> Result<U256, ChainError> {
        self.chain
            .read(self.address, &ISplitter::totalSharesCall {})
            .await
    }

    /// What it paid of a token so far, to all payees.
    ///
    /// # Errors
    /// See above.
    pub async fn total_released(&self, token: Address) -> Result<U256, ChainError> {
        self.chain
            .read(self.address, &ISplitter::totalReleasedCall { token })
            .await
    }

    /// Whether nobody can change the payees any more.
    ///
    /// # Errors
    /// See above.
    pub async fn is_renounced(&self) -> Result<bool, ChainError> {
        Ok(self
            .chain
            .read(self.address, &ISplitter::ownerCall {})
            .await?
            .is_zero())
    }

    /// Gives the ownership up for good. For the owner.
    pub fn renounce(&self) -> Call {
        self.call(
            &ISplitter::renounceOwnershipCall {},
            format!("making the shares of splitter {} final", self.address),
        )
    }

    /// Pays out what is there of a token. Anyone may call it; with nothing there it does nothing.
    pub fn release(&self, token: Address) -> Call {
        self.call(
            &ISplitter::releaseCall { token },
            format!("releasing token {token} from splitter {}", self.address),
        )
    }

    /// Every payment from a block on, in chain order.
    ///
    /// # Errors
    /// No answer.
    pub async fn payments(&self, from_block: u64) -> Result<Vec<Payment>, ChainError> {
        let logs = self
            .chain
            .logs_since(self.address, &[ISplitter::PayeePaid::SIGNATURE_HASH], from_block)
            .await?;
        let payments = logs.iter().filter_map(|log| {
            let event = ISplitter::PayeePaid::decode_log_data(log.data()).ok()?;
            Some(Payment {
                token: event.token,
                payee: event.account,
                amount: event.amount,
                block_number: log.block_number?,
                transaction: log.transaction_hash?,
            })
        });
        Ok(payments.collect())
    }

    fn call<C: alloy::sol_types::SolCall>(&self, call: &C, label: String) -> Call {
        Call::contract(self.address, call, label)
    }
}

/// The creation code without arguments.
pub(crate) fn splitter_code() -> Vec<u8> {
    alloy::hex::decode(SPLITTER_CODE.trim()).expect("a test compares the file with the pinned package")
}

/// What a release of `balance` pays, by the contract's own arithmetic: one unit stays, each payee but the last gets its
/// share rounded down, the last gets the rest.
pub fn release_amounts(balance: U256, payees: &[(Address, U256)]) -> Vec<(Address, U256)> {
    let distributed = balance.saturating_sub(U256::ONE);
    let total = payees
        .iter()
        .fold(U256::ZERO, |sum, (_, share)| sum.saturating_add(*share));
    let mut left = distributed;
    let mut amounts = Vec::with_capacity(payees.len());
    for (index, (payee, share)) in payees.iter().enumerate() {
        let part = if index + 1 == payees.len() || total.is_zero() {
            left
        } else {
            // The contract reverts where this product overflows.
            distributed.saturating_mul(*share) / total
        };
        left = left.saturating_sub(part);
        amounts.push((*payee, part));
    }
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_leaves_one_unit_and_gives_the_rest_to_the_last() {
        let (first, second) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let payees = [(first, U256::from(8000)), (second, U256::from(2000))];
        let amounts = release_amounts(U256::from(10_004), &payees);
        assert_eq!(amounts, [(first, U256::from(8002)), (second, U256::from(2001))]);
        assert_eq!(
            release_amounts(U256::ZERO, &payees),
            [(first, U256::ZERO), (second, U256::ZERO)]
        );
    }

    #[test]
    fn the_code_is_there() {
        assert_eq!(splitter_code().len(), 6167);
    }
}
