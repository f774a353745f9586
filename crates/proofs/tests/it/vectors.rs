//! Digests and signatures that another implementation of EIP-712 made (ethers 6, `tests/vectors/make.mjs`).

use posthuman_proofs::{check_publication, check_refusal, check_signature, recover_signer, sign_receipt};
use posthuman_types::{Address, Digest, SignedPublication, SignedReceipt, SignedRefusal};
use serde::Deserialize;

use crate::fixtures::signer;

#[derive(Deserialize)]
struct Vectors {
    signer: Address,
    receipts: Vec<SignedReceipt>,
    refusal: RefusalVector,
    publication: SignedPublication,
}

/// A signed refusal travels without its digest; the vector holds it all the same.
#[derive(Deserialize)]
struct RefusalVector {
    digest: Digest,
    #[serde(flatten)]
    signed: SignedRefusal,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/receipts.json")).unwrap()
}

#[test]
fn receipts_have_the_digests_and_signatures_of_ethers() {
    let vectors = vectors();
    assert_eq!(vectors.receipts.len(), 3);
    assert_eq!(vectors.signer, signer().address());
    for signed in vectors.receipts {
        assert_eq!(signed.receipt.digest(), signed.digest);
        check_signature(&signed, vectors.signer).unwrap();
        // Both sign deterministically (RFC 6979), so that signing again gives the same bytes.
        assert_eq!(sign_receipt(signed.receipt.clone(), &signer()).unwrap(), signed);
    }
}

#[test]
fn refusals_and_publications_have_the_digests_and_signatures_of_ethers() {
    let vectors = vectors();
    assert_eq!(vectors.refusal.signed.refusal.digest(), vectors.refusal.digest);
    check_refusal(&vectors.refusal.signed, vectors.signer).unwrap();
    assert_eq!(vectors.publication.statement.digest(), vectors.publication.digest);
    check_publication(&vectors.publication, vectors.signer).unwrap();
}

/// The first receipt's digest, pinned here too so that a vector file made anew cannot move it unnoticed.
#[test]
fn the_first_digest_stands() {
    let first = vectors().receipts.remove(0);
    assert_eq!(
        first.digest.to_string(),
        "0x3baf13ded8f085feb58b193cec6e9d25379ac429592e0e107f413e6981b3441d"
    );
    assert_eq!(
        recover_signer(first.digest, &first.signature).unwrap(),
        signer().address()
    );
}
