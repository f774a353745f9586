//! Keys and values of the data NFT's ERC-725Y store.
//!
//! The chain alone shows a model's lineage: whoever reads the store of a data NFT needs no node. A key is the Keccak-256
//! of a name, as ocean.js's `setData` has it; values are UTF-8 text, so that any tool shows them.

use posthuman_types::{Address, Bytes, Commitment, Did, Digest, ErrorClass, OrderId, keccak256};
use serde::{Deserialize, Serialize};

use crate::facts::Lineage;

/// Schema of the record; another shape has another number.
const SCHEMA: &str = "posthuman/lineage/1";

/// Most bytes of a value that is read.
const MAX_BYTES: usize = 16 * 1024;

/// Name of the [`LineageRecord`].
pub const LINEAGE: &str = "posthuman.lineage";
/// Name of the commitment to the weights.
pub const COMMITMENT: &str = "posthuman.commitment";
/// Name of the address that signs a node's receipts.
pub const RECEIPT_SIGNER: &str = "posthuman.receipt_signer";
/// Name of the node that serves an asset.
pub const NODE: &str = "posthuman.node";
/// Name of the digest of the publication statement of an imported model.
pub const PUBLICATION: &str = "posthuman.publication";

/// The key of a name.
pub fn key(name: &str) -> Digest {
    keccak256(name.as_bytes())
}

/// Key of the [`LineageRecord`]: [`LINEAGE`].
pub fn lineage_key() -> Digest {
    key(LINEAGE)
}

/// Key of the commitment to the weights ([`encode_commitment`]): [`COMMITMENT`].
pub fn commitment_key() -> Digest {
    key(COMMITMENT)
}

/// Key of the address that signs a node's receipts ([`encode_address`]): [`RECEIPT_SIGNER`].
///
/// It stands in the store of the data NFT that is the node's identity. Which value was valid at an order's block
/// follows from that store's `DataChanged` events.
pub fn receipt_signer_key() -> Digest {
    key(RECEIPT_SIGNER)
}

/// Key of the node that serves this asset ([`encode_address`]): [`NODE`].
///
/// The value is the address of the data NFT that is the node's identity: its owner is the node's wallet, its store names
/// the receipt signer.
pub fn node_key() -> Digest {
    key(NODE)
}

/// Key of the digest of the publication statement of an imported model ([`encode_digest`]): [`PUBLICATION`].
pub fn publication_key() -> Digest {
    key(PUBLICATION)
}

/// Name of the digest of the receipt for one order: `posthuman.receipt:` and the order's text.
///
/// For orders of contract wallets, whose requests `orderExecuted` cannot check.
pub fn receipt_name(order: &OrderId) -> String {
    format!("posthuman.receipt:{order}")
}

/// Key of the digest of the receipt for one order ([`encode_digest`]): that of [`receipt_name`].
pub fn receipt_key(order: &OrderId) -> Digest {
    key(&receipt_name(order))
}

/// What the store of a model's data NFT says of its birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageRecord {
    /// Commitment to the weights.
    pub commitment: Commitment,
    /// The share that models trained from this one owe to its holders, in basis points.
    pub parent_share_bps: u16,
    /// Payment collector at birth. Another one now means that somebody changed it.
    pub collector: Address,
    /// Where it comes from.
    pub lineage: Lineage,
}

/// The record as text.
#[derive(Serialize, Deserialize)]
struct Text {
    schema: String,
    commitment: Commitment,
    parent_share_bps: u16,
    #[serde(with = "crate::checksummed")]
    collector: Address,
    #[serde(flatten)]
    lineage: Lineage,
}

/// A value in a store that cannot be what it should be.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// Nothing is stored under the key.
    #[error("the data NFT's store holds nothing under the key of the {what}")]
    Absent {
        /// What was looked for.
        what: &'static str,
    },
    /// Too long.
    #[error("the {what} in the data NFT's store has {found} bytes, more than any has")]
    TooLarge {
        /// What it should be.
        what: &'static str,
        /// Bytes it has.
        found: usize,
    },
    /// Not the JSON that it should be.
    #[error("the {what} in the data NFT's store is not of the expected shape")]
    Shape {
        /// What it should be.
        what: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Not the text that it should be.
    #[error("the {what} in the data NFT's store is not {expected}")]
    Text {
        /// What it should be.
        what: &'static str,
        /// Its form.
        expected: &'static str,
    },
    /// A record that contradicts itself.
    #[error("the lineage in the data NFT's store contradicts itself: {reason}")]
    Contradiction {
        /// What is wrong.
        reason: String,
    },
}

impl LineageError {
    /// What stands on a chain is not ours to mend.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Absent { .. } => ErrorClass::NotFound,
            _ => ErrorClass::Caller,
        }
    }
}

