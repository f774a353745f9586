//! Splitters: contracts that pay what they receive to fixed payees.
//!
//! Ocean's `Splitter` pays any ERC-20 token that is sent to it. [`release`](Splitter::release) divides all but one base
//! unit of its balance among all payees; the last payee gets what rounding leaves. Its `released` getter is wrong
//! (it reads the two keys the other way round), so payments are read from `PayeePaid` events.
//! Its owner could rewrite the payees: renounce the ownership right after deployment.

use std::path::Path;

use alloy::primitives::b256;
use alloy::sol_types::{SolEvent, SolValue};
use posthuman_types::{Address, B256, U256, keccak256};

use crate::bindings::ISplitter;
use crate::call::Call;
use crate::client::Chain;
use crate::devnet::{Artifacts, DevnetError, Version};
use crate::error::ChainError;
use crate::transaction::Receipt;

/// Keccak-256 of the creation code of `Splitter` of `@oceanprotocol/contracts` 2.6.0, without constructor arguments.
const SPLITTER_HASH: B256 = b256!("ffed8501c310d6617f031403fd4c9108f82cf0f3a4dab13689fdd1c88b3315e7");

/// Creation code of Ocean's `Splitter`, read from the pinned package. No bytecode is part of this program.
#[derive(Clone, Debug)]
pub struct SplitterCode(Vec<u8>);

impl SplitterCode {
    /// Reads it from the folder `contracts/` with its packages installed.
    ///
    /// # Errors
    /// The packages are not there, or hold another `Splitter` than the one this program knows.
    pub fn read(contracts: &Path) -> Result<Self, DevnetError> {
        let (source, contract) = ("df/Splitter.sol", "Splitter");
        let artifacts = Artifacts::open(contracts)?;
        let code = artifacts.creation_code(Version::Current, source, contract)?;
        if keccak256(&code) != SPLITTER_HASH {
            let path = artifacts.path(Version::Current, source, contract);
            return Err(DevnetError::BadArtifact { path });
        }
        Ok(Self(code))
    }
}

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
    pub fn deploy(code: &SplitterCode, payees: &[(Address, U256)]) -> Call {
        let (accounts, shares): (Vec<Address>, Vec<U256>) = payees.iter().copied().unzip();
        let mut code = code.0.clone();
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
    fn another_splitter_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let missing = SplitterCode::read(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("make contracts"), "{missing}");
        for package in ["@oceanprotocol/contracts", "ocean-contracts-1.1.15"] {
            let artifacts = folder.path().join("node_modules").join(package).join("artifacts");
            std::fs::create_dir_all(artifacts.join("contracts/df/Splitter.sol")).unwrap();
            let file = artifacts.join("contracts/df/Splitter.sol/Splitter.json");
            std::fs::write(file, r#"{ "bytecode": "0x6001" }"#).unwrap();
        }
        let other = SplitterCode::read(folder.path()).unwrap_err();
        assert!(matches!(other, DevnetError::BadArtifact { .. }), "{other}");
    }
}
