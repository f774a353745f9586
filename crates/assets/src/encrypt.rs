//! Sealing of the files objects of services.
//!
//! A service's `files` is public text on the chain and must not say where anything lies. It is the files object, sealed
//! by the node that serves it, with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under the node's documents key:
//! `0x` and the hex of `version ‖ nonce (24 bytes) ‖ ciphertext and tag`. Data NFT and datatoken are bound to it, so
//! that a sealed object moved to another asset does not open.
//!
//! Ocean's own nodes seal with ECIES to their own key; neither opens what the other sealed, and neither needs to.

use std::fmt;

use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use posthuman_types::{Address, Commitment, ErrorClass, ObjectId, Operation};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Version of the sealed form.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const PURPOSE: &[u8] = b"posthuman/files/1";

/// Most characters of a sealed text that is opened (the most that Ocean's shapes allow).
const MAX_CHARACTERS: usize = 8_192;

/// The node's key for files objects: 32 bytes, wiped when dropped, printed as `DocumentsKey(secret)`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DocumentsKey([u8; 32]);

impl DocumentsKey {
    /// Takes the bytes of a stored key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    /// An operating system without randomness.
    pub fn generate() -> Result<Self, EncryptError> {
        <[u8; 32]>::try_generate()
            .map(Self)
            .map_err(|_| EncryptError::Randomness)
    }

    /// The bytes, for sealing them away.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

impl fmt::Debug for DocumentsKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DocumentsKey(secret)")
    }
}

/// What a service's `files` holds once opened. The names are Ocean's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesObject {
    /// The datatoken of the service.
    #[serde(rename = "datatokenAddress", with = "crate::checksummed")]
    pub datatoken: Address,
    /// The data NFT of the asset.
    #[serde(rename = "nftAddress", with = "crate::checksummed")]
    pub nft: Address,
    /// The files; none for a blank model.
    pub files: Vec<FileObject>,
}

/// One file of a service. There is no type that names a place where weights lie in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FileObject {
    /// Sealed weights in the node's vault.
    Vault {
        /// The object.
        object: ObjectId,
        /// What the weights must be.
        commitment: Commitment,
    },
    /// An operation built into the node's engine.
    Engine {
        /// Which one.
        operation: Operation,
        /// Name and version of the engine.
        engine: String,
    },
}

/// A files object that could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// No randomness for a key or a nonce.
    #[error("the operating system gives no random bytes, without which nothing can be sealed")]
    Randomness,
    /// More than a service's `files` may hold.
    #[error(
        "the files object is too large: sealed it has {found} characters and {MAX_CHARACTERS} are the most"
    )]
    TooLarge {
        /// Characters it has.
        found: usize,
    },
    /// Not a sealed text of this form.
    #[error(
        "`files` is not a text that this program sealed: expected 0x and the hex of a sealed object of version 1"
    )]
    Form,
    /// Changed, moved, or sealed by somebody else.
    #[error(
        "`files` of data NFT {nft} does not open: it was changed, belongs to another data NFT or datatoken, \
         or was sealed under another node's documents key"
    )]
    Tampered {
        /// The data NFT.
        nft: Address,
    },
    /// Opened, but of an unknown kind.
    #[error("`files` opens to an object of an unknown kind: it was sealed by a newer program")]
    Content {
        /// What the parser says.
        source: serde_json::Error,
    },
}

impl EncryptError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Randomness => ErrorClass::Unavailable,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Form | Self::Tampered { .. } | Self::Content { .. } => ErrorClass::Caller,
        }
    }
}

/// Seals a files object for the service that has its datatoken. Each sealing gives another text.
///
/// # Errors
/// No randomness, or more files than a service may have.
pub fn seal_files(key: &DocumentsKey, files: &FilesObject) -> Result<String, EncryptError> {
    let nonce = XNonce::try_generate().map_err(|_| EncryptError::Randomness)?;
    let plain =
        serde_json::to_vec(files).expect("a files object holds no map with keys that are not strings");
    let plain = Zeroizing::new(plain);
    let bound = bound(files.nft, files.datatoken);
    let sealed = key.cipher().encrypt(
        &nonce,
        Payload {
            msg: &plain,
            aad: &bound,
        },
    );
    // The cipher fails only for messages of 256 GiB and more.
    let sealed = sealed.map_err(|_| EncryptError::TooLarge {
        found: plain.len().saturating_mul(2),
    })?;
    let text = alloy_primitives::hex::encode_prefixed([&[VERSION][..], &nonce, &sealed].concat());
    if text.len() > MAX_CHARACTERS {
        return Err(EncryptError::TooLarge { found: text.len() });
    }
    Ok(text)
}

/// Opens the `files` of a service. `nft` and `datatoken` come from the chain, not from the document.
///
/// # Errors
/// A text of another form, one that was changed, moved or sealed under another key, or an unknown kind of file.
pub fn open_files(
    key: &DocumentsKey,
    nft: Address,
    datatoken: Address,
    files: &str,
) -> Result<FilesObject, EncryptError> {
    if files.len() > MAX_CHARACTERS {
        return Err(EncryptError::TooLarge { found: files.len() });
    }
    let digits = files.strip_prefix("0x").ok_or(EncryptError::Form)?;
    let bytes = alloy_primitives::hex::decode(digits).map_err(|_| EncryptError::Form)?;
    let Some(([VERSION], rest)) = bytes.split_first_chunk::<1>() else {
        return Err(EncryptError::Form);
    };
    let (nonce, sealed) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(EncryptError::Form)?;
    let bound = bound(nft, datatoken);
    let plain = key.cipher().decrypt(
        nonce.into(),
        Payload {
            msg: sealed,
            aad: &bound,
        },
    );
    let plain = Zeroizing::new(plain.map_err(|_| EncryptError::Tampered { nft })?);
    serde_json::from_slice(&plain).map_err(|source| EncryptError::Content { source })
}

fn bound(nft: Address, datatoken: Address) -> Vec<u8> {
    [PURPOSE, nft.as_slice(), datatoken.as_slice()].concat()
}
