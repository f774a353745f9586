//! The wallets of a devnet, by name. Everyone knows their keys.

use posthuman_chain::{Wallet, devnet};

use super::Wrong;

/// Names and indices, in the order of the accounts.
pub(crate) const NAMES: [(&str, u32); 7] = [
    ("deployer", devnet::OWNER),
    ("node", devnet::NODE),
    ("alice", devnet::ALICE),
    ("bob", devnet::BOB),
    ("charlie", devnet::CHARLIE),
    ("derek", devnet::DEREK),
    ("elena", devnet::ELENA),
];

/// The wallet of a name.
pub(crate) fn find(name: &str) -> Option<Wallet> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, index)| devnet::account(*index))
}

/// Refuses a devnet's wallet on any other chain.
pub(crate) fn check_chain(name: &str, chain_id: u64) -> Result<(), Wrong> {
    if chain_id == devnet::CHAIN_ID {
        return Ok(());
    }
    Err(Wrong(format!(
        "`{name}` is a wallet of devnets, whose key everyone knows, and this is chain {chain_id}; \
         give a keystore file with --wallet FILE, or an address of yours in hexadecimal"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devnet_wallets_stay_on_devnets() {
        assert!(find("alice").is_some() && find("mallory").is_none());
        assert!(check_chain("alice", 8996).is_ok());
        assert!(
            check_chain("alice", 1)
                .unwrap_err()
                .to_string()
                .contains("chain 1")
        );
    }
}