impl LineageRecord {
    /// The value to store: JSON without spaces.
    pub fn encode(&self) -> Bytes {
        let text = Text {
            schema: SCHEMA.to_owned(),
            commitment: self.commitment.clone(),
            parent_share_bps: self.parent_share_bps,
            collector: self.collector,
            lineage: self.lineage.clone(),
        };
        serde_json::to_vec(&text)
            .expect("a lineage holds no map with keys that are not strings")
            .into()
    }

    /// Reads and validates a stored value. Fields that are not known are passed over.
    ///
    /// # Errors
    /// No value, another shape or schema, or a record that contradicts itself.
    pub fn decode(value: &[u8]) -> Result<Self, LineageError> {
        const WHAT: &str = "lineage";
        present(WHAT, value)?;
        let text: Text =
            serde_json::from_slice(value).map_err(|source| LineageError::Shape { what: WHAT, source })?;
        if text.schema != SCHEMA {
            return Err(LineageError::Text {
                what: WHAT,
                expected: "of the schema posthuman/lineage/1",
            });
        }
        let Text {
            commitment,
            parent_share_bps,
            collector,
            lineage,
            ..
        } = text;
        let record = Self {
            commitment,
            parent_share_bps,
            collector,
            lineage,
        };
        record.validate()?;
        Ok(record)
    }

    /// Checks what can be checked without knowing whose record it is.
    ///
    /// # Errors
    /// A share above the whole; generations, parent and origin that do not fit together; weights that are the parent's.
    pub fn validate(&self) -> Result<(), LineageError> {
        let contradiction = |reason: String| Err(LineageError::Contradiction { reason });
        if self.parent_share_bps > 10_000 {
            return contradiction(format!("the parent share is {} of 10000", self.parent_share_bps));
        }
        if let Some((field, reason)) = self.lineage.fault() {
            return contradiction(format!("of `{field}`, {reason}"));
        }
        if self
            .lineage
            .parent
            .as_ref()
            .is_some_and(|parent| parent.commitment == self.commitment)
        {
            return contradiction("its weights are its parent's".to_owned());
        }
        Ok(())
    }

    /// Checks that this is the record of the model `did`.
    ///
    /// # Errors
    /// A record that [`LineageRecord::validate`] refuses, or one of another model.
    pub fn validate_for(&self, did: &Did) -> Result<(), LineageError> {
        self.validate()?;
        match self.lineage.fault_of(did) {
            None => Ok(()),
            Some((field, reason)) => Err(LineageError::Contradiction {
                reason: format!("of `{field}`, {reason}"),
            }),
        }
    }
}

/// A commitment as a value: `scheme:0xroot`.
pub fn encode_commitment(commitment: &Commitment) -> Bytes {
    format!("{}:{}", commitment.scheme, commitment.root)
        .into_bytes()
        .into()
}

/// Reads a commitment.
///
/// # Errors
/// No value, or any other text.
pub fn decode_commitment(value: &[u8]) -> Result<Commitment, LineageError> {
    let what = "commitment";
    let parse = |text: &str| {
        let (scheme, root) = text.rsplit_once(':')?;
        (!scheme.is_empty()).then_some(Commitment {
            scheme: scheme.to_owned(),
            root: digest(root)?,
        })
    };
    parse(text(what, value)?).ok_or(LineageError::Text {
        what,
        expected: "SCHEME:0xROOT",
    })
}

/// An address as a value: its EIP-55 text.
pub fn encode_address(address: Address) -> Bytes {
    address.to_string().into_bytes().into()
}

/// Reads an address. `what` names it in errors: `receipt signer`, `node`.
///
/// # Errors
/// No value, or any text but an EIP-55 address.
pub fn decode_address(what: &'static str, value: &[u8]) -> Result<Address, LineageError> {
    let text = text(what, value)?;
    Address::parse_checksummed(text, None).map_err(|_| LineageError::Text {
        what,
        expected: "an address in EIP-55 form",
    })
}

/// A digest as a value: `0x` and 64 lower-case hex digits.
pub fn encode_digest(digest: Digest) -> Bytes {
    digest.to_string().into_bytes().into()
}

/// Reads a digest. `what` names it in errors: `receipt`, `publication statement`.
///
/// # Errors
/// No value, or any other text.
pub fn decode_digest(what: &'static str, value: &[u8]) -> Result<Digest, LineageError> {
    digest(text(what, value)?).ok_or(LineageError::Text {
        what,
        expected: "0x and 64 lower-case hex digits",
    })
}

fn digest(text: &str) -> Option<Digest> {
    let digest: Digest = text.parse().ok()?;
    (digest.to_string() == text).then_some(digest)
}

fn text<'a>(what: &'static str, value: &'a [u8]) -> Result<&'a str, LineageError> {
    present(what, value)?;
    std::str::from_utf8(value).map_err(|_| LineageError::Text {
        what,
        expected: "UTF-8 text",
    })
}

fn present(what: &'static str, value: &[u8]) -> Result<(), LineageError> {
    match value.len() {
        0 => Err(LineageError::Absent { what }),
        found if found > MAX_BYTES => Err(LineageError::TooLarge { what, found }),
        _ => Ok(()),
    }
}
