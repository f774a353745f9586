//! Whether a receipt holds, by the chain and by nobody's word.
//!
//! The chain says which node an asset belonged to and which key signed its receipts when the order was paid, what the
//! order was, and what the node attested with the consumer's own signature. A receipt signed perfectly by any other
//! key fails. What is *not* checked here: that the work was done as the receipt says; running it again does that.

mod attested;
mod history;
mod material;
mod order;
#[cfg(feature = "node")]
pub mod rerun;
mod signer;

use posthuman_chain::Chain;
use posthuman_types::{Address, Digest, SignedReceipt};
use serde::Serialize;

pub use material::{File, Material};

use crate::MarketError;

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What, in a word or two.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was compared with what.
    pub detail: String,
}

/// All checks of one receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The digest, computed anew.
    pub digest: Digest,
    /// Who signed, if anyone.
    pub signer: Option<Address>,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// What does not make the receipt wrong but should be known, such as a changed payment collector.
    pub warnings: Vec<String>,
}

impl Verification {
    /// Whether every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// The first check that does not hold.
    pub fn failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.ok)
    }

    fn check(&mut self, name: &'static str, ok: bool, detail: impl Into<String>) {
        self.checks.push(Check {
            name,
            ok,
            detail: detail.into(),
        });
    }

    fn result<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        good: impl Into<String>,
        result: Result<(), E>,
    ) {
        match result {
            Ok(()) => self.check(name, true, good),
            Err(error) => self.check(name, false, error.to_string()),
        }
    }

    fn same<T: PartialEq + std::fmt::Display>(&mut self, name: &'static str, receipt: T, chain: T) {
        let ok = receipt == chain;
        let detail = if ok {
            receipt.to_string()
        } else {
            format!("the receipt says {receipt}, the chain {chain}")
        };
        self.check(name, ok, detail);
    }
}

/// Checks a receipt against the chain and against what else is at hand.
///
/// # Errors
/// The chain does not answer. A receipt that does not hold is no error: see [`Verification::holds`].
pub async fn verify(
    chain: &Chain,
    receipt: &SignedReceipt,
    material: &Material,
) -> Result<Verification, MarketError> {
    let digest = receipt.receipt.digest();
    let signer = posthuman_proofs::recover_signer(digest, &receipt.signature).ok();
    let mut verification = Verification {
        digest,
        signer,
        checks: Vec::new(),
        warnings: Vec::new(),
    };
    verification.check(
        "digest",
        digest == receipt.digest,
        match digest == receipt.digest {
            true => digest.to_string(),
            false => format!("the receipt says {}, its fields give {digest}", receipt.digest),
        },
    );
    if receipt.receipt.order.chain_id != chain.id() {
        let detail = format!(
            "the order is on chain {}, this is chain {}",
            receipt.receipt.order.chain_id,
            chain.id()
        );
        verification.check("chain", false, detail);
        return Ok(verification);
    }
    let Some(order) = order::check(chain, &receipt.receipt, &mut verification).await? else {
        return Ok(verification);
    };
    let history = history::History::read(chain, receipt.receipt.nft).await?;
    let signer = signer::check(chain, receipt, &history, order.block_number, &mut verification).await?;
    order::check_weights(&receipt.receipt, &history, order.block_number, &mut verification);
    attested::check_session(receipt, signer, material, &mut verification);
    attested::check(chain, receipt, &order, &history, material, &mut verification).await?;
    material::check(&receipt.receipt, material, &mut verification);
    order::check_collector(chain, &receipt.receipt, &history, &mut verification).await?;
    Ok(verification)
}
