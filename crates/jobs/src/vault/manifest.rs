//! The manifest of an object: which chunks it has, in which order, and its wrapped keys.

use std::fs;
use std::io;
use std::path::Path;

use posthuman_types::{Commitment, Digest, ObjectId};
use serde::{Deserialize, Serialize};

use super::error::VaultError;
use super::master_key::Wrapped;
use super::seal::{CHUNK_BYTES, SEAL_OVERHEAD};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// The weights of a model with its configuration and tokenizer.
    Model,
    /// The state of a training that can go on from there.
    Checkpoint,
    /// A file that a user sent.
    Upload,
    /// A key of the node itself, such as the one that seals files of DDOs.
    Secret,
}

/// What can be told of an object without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Its id.
    pub object: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Length of the plaintext in bytes.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// Commitment to the weights; of models alone.
    pub commitment: Option<Commitment>,
    /// When it was written, in seconds since 1970.
    pub created: u64,
}

/// The content of `objects/<id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) version: u16,
    pub(super) object: ObjectId,
    pub(super) kind: ObjectKind,
    pub(super) bytes: u64,
    pub(super) chunks: Vec<Chunk>,
    pub(super) data_key: Wrapped,
    pub(super) salt: Option<Wrapped>,
    pub(super) commitment: Option<Commitment>,
    pub(super) created: u64,
}

/// One sealed chunk: the digest of its sealed bytes is its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chunk {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

/// The version this code writes and reads.
pub(super) const MANIFEST_VERSION: u16 = 1;

/// A manifest above this size, which a model of 100 GiB does not reach, is damaged.
const MANIFEST_LIMIT: u64 = 64 << 20;

impl Manifest {
    /// Reads a manifest; `None` where there is no such file.
    pub(super) fn read(path: &Path, object: ObjectId) -> Result<Option<Self>, VaultError> {
        let damaged = |reason| VaultError::ManifestDamaged {
            object,
            reason,
            path: path.to_owned(),
        };
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(VaultError::io("read", path, source)),
            Ok(facts) if facts.len() > MANIFEST_LIMIT => return Err(damaged("it is too large")),
            Ok(_) => {}
        }
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| VaultError::io("read", path, source))?,
        };
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it is not a manifest's JSON"))?;
        if manifest.version != MANIFEST_VERSION {
            return Err(damaged("it has another version"));
        }
        if manifest.object != object {
            return Err(damaged("it names another object than its file name"));
        }
        if !manifest.lengths_agree() {
            return Err(damaged("the lengths of its chunks do not add up"));
        }
        Ok(Some(manifest))
    }

    pub(super) fn facts(&self) -> ObjectFacts {
        ObjectFacts {
            object: self.object,
            kind: self.kind,
            bytes: self.bytes,
            chunks: self.chunks.len() as u64,
            commitment: self.commitment.clone(),
            created: self.created,
        }
    }

    fn lengths_agree(&self) -> bool {
        let full = (CHUNK_BYTES + SEAL_OVERHEAD) as u64;
        let Some((last, before)) = self.chunks.split_last() else {
            return false;
        };
        let sum = self
            .chunks
            .iter()
            .map(|chunk| chunk.bytes.saturating_sub(SEAL_OVERHEAD as u64))
            .sum::<u64>();
        before.iter().all(|chunk| chunk.bytes == full)
            && (SEAL_OVERHEAD as u64..=full).contains(&last.bytes)
            && sum == self.bytes
    }
}
