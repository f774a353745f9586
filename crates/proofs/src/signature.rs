//! The node's signatures: over receipts, refusals and publication statements alike.

use alloy_primitives::{Signature, U256};
use alloy_signer::SignerSync;
use posthuman_types::{
    Address, Bytes, Digest, ErrorClass, PublicationStatement, Receipt, Refusal, SignedPublication,
    SignedReceipt, SignedRefusal,
};

/// Signing failed.
#[derive(Debug, thiserror::Error)]
#[error("the receipt signer could not sign")]
pub struct SignError {
    source: alloy_signer::Error,
}

impl SignError {
    /// The key is out of reach.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

/// A signature that does not vouch for what it stands under.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 65 bytes with a final 27 or 28.
    #[error("the signature is malformed: expected 65 bytes r, s, v with v 27 or 28, found {found}")]
    Malformed {
        /// What was found instead.
        found: String,
    },
    /// The mirror image of a valid signature, which anyone can make without the key (EIP-2).
    #[error("the signature is malleable: its s lies in the upper half of the curve's order")]
    Malleable,
    /// No key makes this signature over this digest.
    #[error("no key can have made this signature over this digest")]
    Unrecoverable,
    /// Made by another key.
    #[error("signed by {found}, not by the receipt signer {expected}")]
    OtherSigner {
        /// Whose signature was expected.
        expected: Address,
        /// Who signed.
        found: Address,
    },
    /// The digest that travels with the content is not the content's.
    #[error("the digest says {stated} and the content gives {computed}: one of them was changed")]
    OtherDigest {
        /// The digest that came along.
        stated: Digest,
        /// The digest of the content.
        computed: Digest,
    },
}

impl SignatureError {
    /// What is signed is its bringer's to mend.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Signs a receipt.
///
/// # Errors
/// A signer that cannot sign (a hardware key, say).
pub fn sign_receipt(
    receipt: Receipt,
    signer: &(impl SignerSync + ?Sized),
) -> Result<SignedReceipt, SignError> {
    let digest = receipt.digest();
    Ok(SignedReceipt {
        receipt,
        digest,
        signature: sign(digest, signer)?,
    })
}

/// Signs a refusal.
///
/// # Errors
/// As [`sign_receipt`].
pub fn sign_refusal(
    refusal: Refusal,
    signer: &(impl SignerSync + ?Sized),
) -> Result<SignedRefusal, SignError> {
    let signature = sign(refusal.digest(), signer)?;
    Ok(SignedRefusal { refusal, signature })
}

/// Signs the publication statement of an imported model.
///
/// # Errors
/// As [`sign_receipt`].
pub fn sign_publication(
    statement: PublicationStatement,
    signer: &(impl SignerSync + ?Sized),
) -> Result<SignedPublication, SignError> {
    let digest = statement.digest();
    Ok(SignedPublication {
        statement,
        digest,
        signature: sign(digest, signer)?,
    })
}

/// Checks that `expected` signed exactly this receipt.
///
/// It does not know which signer was valid when the order was placed, nor whether what the receipt says is so.
///
/// # Errors
/// A digest that is not the receipt's, a malformed or malleable signature, another signer.
pub fn check_signature(signed: &SignedReceipt, expected: Address) -> Result<(), SignatureError> {
    check(receipt_signer(signed)?, expected)
}

/// Checks that `expected` signed exactly this refusal.
///
/// # Errors
/// A malformed or malleable signature, another signer.
pub fn check_refusal(signed: &SignedRefusal, expected: Address) -> Result<(), SignatureError> {
    check(
        recover_signer(signed.refusal.digest(), &signed.signature)?,
        expected,
    )
}

/// Checks that `expected` signed exactly this publication statement.
///
/// # Errors
/// As [`check_signature`].
pub fn check_publication(signed: &SignedPublication, expected: Address) -> Result<(), SignatureError> {
    same_digest(signed.digest, signed.statement.digest())?;
    check(recover_signer(signed.digest, &signed.signature)?, expected)
}

/// Who signed a receipt. The digest is computed anew.
///
/// # Errors
/// A digest that is not the receipt's, a malformed or malleable signature.
pub fn receipt_signer(signed: &SignedReceipt) -> Result<Address, SignatureError> {
    same_digest(signed.digest, signed.receipt.digest())?;
    recover_signer(signed.digest, &signed.signature)
}

/// Who signed a digest. `signature` is r ‖ s ‖ v; s must be in the lower half of the curve's order (EIP-2) and v 27 or
/// 28, so that a signature has one form only.
///
/// # Errors
/// Any other form, or a signature that no key can have made.
pub fn recover_signer(digest: Digest, signature: &[u8]) -> Result<Address, SignatureError> {
    let malformed = |found: String| SignatureError::Malformed { found };
    let bytes: &[u8; 65] = signature
        .try_into()
        .map_err(|_| malformed(format!("{} bytes", signature.len())))?;
    let v = bytes[64];
    if !matches!(v, 27 | 28) {
        return Err(malformed(format!("v {v}")));
    }
    let signature = Signature::from_bytes_and_parity(&bytes[..64], v == 28);
    if signature.r() == U256::ZERO || signature.s() == U256::ZERO {
        return Err(SignatureError::Unrecoverable);
    }
    if signature.normalize_s().is_some() {
        return Err(SignatureError::Malleable);
    }
    signature
        .recover_address_from_prehash(&digest)
        .map_err(|_| SignatureError::Unrecoverable)
}

fn sign(digest: Digest, signer: &(impl SignerSync + ?Sized)) -> Result<Bytes, SignError> {
    // `sign_hash_sync` signs the 32 bytes as they are: the digest already is the EIP-712 signing hash.
    let signature = signer
        .sign_hash_sync(&digest)
        .map_err(|source| SignError { source })?;
    Ok(signature.normalized_s().as_bytes().into())
}

fn same_digest(stated: Digest, computed: Digest) -> Result<(), SignatureError> {
    if stated == computed {
        Ok(())
    } else {
        Err(SignatureError::OtherDigest { stated, computed })
    }
}

fn check(found: Address, expected: Address) -> Result<(), SignatureError> {
    if found == expected {
        Ok(())
    } else {
        Err(SignatureError::OtherSigner { expected, found })
    }
}
