//! Imports of existing models that are sealed in the vault, published or about to be.

use posthuman_types::Digest;

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// An import.
    pub struct ImportRow in "imports" {
        /// Names the import: the same files by the same author under the same name are one import.
        pub key: String,
        /// Root of the commitment to the weights; the model's own row says whether it is published.
        pub root: Digest,
        /// What its publication needs, as JSON text.
        pub record: String,
        /// When it was recorded, in seconds since 1970 (Unix time).
        pub created_at: u64,
    }
}

impl Connection {
    /// The import of a key.
    ///
    /// # Errors
    /// The database fails.
    pub async fn import(&mut self, key: &str) -> Result<Option<ImportRow>, StoreError> {
        self.select_one("WHERE key = $1", values![&key.to_owned()]).await
    }

    /// Imports whose model is not published, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn unpublished_imports(&mut self) -> Result<Vec<ImportRow>, StoreError> {
        let tail = "WHERE root IN (SELECT root FROM models WHERE did IS NULL) ORDER BY created_at, key";
        self.select(tail, Vec::new()).await
    }
}

impl Transaction {
    /// Adds an import. Its model must be there.
    ///
    /// # Errors
    /// The import or another of the same model is known, or the database fails.
    pub async fn insert_import(&mut self, import: &ImportRow) -> Result<(), StoreError> {
        self.insert(import, &[]).await
    }
}
