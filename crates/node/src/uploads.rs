//! Files that users send in chunks, sealed from the first byte.
//!
//! Each chunk becomes a sealed object of its own before it is counted, so that a crash loses nothing that was
//! acknowledged and the disk never holds plain bytes. When the last chunk is there the file is sealed once more as one
//! object, its digest is checked on the way, and the chunks are dropped. An upload is complete only after that.
//!
//! An object whose row was never committed is stray; [`Node::remove_stray_uploads`] drops those.

mod content;
mod intake;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use posthuman_store::{UploadRow, UploadState};
use posthuman_types::api::{CreateUpload, Upload};
use posthuman_types::{Address, Input, ObjectId, UploadId};

use crate::Node;
use crate::error::{ErrorCode, NodeError, OrFault};

pub(crate) use content::seal;
use intake::Intake;

/// A complete upload, as the core stages it in for a job or an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUpload {
    /// The upload.
    pub id: UploadId,
    /// File name that the user gave.
    pub name: String,
    /// The sealed object that holds the whole file.
    pub object: ObjectId,
    /// Keccak-256 of the file, as it was checked.
    pub digest: posthuman_types::Digest,
    /// Length of the file.
    pub bytes: u64,
}

impl StoredUpload {
    /// The file as an input of a job, under the name that the operation gives it.
    pub fn input(&self, name: &str) -> Input {
        Input {
            name: name.to_owned(),
            digest: self.digest,
            bytes: self.bytes,
        }
    }
}

impl Node {
    /// Announces a file.
    ///
    /// # Errors
    /// `text_empty` for an empty file, `upload_too_large`, `upload_too_many`, `body_invalid` for a name that is none.
    pub async fn create_upload(&self, owner: Address, upload: CreateUpload) -> Result<Upload, NodeError> {
        self.intake().create(owner, upload).await
    }

    /// Takes the next chunk. The last one completes the upload.
    ///
    /// It goes on to its end even if the caller hangs up, so that nothing is left half-done.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_offset`, `upload_too_large`, `upload_digest`, `disk_full`.
    pub async fn append_upload(
        &self,
        owner: Address,
        id: UploadId,
        offset: u64,
        chunk: Bytes,
    ) -> Result<Upload, NodeError> {
        let intake = self.intake();
        tokio::spawn(async move { intake.append(owner, id, offset, chunk).await })
            .await
            .or_fault("receiving a chunk")?
    }

    /// How far an upload came. Completes one that a crash kept from it.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_digest`.
    pub async fn upload(&self, owner: Address, id: UploadId) -> Result<Upload, NodeError> {
        let intake = self.intake();
        tokio::spawn(async move { intake.look(owner, id).await })
            .await
            .or_fault("looking at an upload")?
    }

    /// Removes an upload. A job that was admitted with it keeps its sealed object.
    ///
    /// # Errors
    /// `upload_not_found`.
    pub async fn remove_upload(&self, owner: Address, id: UploadId) -> Result<(), NodeError> {
        let intake = self.intake();
        intake.owned(owner, id).await?;
        tokio::spawn(async move { intake.remove(id).await })
            .await
            .or_fault("removing an upload")?
    }

    /// A complete upload of `owner`. Whoever admits a job with it must look again inside the admitting transaction
    /// ([`posthuman_store::Connection::upload`]), since it may be removed in between.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_incomplete`.
    pub async fn stored_upload(&self, owner: Address, id: UploadId) -> Result<StoredUpload, NodeError> {
        let row = self.intake().owned(owner, id).await?;
        let object = row.object.filter(|_| row.state == UploadState::Complete);
        let object = object.ok_or_else(|| incomplete(&row))?;
        Ok(StoredUpload {
            id: row.id,
            name: row.name,
            object,
            digest: row.digest,
            bytes: row.bytes,
        })
    }

    /// Drops uploads whose time is over, except objects that a job still needs. Returns how many.
    ///
    /// # Errors
    /// The database or the vault fails.
    pub async fn remove_ended_uploads(&self) -> Result<u64, NodeError> {
        self.intake().remove_ended().await
    }

    /// Drops sealed upload objects that no row names and that are at least `seconds` old. Returns how many.
    ///
    /// Call it with 0 before the node serves, and with an hour or more while it does: a chunk that is just being
    /// received has no row yet.
    ///
    /// # Errors
    /// The database or the vault fails.
    pub async fn remove_stray_uploads(&self, seconds: u64) -> Result<u64, NodeError> {
        self.intake().remove_stray(seconds).await
    }

    fn intake(&self) -> Intake {
        Intake {
            store: self.store.clone(),
            vault: self.vault.clone(),
            limits: self.options.market.limits.clone(),
            seconds: self.options.market.upload_seconds,
            now: self.clock.now_seconds(),
            assembling: self.assembling.clone(),
        }
    }
}

fn incomplete(row: &UploadRow) -> NodeError {
    let text = format!(
        "`{}` (upload {}) has {} of {} bytes. Send the rest from offset {} on.",
        row.name, row.id, row.received, row.bytes, row.received
    );
    NodeError::rejected(ErrorCode::UploadIncomplete, text)
}
