//! Sending a file in chunks.

use serde::{Deserialize, Serialize};

use crate::{Digest, UploadId};

/// `POST /uploads`: announces a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateUpload {
    /// File name, for people.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Keccak-256 of all its bytes.
    pub digest: Digest,
}

/// A file on its way. Chunks are sent by `PUT /uploads/{id}?offset=N`, in order; after a lost answer ask
/// `GET /uploads/{id}` and go on at `received`. The last chunk is accepted only if the digest agrees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The upload.
    pub id: UploadId,
    /// File name, for people.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Keccak-256 of all its bytes.
    pub digest: Digest,
    /// Bytes that arrived.
    pub received: u64,
    /// Whether all arrived and the digest agrees.
    pub complete: bool,
    /// Largest chunk that is accepted.
    pub chunk_bytes: u64,
    /// When an upload that no job used is dropped.
    pub expires_at: u64,
}
