//! The sealed chunks of uploads that are still arriving.

use posthuman_types::{ObjectId, UploadId};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// One chunk of an upload, sealed as an object of its own until the whole file is sealed as one.
    pub struct UploadChunkRow in "upload_chunks" {
        /// Where it lies in the vault.
        pub object: ObjectId,
        /// The upload.
        pub upload_id: UploadId,
        /// Its first byte's place in the file.
        pub position: u64,
        /// Its length.
        pub bytes: u64,
    }
}

impl Connection {
    /// Chunks of an upload, in order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn upload_chunks(&mut self, upload: UploadId) -> Result<Vec<UploadChunkRow>, StoreError> {
        self.select("WHERE upload_id = $1 ORDER BY position", values![&upload])
            .await
    }
}

impl Transaction {
    /// Notes a chunk. It goes with the upload when that is deleted.
    ///
    /// # Errors
    /// No such upload, or a chunk with that position; the database fails.
    pub async fn insert_upload_chunk(&mut self, chunk: &UploadChunkRow) -> Result<(), StoreError> {
        self.insert(chunk, &[]).await
    }

    /// Forgets the chunks of an upload. Their objects are the caller's to drop.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_upload_chunks(&mut self, upload: UploadId) -> Result<(), StoreError> {
        self.execute("DELETE FROM upload_chunks WHERE upload_id = $1", values![&upload])
            .await
            .map(drop)
    }
}
