//! The accounts of a devnet. **Everyone knows their keys**: they are anvil's own and worth nothing anywhere else.

use alloy::signers::local::MnemonicBuilder;

use crate::wallet::Wallet;

/// The mnemonic that anvil, hardhat and most Ethereum tools use for private chains.
const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Owns and deploys the contracts.
pub const OWNER: u32 = 0;
/// The node's wallet.
pub const NODE: u32 = 1;
/// A user.
pub const ALICE: u32 = 2;
/// A user.
pub const BOB: u32 = 3;
/// A user.
pub const CHARLIE: u32 = 4;
/// A user.
pub const DEREK: u32 = 5;
/// A user.
pub const ELENA: u32 = 6;

/// The wallet of a devnet account by its index (BIP-44 path `m/44'/60'/0'/0/INDEX`). Anvil gives ether to 0 to 9.
pub fn account(index: u32) -> Wallet {
    let signer = MnemonicBuilder::english()
        .phrase(MNEMONIC)
        .index(index)
        .and_then(|builder| builder.build());
    Wallet::from_signer(signer.expect("the mnemonic is valid and every index has a path"))
}

#[cfg(test)]
mod tests {
    use posthuman_types::address;

    use super::*;

    #[test]
    fn the_first_account_is_the_well_known_one() {
        assert_eq!(
            account(OWNER).address(),
            address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
        );
        assert_eq!(
            account(NODE).address(),
            address!("70997970C51812dc3A010C7d01b50e0d17dc79C8")
        );
    }
}
