//! The receipt's digest on the chain, with the request that the consumer signed.

use posthuman_assets::{encode_digest, receipt_key};
use posthuman_chain::{Chain, ExecutionRecord, OrderRecord};
use posthuman_proofs::{check_chain, check_request, recover_signer};
use posthuman_types::{Address, B256, Digest, Operation, Receipt, SignedReceipt, StartRequest, keccak256};

use super::history::History;
use super::{Material, Verification};
use crate::MarketError;

/// Of a session only the digest of the last turn is on the chain: earlier turns hang on it by the chain of receipts,
/// which must hold whenever more than one receipt is given.
pub(super) fn check_session(
    receipt: &SignedReceipt,
    signer: Option<Address>,
    material: &Material,
    verification: &mut Verification,
) {
    let session = &material.session;
    if session.len() < 2 {
        return;
    }
    if !session.contains(receipt) {
        let detail = "the session that was given does not hold this receipt";
        return verification.check("session", false, detail);
    }
    match signer {
        Some(signer) => verification.result(
            "session",
            format!("one chain of {} receipts", session.len()),
            check_chain(session, signer),
        ),
        None => verification.check("session", false, "nobody is known who may sign its receipts"),
    }
}

/// Finds the attestation: in an `orderExecuted` of the node, or, for a consumer that was a contract when the node
/// settled, in the data NFT's store. Code comes to an account and goes (EIP-7702), so either place will do.
pub(super) async fn check(
    chain: &Chain,
    receipt: &SignedReceipt,
    order: &OrderRecord,
    asset: &History,
    material: &Material,
    verification: &mut Verification,
) -> Result<(), MarketError> {
    let executions = chain
        .datatoken(order.datatoken)
        .executions(order.id.transaction, order.block_number)
        .await?;
    let executed = |digest: Digest| {
        executions.iter().find(|record| {
            record.provider == receipt.receipt.node
                && names(record, receipt)
                && digest_of(record) == Some(digest)
        })
    };
    if let Some(record) = executed(verification.digest) {
        let detail = format!("by the node in transaction {}", record.transaction);
        verification.check("attested", true, detail);
        check_consumer(&receipt.receipt, record, verification);
        return Ok(());
    }
    let stored = |digest: Digest| {
        let value = encode_digest(digest);
        asset
            .values(receipt_key(&order.id))
            .any(|stored| *stored == value)
    };
    if stored(verification.digest) {
        verification.check(
            "attested",
            true,
            "in the data NFT's store, as for a contract wallet",
        );
        if !chain.is_contract(order.consumer).await? {
            verification.warnings.push(format!(
                "the consumer {} has no code now, and its signed request does not stand on the chain",
                order.consumer
            ));
        }
        return Ok(());
    }
    let last = material
        .session
        .last()
        .filter(|_| material.session.contains(receipt));
    let last = last.map(|last| last.receipt.digest());
    if last.is_some_and(|last| executed(last).is_some() || stored(last)) {
        let detail = "by the chain of receipts up to the session's last, which is on the chain";
        verification.check("attested", true, detail);
    } else {
        verification.check("attested", false, absent(&receipt.receipt, material));
    }
    Ok(())
}

/// What to do about a digest that is not on the chain.
fn absent(receipt: &Receipt, material: &Material) -> &'static str {
    if receipt.operation == Operation::Infer && material.session.len() < 2 {
        "the chain does not hold this receipt's digest; of a session it holds that of the last turn alone, so give the \
         whole session's list of receipts: `receipts` of what `posthuman --json infer` writes"
    } else {
        "the node has not put this receipt's digest on the chain (yet)"
    }
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
