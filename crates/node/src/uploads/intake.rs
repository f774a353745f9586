//! The life of an upload: announced, received, completed, removed.

use std::sync::Arc;

use bytes::Bytes;
use posthuman_jobs::break_point::break_point;
use posthuman_jobs::vault::Vault;
use posthuman_store::{Store, StoreError, UploadChunkRow, UploadRow, UploadState};
use posthuman_types::api::{CreateUpload, NodeLimits, Upload};
use posthuman_types::{Address, ObjectId, UploadId};
use tokio::sync::Mutex;

use super::content;
use crate::error::{ErrorCode, NodeError};

/// Most uploads that are kept for one address.
const UPLOADS_PER_OWNER: usize = 64;

/// Most bytes that are kept for one address, in multiples of the largest upload.
const LARGEST_UPLOADS_PER_OWNER: u64 = 4;

/// Most bytes that are kept for all addresses together, in the same multiples: addresses cost nothing.
const LARGEST_UPLOADS: u64 = 64;

/// Longest file name, in bytes.
const NAME_BYTES: usize = 255;

/// What receiving files needs of the node, at one moment.
pub(super) struct Intake {
    pub(super) store: Store,
    pub(super) vault: Arc<Vault>,
    pub(super) limits: NodeLimits,
    /// Seconds for which an upload is kept.
    pub(super) seconds: u64,
    /// The moment, in seconds since 1970.
    pub(super) now: u64,
    /// One file is put together at a time: it is disk-bound, and two could put the same one together.
    pub(super) assembling: Arc<Mutex<()>>,
}

impl Intake {
    pub(super) async fn create(&self, owner: Address, upload: CreateUpload) -> Result<Upload, NodeError> {
        self.check_announcement(&upload)?;
        let row = UploadRow {
            id: UploadId(rand::random()),
            owner,
            name: upload.name,
            bytes: upload.bytes,
            digest: upload.digest,
            received: 0,
            object: None,
            state: UploadState::Receiving,
            created_at: self.now,
            expires_at: self.end(),
        };
        let mut transaction = self.store.begin().await?;
        self.check_share(&transaction.uploads_of(owner).await?, upload.bytes)?;
        self.check_room(transaction.bytes_of_uploads().await?, upload.bytes)?;
        transaction.insert_upload(&row).await?;
        transaction.commit().await?;
        Ok(self.view(row))
    }

    pub(super) async fn append(
        &self,
        owner: Address,
        id: UploadId,
        offset: u64,
        chunk: Bytes,
    ) -> Result<Upload, NodeError> {
        let row = self.owned(owner, id).await?;
        let bytes = chunk.len() as u64;
        self.check_chunk(&row, offset, bytes)?;
        if bytes == 0 {
            return self.complete_if_whole(row).await;
        }
        let object = content::seal(&self.vault, chunk).await?;
        match self.count(id, offset, bytes, object).await {
            Ok(row) => self.complete_if_whole(row).await,
            Err(error) => {
                content::drop_objects(&self.vault, vec![object]).await?;
                Err(error)
            }
        }
    }

    pub(super) async fn look(&self, owner: Address, id: UploadId) -> Result<Upload, NodeError> {
        let row = self.owned(owner, id).await?;
        self.complete_if_whole(row).await
    }

    /// The upload, if it is `owner`'s and its time is not over. Another's is not told from none.
    pub(super) async fn owned(&self, owner: Address, id: UploadId) -> Result<UploadRow, NodeError> {
        let row = self.store.read().await?.upload(id).await?;
        row.filter(|row| row.owner == owner && row.expires_at > self.now)
            .ok_or_else(|| not_found(id))
    }

    pub(super) async fn remove(&self, id: UploadId) -> Result<(), NodeError> {
        // Not while its chunks are being put together.
        let _turn = self.assembling.lock().await;
        let mut transaction = self.store.begin().await?;
        let Some(row) = transaction.upload(id).await? else {
            return Ok(());
        };
        let chunks = transaction.upload_chunks(id).await?;
        transaction.delete_upload(id).await?;
        let mut objects: Vec<_> = chunks.into_iter().map(|chunk| chunk.object).collect();
        if let Some(object) = row.object
            && !transaction.object_is_used(object).await?
        {
            objects.push(object);
        }
        transaction.commit().await?;
        content::drop_objects(&self.vault, objects).await
    }

