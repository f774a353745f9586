//! Files that users send in chunks.

use posthuman_types::{Address, Digest, ObjectId, UploadId};
use serde::{Deserialize, Serialize};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

/// How far an upload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Chunks are missing.
    Receiving,
    /// All arrived, the digest agrees and the bytes are sealed in the vault.
    Complete,
}

row! {
    /// A file on its way, or sealed in the vault.
    pub struct UploadRow in "uploads" {
        /// The upload.
        pub id: UploadId,
        /// Who sends it.
        pub owner: Address,
        /// File name, for people.
        pub name: String,
        /// Its length as announced.
        pub bytes: u64,
        /// Keccak-256 of all its bytes as announced.
        pub digest: Digest,
        /// Bytes that arrived.
        pub received: u64,
        /// Where it lies in the vault.
        pub object: Option<ObjectId>,
        /// How far it came.
        pub state: UploadState,
        /// When it was announced, in seconds since 1970 (Unix time).
        pub created_at: u64,
        /// When it is dropped.
        pub expires_at: u64,
    }
}

impl Connection {
    /// An upload.
    ///
    /// # Errors
    /// The database fails.
    pub async fn upload(&mut self, id: UploadId) -> Result<Option<UploadRow>, StoreError> {
        self.select_one("WHERE id = $1", values![&id]).await
    }

    /// Uploads of an address, newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn uploads_of(&mut self, owner: Address) -> Result<Vec<UploadRow>, StoreError> {
        self.select("WHERE owner = $1 ORDER BY created_at DESC, id", values![&owner])
            .await
    }

    /// Bytes that all uploads together have or will have.
    ///
    /// # Errors
    /// The database fails.
    pub async fn bytes_of_uploads(&mut self) -> Result<u64, StoreError> {
        let sum = "SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM uploads";
        self.count(sum, Vec::new()).await
    }

    /// Uploads whose time is over.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ended_uploads(&mut self, now: u64) -> Result<Vec<UploadRow>, StoreError> {
        self.select("WHERE expires_at <= $1 ORDER BY expires_at, id", values![&now])
            .await
    }
}

impl Transaction {
    /// Announces an upload.
    ///
    /// # Errors
    /// The id is taken, or the database fails.
    pub async fn insert_upload(&mut self, upload: &UploadRow) -> Result<(), StoreError> {
        self.insert(upload, &[]).await
    }

    /// Counts a chunk of `bytes` that starts at `offset`.
    ///
    /// # Errors
    /// [`StoreError::UploadOffset`] where the chunk does not start where the last one ended, or would go beyond the
    /// announced length; no such upload; the database fails.
    pub async fn advance_upload(
        &mut self,
        id: UploadId,
        offset: u64,
        bytes: u64,
    ) -> Result<UploadRow, StoreError> {
        let mut upload = self.existing_upload(id).await?;
        let end = offset.checked_add(bytes).filter(|end| *end <= upload.bytes);
        match end {
            Some(end) if offset == upload.received && upload.state == UploadState::Receiving => {
                upload.received = end
            }
            _ => {
                return Err(StoreError::UploadOffset {
                    id: id.to_string(),
                    offset,
                    received: upload.received,
                });
            }
        }
        self.update(&upload).await?;
        Ok(upload)
    }

    /// Notes where the whole file lies in the vault.
    ///
    /// # Errors
    /// No such upload; the database fails.
    pub async fn complete_upload(&mut self, id: UploadId, object: ObjectId) -> Result<UploadRow, StoreError> {
        let mut upload = self.existing_upload(id).await?;
        (upload.object, upload.state) = (Some(object), UploadState::Complete);
        self.update(&upload).await?;
        Ok(upload)
    }

    /// Starts an upload over, because what arrived is lost or its digest does not agree.
    ///
    /// # Errors
    /// No such upload; the database fails.
    pub async fn restart_upload(&mut self, id: UploadId) -> Result<UploadRow, StoreError> {
        let mut upload = self.existing_upload(id).await?;
        (upload.received, upload.object, upload.state) = (0, None, UploadState::Receiving);
        self.update(&upload).await?;
        Ok(upload)
    }

    /// Gives an upload more time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn extend_upload(&mut self, id: UploadId, expires_at: u64) -> Result<(), StoreError> {
        let sql = "UPDATE uploads SET expires_at = $2 WHERE id = $1 AND expires_at < $2";
        self.execute(sql, values![&id, &expires_at]).await.map(drop)
    }

    /// Removes an upload. What it sealed in the vault is the caller's to drop, where no job names it
    /// ([`Connection::object_is_used`]).
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_upload(&mut self, id: UploadId) -> Result<(), StoreError> {
        self.execute("DELETE FROM uploads WHERE id = $1", values![&id])
            .await
            .map(drop)
    }

    async fn existing_upload(&mut self, id: UploadId) -> Result<UploadRow, StoreError> {
        self.upload(id).await?.ok_or_else(|| StoreError::Missing {
            what: "upload",
            id: id.to_string(),
        })
    }
}
