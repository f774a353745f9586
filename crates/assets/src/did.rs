//! How a DID follows from a data NFT.

use posthuman_types::{Address, Did};
use sha2::{Digest, Sha256};

/// The DID of a data NFT: `did:op:` and the SHA-256 of its EIP-55 address text followed by the decimal chain id
/// (Ocean Protocol, DID specification of DDO version 4).
pub fn did_for(nft: Address, chain_id: u64) -> Did {
    // An address prints in its EIP-55 form.
    let digest = Sha256::digest(format!("{nft}{chain_id}"));
    let text = format!("did:op:{}", alloy_primitives::hex::encode(digest));
    text.parse()
        .expect("64 lower-case hexadecimal digits after the prefix are a DID")
}

#[cfg(test)]
mod tests {
    use posthuman_types::address;

    use super::*;

    /// Computed by `@oceanprotocol/ddo-js` 0.2.0, `makeDid`.
    #[test]
    fn agrees_with_ocean() {
        let nft = address!("0x5FbDB2315678afecb367f032d93F642f64180aa3");
        let did = did_for(nft, 8996);
        assert_eq!(
            did.as_str(),
            "did:op:2d05d9481f04e4ba379d166ef4a8fc66aba6396b21051c3544f34f19c6a59ca2"
        );
        assert_ne!(did, did_for(nft, 1));
    }
}
