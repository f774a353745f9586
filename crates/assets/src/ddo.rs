//! Ocean's asset document (DDO), version 4, as JSON.
//!
//! Fields that this program does not know are kept and written back, so that assets of others pass through unharmed;
//! their order and the case of addresses may change, so whoever needs the exact bytes keeps the bytes.
//! Source: Ocean Protocol's DDO specification and the shapes of `@oceanprotocol/ddo-js` 0.2.0 (`schemas/4.*.ttl`).

use posthuman_types::{Address, Did, ErrorClass};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::did::did_for;
use crate::facts::AssetFacts;

/// The version that this program writes.
pub const VERSION: &str = "4.1.0";

/// The versions that it reads. They differ in lengths and in what may be empty, not in shape.
const VERSIONS: [&str; 4] = [VERSION, "4.3.0", "4.5.0", "4.7.0"];

/// Most bytes of a DDO. A transaction that carries more is refused by common nodes (128 KiB).
pub const MAX_DDO_BYTES: usize = 128 * 1024;

/// A DDO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ddo {
    /// JSON-LD contexts; Ocean's is `["https://w3id.org/did/v1"]`.
    #[serde(rename = "@context", default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// The asset's identifier.
    pub id: Did,
    /// Version of the document's format.
    pub version: String,
    /// Chain of the data NFT.
    pub chain_id: u64,
    /// The data NFT.
    #[serde(with = "crate::checksummed")]
    pub nft_address: Address,
    /// What the asset is.
    pub metadata: Metadata,
    /// What can be ordered; `startOrder` counts them from 0.
    #[serde(default, deserialize_with = "or_default")]
    pub services: Vec<Service>,
    /// Who may order, in Ocean's form. Kept, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What an asset is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// When it was first published, ISO 8601.
    pub created: String,
    /// When it was last changed.
    pub updated: String,
    /// `dataset` (models are datasets to Ocean) or `algorithm`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Who made it, for people.
    pub author: String,
    /// SPDX expression or URL.
    pub license: String,
    /// Words to find it by.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tags: Vec<String>,
    /// How an algorithm runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// Free; the key `posthuman` holds [`AssetFacts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_information: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How an algorithm runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Algorithm {
    /// Language, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Version of the algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The container.
    pub container: Container,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The container of an algorithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Command.
    pub entrypoint: String,
    /// Image.
    pub image: String,
    /// Tag of the image.
    pub tag: String,
    /// Checksum of the image.
    pub checksum: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One thing that can be ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Identifier in this document.
    pub id: String,
    /// `compute` or `access`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The sealed files object, as `0x…`.
    pub files: String,
    /// The datatoken that is spent.
    #[serde(with = "crate::checksummed")]
    pub datatoken_address: Address,
    /// The node that serves it.
    pub service_endpoint: String,
    /// Seconds that an order lasts; 0 is for ever.
    pub timeout: u64,
    /// Which algorithms may run on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<Compute>,
    /// Free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_information: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Which algorithms may run on a dataset. Both lists empty: none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compute {
    /// Whether any code may be sent along. Never, on a model.
    pub allow_raw_algorithm: bool,
    /// Whether an algorithm may reach the network. Never, on a model.
    pub allow_network_access: bool,
    /// Publishers whose every algorithm may run, by data NFT.
    #[serde(default, deserialize_with = "or_default")]
    pub publisher_trusted_algorithm_publishers: Vec<String>,
    /// Single algorithms that may run.
    #[serde(default, deserialize_with = "or_default")]
    pub publisher_trusted_algorithms: Vec<TrustedAlgorithm>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An algorithm that may run on a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "an object with did, filesChecksum and containerSectionChecksum, or the text `*`"
)]
pub enum TrustedAlgorithm {
    /// This one, unchanged.
    #[serde(rename_all = "camelCase")]
    One {
        /// Its DID.
        did: String,
        /// SHA-256 of its files, as 64 hex digits.
        files_checksum: String,
        /// SHA-256 of entry point and image checksum, as 64 hex digits.
        container_section_checksum: String,
        /// Everything else.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// `*`: any.
    Any(String),
}

/// A document that is not a DDO of version 4.
#[derive(Debug, thiserror::Error)]
pub enum DdoError {
    /// More bytes than can be published.
    #[error(
        "the DDO has {found} bytes and {MAX_DDO_BYTES} are the most: shorten its description or its information"
    )]
    TooLarge {
        /// Bytes it has.
        found: usize,
    },
    /// Not a JSON object with a version.
    #[error("the DDO is not JSON with an `id` and a `version`")]
    Json {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A version that this program does not read.
    #[error("the DDO has version `{found}`: versions 4.1.0, 4.3.0, 4.5.0 and 4.7.0 are read")]
    Version {
        /// The version it has.
        found: String,
    },
    /// A field that is absent or of another type.
    #[error("the DDO's field `{path}` is missing a part or has the wrong type")]
    Field {
        /// Where, as a JSON path.
        path: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A value that is not allowed there.
    #[error("the DDO's field `{path}` is not right: {reason}")]
    Rule {
        /// Where, as a JSON path.
        path: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Published compressed.
    #[error(
        "the DDO was published LZMA-compressed (flag 1), which is not read here: publish it plain (flags 0)"
    )]
    Compressed,
    /// Published encrypted.
    #[error("the DDO was published encrypted (flag 2) and only the node that encrypted it can read it")]
    Encrypted,
    /// Published in a way that no rule describes.
    #[error(
        "the DDO was published with the flags {flags}, which have no meaning: 0 is plain, 1 LZMA, 2 encrypted"
    )]
    Flags {
        /// The flags, in hex.
        flags: String,
    },
    /// The hash that was published is another document's.
    #[error(
        "the DDO does not have the hash it was published with, {published}: it was damaged or made wrongly"
    )]
    Hash {
        /// The hash on the chain.
        published: String,
    },
}