    pub(super) async fn remove_ended(&self) -> Result<u64, NodeError> {
        let ended = self.store.read().await?.ended_uploads(self.now).await?;
        for row in &ended {
            self.remove(row.id).await?;
        }
        Ok(ended.len() as u64)
    }

    pub(super) async fn remove_stray(&self, seconds: u64) -> Result<u64, NodeError> {
        // The vault is read first: an object that appears after that is not a candidate.
        let before = self.now.saturating_sub(seconds);
        let sealed = content::uploads_until(&self.vault, before).await?;
        let used = self.store.read().await?.used_objects().await?;
        let stray: Vec<_> = sealed
            .into_iter()
            .filter(|object| !used.contains(object))
            .collect();
        let count = stray.len() as u64;
        content::drop_objects(&self.vault, stray).await?;
        Ok(count)
    }

    /// Counts a sealed chunk. Of two that begin at the same place, one is refused here.
    async fn count(
        &self,
        id: UploadId,
        offset: u64,
        bytes: u64,
        object: ObjectId,
    ) -> Result<UploadRow, NodeError> {
        let mut transaction = self.store.begin().await?;
        let row = transaction
            .advance_upload(id, offset, bytes)
            .await
            .map_err(|error| of_position(id, error))?;
        transaction
            .insert_upload_chunk(&UploadChunkRow {
                object,
                upload_id: id,
                position: offset,
                bytes,
            })
            .await?;
        transaction.extend_upload(id, self.end()).await?;
        break_point("node.upload_chunk.before_commit");
        transaction.commit().await?;
        break_point("node.upload_chunk.after_commit");
        Ok(UploadRow {
            expires_at: row.expires_at.max(self.end()),
            ..row
        })
    }

    async fn complete_if_whole(&self, row: UploadRow) -> Result<Upload, NodeError> {
        if row.state == UploadState::Complete || row.received < row.bytes {
            return Ok(self.view(row));
        }
        let _turn = self.assembling.lock().await;
        let (row, chunks) = {
            let mut connection = self.store.read().await?;
            // Another request may have completed, restarted or removed it while this one waited.
            let row = connection
                .upload(row.id)
                .await?
                .ok_or_else(|| not_found(row.id))?;
            let chunks = connection.upload_chunks(row.id).await?;
            (row, chunks)
        };
        if row.state == UploadState::Complete || row.received < row.bytes {
            return Ok(self.view(row));
        }
        let chunks: Vec<_> = chunks.into_iter().map(|chunk| chunk.object).collect();
        match content::assemble(&self.vault, chunks.clone(), row.digest).await? {
            Ok(object) => self.finish(row.id, object, chunks).await,
            Err(found) => {
                self.start_over(row.id, chunks).await?;
                let text = format!(
                    "The bytes of `{}` have digest {found}, and {} was announced. None of them were kept. {}",
                    row.name,
                    row.digest,
                    ErrorCode::UploadDigest.row().remedy
                );
                Err(NodeError::rejected(ErrorCode::UploadDigest, text))
            }
        }
    }

    async fn finish(
        &self,
        id: UploadId,
        object: ObjectId,
        chunks: Vec<ObjectId>,
    ) -> Result<Upload, NodeError> {
        let mut transaction = self.store.begin().await?;
        if transaction.upload(id).await?.is_none() {
            drop(transaction);
            content::drop_objects(&self.vault, vec![object]).await?;
            return Err(not_found(id));
        }
        let row = transaction.complete_upload(id, object).await?;
        transaction.delete_upload_chunks(id).await?;
        break_point("node.upload_complete.before_commit");
        transaction.commit().await?;
        break_point("node.upload_complete.after_commit");
        content::drop_objects(&self.vault, chunks).await?;
        Ok(self.view(row))
    }

    async fn start_over(&self, id: UploadId, chunks: Vec<ObjectId>) -> Result<(), NodeError> {
        let mut transaction = self.store.begin().await?;
        transaction.delete_upload_chunks(id).await?;
        if transaction.upload(id).await?.is_some() {
            transaction.restart_upload(id).await?;
        }
        transaction.commit().await?;
        content::drop_objects(&self.vault, chunks).await
    }

