//! Whose receipt it may be: the asset names its node, the node's identity its receipt signer, both at the order's block.

use posthuman_assets::{decode_address, node_key, receipt_signer_key};
use posthuman_chain::Chain;
use posthuman_types::{Address, SignedReceipt};

use super::Verification;
use super::history::History;
use crate::MarketError;

/// Checks node and signature. Returns the registered receipt signer, if there was one.
pub(super) async fn check(
    chain: &Chain,
    receipt: &SignedReceipt,
    asset: &History,
    block: u64,
    verification: &mut Verification,
) -> Result<Option<Address>, MarketError> {
    let Some(identity_nft) = address_at(asset, node_key(), block) else {
        let detail = format!(
            "the data NFT {} named no node at block {block}",
            receipt.receipt.nft
        );
        verification.check("node", false, detail);
        return Ok(None);
    };
    let identity = History::read(chain, identity_nft).await?;
    let owner = identity.owner_at(block).unwrap_or(Address::ZERO);
    verification.same("node", receipt.receipt.node, owner);
    let Some(registered) = address_at(&identity, receipt_signer_key(), block) else {
        let detail =
            format!("the node's identity {identity_nft} registered no receipt signer at block {block}");
        verification.check("signature", false, detail);
        return Ok(None);
    };
    let good = format!("by {registered}, registered at block {block}");
    verification.result(
        "signature",
        good,
        posthuman_proofs::check_signature(receipt, registered),
    );
    Ok(Some(registered))
}

fn address_at(history: &History, key: posthuman_types::B256, block: u64) -> Option<Address> {
    history
        .value_at(key, block)
        .and_then(|value| decode_address("an address", value).ok())
}