impl DdoError {
    /// A document is its publisher's to mend.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            _ => ErrorClass::Caller,
        }
    }

    pub(crate) fn rule(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Rule {
            path: path.into(),
            reason: reason.into(),
        }
    }
}

impl Ddo {
    /// Reads and validates a DDO of anybody: Ocean's shapes of version 4, and the DID that belongs to data NFT and chain.
    ///
    /// It does not check who published it, nor what is claimed in it about a model ([`Ddo::facts`] reads that).
    ///
    /// # Errors
    /// Too many bytes, no JSON, another version, or the first field that is not right, by its JSON path.
    pub fn parse(bytes: &[u8]) -> Result<Self, DdoError> {
        if bytes.len() > MAX_DDO_BYTES {
            return Err(DdoError::TooLarge { found: bytes.len() });
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|source| DdoError::Json { source })?;
        if !VERSIONS.contains(&head.version.as_str()) {
            return Err(DdoError::Version {
                found: head.version.chars().take(32).collect(),
            });
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let ddo: Self =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| DdoError::Field {
                path: error.path().to_string(),
                source: error.into_inner(),
            })?;
        crate::rules::check(&ddo)?;
        Ok(ddo)
    }

    /// The bytes of the document as it is published: JSON without spaces, fields in the order of their declaration.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a DDO holds no map with keys that are not strings")
    }

    /// What the document says of a Posthuman asset; nothing for an asset of others.
    ///
    /// These are its publisher's words: commitment, lineage and rewards are checked against the chain.
    ///
    /// # Errors
    /// Facts of an unknown schema, of the wrong shape or that contradict themselves.
    pub fn facts(&self) -> Result<Option<AssetFacts>, DdoError> {
        AssetFacts::read(self)
    }

    /// The datatokens of its services, each once, in order.
    pub fn datatokens(&self) -> Vec<Address> {
        let mut datatokens = Vec::new();
        for service in &self.services {
            if !datatokens.contains(&service.datatoken_address) {
                datatokens.push(service.datatoken_address);
            }
        }
        datatokens
    }

    /// Checks that this document may stand on that data NFT. The emitter of the event is what counts, not the text.
    ///
    /// # Errors
    /// A document that names another NFT or another chain.
    pub fn check_place(&self, nft: Address, chain_id: u64) -> Result<(), DdoError> {
        if self.nft_address != nft {
            return Err(DdoError::rule(
                "nftAddress",
                format!("it was published by the data NFT {nft}"),
            ));
        }
        if self.chain_id != chain_id {
            return Err(DdoError::rule(
                "chainId",
                format!("it was published on chain {chain_id}"),
            ));
        }
        if self.id != did_for(nft, chain_id) {
            return Err(DdoError::rule(
                "id",
                format!("the DID of this NFT is {}", did_for(nft, chain_id)),
            ));
        }
        Ok(())
    }
}

/// What is read before the version is known.
#[derive(Deserialize)]
struct Head {
    version: String,
    #[serde(rename = "id")]
    _id: IgnoredAny,
}

/// `null` is the same as nothing.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