    fn check_announcement(&self, upload: &CreateUpload) -> Result<(), NodeError> {
        let name = &upload.name;
        if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
            let text = format!(
                "The file name must have 1 to {NAME_BYTES} bytes and no control characters. Rename it."
            );
            return Err(NodeError::rejected(ErrorCode::BodyInvalid, text));
        }
        if upload.bytes == 0 {
            let text = format!("`{name}` is empty. Send a file with at least one byte.");
            return Err(NodeError::rejected(ErrorCode::TextEmpty, text));
        }
        if upload.bytes > self.limits.upload_bytes {
            let (bytes, most) = (upload.bytes, self.limits.upload_bytes);
            let text = format!(
                "`{name}` has {bytes} bytes, and the node accepts at most {most}. Send a smaller file."
            );
            return Err(NodeError::rejected(ErrorCode::UploadTooLarge, text));
        }
        Ok(())
    }

    fn check_share(&self, held: &[UploadRow], bytes: u64) -> Result<(), NodeError> {
        let total = held
            .iter()
            .fold(bytes, |total, row| total.saturating_add(row.bytes));
        let most = self.limits.upload_bytes.saturating_mul(LARGEST_UPLOADS_PER_OWNER);
        if held.len() < UPLOADS_PER_OWNER && total <= most {
            return Ok(());
        }
        let text = format!(
            "This address holds {} uploads; with this one they would have {total} bytes. \
             The node keeps {UPLOADS_PER_OWNER} uploads and {most} bytes for one address. {}",
            held.len(),
            ErrorCode::UploadTooMany.row().remedy
        );
        Err(NodeError::rejected(ErrorCode::UploadTooMany, text))
    }

    fn check_room(&self, held: u64, bytes: u64) -> Result<(), NodeError> {
        let most = self.limits.upload_bytes.saturating_mul(LARGEST_UPLOADS);
        if held.saturating_add(bytes) <= most {
            return Ok(());
        }
        let text = format!(
            "The uploads of all users have {held} bytes, and the node keeps at most {most}, so {bytes} more do not \
             fit. Try again later: uploads expire."
        );
        Err(NodeError::rejected(ErrorCode::DiskFull, text))
    }

    fn check_chunk(&self, row: &UploadRow, offset: u64, bytes: u64) -> Result<(), NodeError> {
        if row.state == UploadState::Complete || offset != row.received {
            return Err(wrong_offset(row.id, offset, row.received));
        }
        if bytes == 0 && row.received < row.bytes {
            let text = "The chunk is empty. Send at least one byte.";
            return Err(NodeError::rejected(ErrorCode::BodyInvalid, text));
        }
        let left = row.bytes - row.received;
        if bytes > left || bytes > self.limits.chunk_bytes {
            let most = left.min(self.limits.chunk_bytes);
            let text =
                format!("The chunk has {bytes} bytes, and at most {most} are accepted here. Send fewer.");
            return Err(NodeError::rejected(ErrorCode::UploadTooLarge, text));
        }
        Ok(())
    }

    fn end(&self) -> u64 {
        self.now.saturating_add(self.seconds)
    }

    fn view(&self, row: UploadRow) -> Upload {
        Upload {
            id: row.id,
            name: row.name,
            bytes: row.bytes,
            digest: row.digest,
            received: row.received,
            complete: row.state == UploadState::Complete,
            chunk_bytes: self.limits.chunk_bytes,
            expires_at: row.expires_at,
        }
    }
}

fn of_position(id: UploadId, error: StoreError) -> NodeError {
    match error {
        StoreError::UploadOffset { offset, received, .. } => wrong_offset(id, offset, received),
        StoreError::Missing { .. } => not_found(id),
        other => other.into(),
    }
}

fn wrong_offset(id: UploadId, offset: u64, received: u64) -> NodeError {
    let text = format!(
        "Upload {id} goes on at offset {received}, not at {offset}. Send the chunk that begins there."
    );
    NodeError::rejected(ErrorCode::UploadOffset, text)
}

fn not_found(id: UploadId) -> NodeError {
    let row = ErrorCode::UploadNotFound.row();
    NodeError::rejected(
        ErrorCode::UploadNotFound,
        format!("{} Id: {id}. {}", row.cause, row.remedy),
    )
}
