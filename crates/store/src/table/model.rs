//! Models whose weights lie in the vault, and the statements under which models were imported.

use posthuman_types::{Did, Digest, JobId, ObjectId};

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// A model. Its salt and its key are not here: they lie sealed in the vault.
    pub struct ModelRow in "models" {
        /// Root of the commitment to its weights.
        pub root: Digest,
        /// Name and version of the commitment's scheme.
        pub scheme: String,
        /// Where its weights lie in the vault.
        pub object: ObjectId,
        /// The asset; absent until it is published.
        pub did: Option<Did>,
        /// The job that made it; absent for an imported model.
        pub job_id: Option<JobId>,
        /// When it was recorded, in seconds since 1970 (Unix time).
        pub created_at: u64,
    }
}

row! {
    /// The statement under which a model was imported.
    pub struct PublicationRow in "publications" {
        /// Its digest, which stands in the data NFT's store.
        pub digest: Digest,
        /// The asset.
        pub did: Did,
        /// The statement as JSON text.
        pub statement: String,
        /// When it was recorded, in seconds since 1970 (Unix time).
        pub created_at: u64,
    }
}

impl Connection {
    /// The model of a commitment.
    ///
    /// # Errors
    /// The database fails.
    pub async fn model(&mut self, root: Digest) -> Result<Option<ModelRow>, StoreError> {
        self.select_one("WHERE root = $1", values![&root]).await
    }

    /// All models, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn models(&mut self) -> Result<Vec<ModelRow>, StoreError> {
        self.select("ORDER BY created_at, root", Vec::new()).await
    }

    /// A publication statement.
    ///
    /// # Errors
    /// The database fails.
    pub async fn publication(&mut self, digest: Digest) -> Result<Option<PublicationRow>, StoreError> {
        self.select_one("WHERE digest = $1", values![&digest]).await
    }

    /// The publication statement of an asset.
    ///
    /// # Errors
    /// The database fails.
    pub async fn publication_of_asset(&mut self, did: &Did) -> Result<Option<PublicationRow>, StoreError> {
        self.select_one("WHERE did = $1 ORDER BY created_at", values![did])
            .await
    }
}

impl Transaction {
    /// Adds a model.
    ///
    /// # Errors
    /// A model has these weights, this object, this asset or this job; or the database fails.
    pub async fn insert_model(&mut self, model: &ModelRow) -> Result<(), StoreError> {
        self.insert(model, &[]).await
    }

    /// Notes the asset of a model.
    ///
    /// # Errors
    /// No such model, the asset has a model, or the database fails.
    pub async fn set_model_asset(&mut self, root: Digest, did: &Did) -> Result<(), StoreError> {
        let touched = self
            .execute("UPDATE models SET did = $2 WHERE root = $1", values![&root, did])
            .await?;
        if touched > 0 {
            Ok(())
        } else {
            Err(StoreError::Missing {
                what: "model",
                id: root.to_string(),
            })
        }
    }

    /// Writes a publication statement; writing it again changes nothing.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_publication(&mut self, publication: &PublicationRow) -> Result<(), StoreError> {
        self.upsert(publication, "digest").await
    }
}
