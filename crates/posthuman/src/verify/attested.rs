//! The receipt's digest on the chain, with the request that the consumer signed.

use posthuman_assets::{encode_digest, receipt_key};
use posthuman_chain::{Chain, ExecutionRecord, OrderRecord};
use posthuman_proofs::{check_chain, check_request, recover_signer};
use posthuman_types::{Address, B256, Digest, Receipt, SignedReceipt, StartRequest, keccak256};

use super::history::History;
use super::{Material, Verification};
use crate::MarketError;

/// Finds the attestation. Of a session the digest of the last turn is on the chain: earlier turns hang on it by the
/// chain of receipts.
pub(super) async fn check(
    chain: &Chain,
    receipt: &SignedReceipt,
    order: &OrderRecord,
    signer: Option<Address>,
    material: &Material,
    verification: &mut Verification,
) -> Result<(), MarketError> {
    let executions = chain
        .datatoken(order.datatoken)
        .executions(order.id.transaction, order.block_number)
        .await?;
    let own: Vec<&ExecutionRecord> = executions
        .iter()
        .filter(|record| record.provider == receipt.receipt.node && names(record, receipt))
        .collect();
    if let Some(record) = own
        .iter()
        .find(|record| digest_of(record) == Some(verification.digest))
    {
        let detail = format!("by the node in transaction {}", record.transaction);
        verification.check("attested", true, detail);
        check_consumer(&receipt.receipt, record, verification);
        return Ok(());
    }
    if chain.is_contract(order.consumer).await? {
        let history = History::read(chain, receipt.receipt.nft).await?;
        let key = receipt_key(&order.id);
        let held = |digest| history.ever_held(key, &encode_digest(digest));
        check_links(receipt, signer, material, verification, &held);
        return Ok(());
    }
    let held = |digest: Digest| own.iter().any(|record| digest_of(record) == Some(digest));
    check_links(receipt, signer, material, verification, &held);
    Ok(())
}

/// The consumer's signature stands on the chain beside the digest; here it is compared with the receipt.
fn check_consumer(receipt: &Receipt, record: &ExecutionRecord, verification: &mut Verification) {
    let execution = &record.execution;
    verification.same("consumer of the request", receipt.consumer, execution.consumer);
    let message = keccak256(&execution.consumer_data);
    let signer = recover_signer(prefixed(message), &execution.consumer_signature).ok();
    let signed = signer == Some(receipt.consumer);
    verification.check(
        "consumer's signature",
        signed,
        format!("by {} over the start request", receipt.consumer),
    );
    match StartRequest::decode(&execution.consumer_data) {
        Some(request) => verification.result(
            "request",
            "what was run is what was asked",
            check_request(receipt, &request),
        ),
        None => verification.check("request", false, "the consumer's data are no start request"),
    }
}

/// Earlier turns of a session, and receipts for contract wallets, whose requests do not stand on the chain.
fn check_links(
    receipt: &SignedReceipt,
    signer: Option<Address>,
    material: &Material,
    verification: &mut Verification,
    held: &dyn Fn(Digest) -> bool,
) {
    if held(verification.digest) {
        return verification.check("attested", true, "in the data NFT's store, for a contract wallet");
    }
    let session = &material.session;
    let within = session.iter().any(|other| other.receipt == receipt.receipt);
    let last = session.last().map(|last| last.receipt.digest());
    match (signer, last) {
        (Some(signer), Some(last)) if within && held(last) => {
            let links = check_chain(session, signer);
            verification.result(
                "attested",
                "by the chain of receipts up to the session's last, which is on the chain",
                links,
            );
        }
        _ => verification.check(
            "attested",
            false,
            "the node has not put this receipt's digest on the chain (yet)",
        ),
    }
}

/// The contract does not check which order is named, so the logged one must be the receipt's.
fn names(record: &ExecutionRecord, receipt: &SignedReceipt) -> bool {
    record.execution.order_transaction == receipt.receipt.order.transaction
}

fn digest_of(record: &ExecutionRecord) -> Option<Digest> {
    B256::try_from(record.execution.provider_data.as_ref()).ok()
}

/// EIP-191, version 0x45, over 32 bytes.
fn prefixed(message: B256) -> B256 {
    keccak256([b"\x19Ethereum Signed Message:\n32".as_slice(), message.as_slice()].concat())
}
