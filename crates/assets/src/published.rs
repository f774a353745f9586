//! A DDO as the chain carries it: the arguments of `setMetaData`, the data of `MetadataCreated` and `MetadataUpdated`.

use alloy_primitives::hex;
use posthuman_types::{B256, Bytes};
use sha2::{Digest, Sha256};

use crate::ddo::{Ddo, DdoError, MAX_DDO_BYTES};

const COMPRESSED: u8 = 1;
const ENCRYPTED: u8 = 2;

/// What `setMetaData` takes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// How the data are to be read: one byte, 0 for plain.
    pub flags: Bytes,
    /// The document.
    pub data: Bytes,
    /// Its hash.
    pub hash: B256,
}

impl Published {
    /// A document published plain, for everybody to read.
    ///
    /// The hash is the one that ocean.js writes and ocean-node's indexer asks for with flags 0: SHA-256 over the ASCII
    /// text `0x…` of the data in hex, not over the data.
    pub fn plain(ddo: &Ddo) -> Self {
        let data = ddo.to_bytes();
        let hash = hash_of_hex(&data);
        Self {
            flags: Bytes::from_static(&[0]),
            data: data.into(),
            hash,
        }
    }
}

/// Reads a document from the event that published it.
///
/// The hash may be of the data themselves or of their hex text: Ocean's tools write both.
///
/// # Errors
/// A document that is compressed or encrypted, that has another hash, or that [`Ddo::parse`] refuses.
pub fn read_published(flags: &[u8], data: &[u8], hash: B256) -> Result<Ddo, DdoError> {
    match flags {
        [before @ .., last] if before.iter().all(|byte| *byte == 0) => match last {
            0 => {}
            last if last & !(COMPRESSED | ENCRYPTED) != 0 => return Err(unknown(flags)),
            last if last & ENCRYPTED != 0 => return Err(DdoError::Encrypted),
            _ => return Err(DdoError::Compressed),
        },
        [] => {}
        _ => return Err(unknown(flags)),
    }
    if data.len() > MAX_DDO_BYTES {
        return Err(DdoError::TooLarge { found: data.len() });
    }
    if hash_of_hex(data) != hash && B256::from_slice(&Sha256::digest(data)) != hash {
        return Err(DdoError::Hash {
            published: hash.to_string(),
        });
    }
    Ddo::parse(data)
}

fn hash_of_hex(data: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(hex::encode_prefixed(data)))
}

fn unknown(flags: &[u8]) -> DdoError {
    DdoError::Flags {
        flags: hex::encode_prefixed(&flags[..flags.len().min(32)]),
    }
}

#[cfg(test)]
mod tests {
    use posthuman_types::b256;

    use super::*;

    /// Computed by `@oceanprotocol/lib` 8.6.2 when it publishes this document plain.
    #[test]
    fn the_hash_is_the_one_of_ocean() {
        assert_eq!(
            hash_of_hex(br#"{"id":"did:op:1","version":"4.1.0"}"#),
            b256!("0xd86698c67f41035f41bb85ccda2d449b8e4c521fa4d3a2cb5ea235ae015b11da"),
        );
    }
}
