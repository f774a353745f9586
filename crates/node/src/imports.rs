//! Importing a model that exists: its uploaded files become a sealed bundle, a publication statement and an asset.
//!
//! The import is on record with its sealed weights before its first transaction, so a crash afterwards needs no client:
//! the next start publishes what is recorded.

use std::sync::Arc;

use posthuman_assets::{ArchitectureFacts, Origin};
use posthuman_jobs::engine::local::{ImportSpec, Imported, Launch, Outcome, Task};
use posthuman_jobs::stage::{Source, StageInput};
use posthuman_proofs::sign_publication;
use posthuman_store::{ImportRow, ModelRow, PublicationRow};
use posthuman_types::api::{GGUF_FILE, ImportModel, ImportedModel, MODEL_FILES};
use posthuman_types::{
    Address, Commitment, Did, Digest, InputManifest, ObjectId, Publication, PublicationStatement, keccak256,
};
use serde::{Deserialize, Serialize};

use alloy_primitives::eip191_hash_message;

use crate::error::{ErrorCode, NodeError, OrFault, chain_of_causes};
use crate::node::Node;
use crate::publication::{Birth, Making};
use crate::uploads::StoredUpload;

/// What the publication of an import needs.
#[derive(Serialize, Deserialize)]
struct Record {
    publication: Publication,
    author: Address,
    commitment: Commitment,
    object: ObjectId,
    tokenizer: Digest,
    config: Digest,
    source: Digest,
    architecture: ArchitectureFacts,
    engine: String,
    at: u64,
}

struct Files {
    /// Beside the weights.
    others: Vec<StoredUpload>,
    weights: StoredUpload,
}

impl Files {
    fn weights_name(&self) -> &'static str {
        ImportModel::weights_name(&self.weights.name)
    }

    /// What the author signs.
    fn message(&self, publication: &Publication) -> String {
        let others = self.others.iter().map(|file| (file.name.as_str(), file.digest));
        let files: Vec<_> = others
            .chain([(self.weights_name(), self.weights.digest)])
            .collect();
        ImportModel::message(publication, &files)
    }

    /// Names that a model folder has, each once; a GGUF file comes alone.
    fn check(&self) -> Result<(), NodeError> {
        let invalid = |message: String| Err(NodeError::rejected(ErrorCode::ImportInvalid, message));
        let mut names: Vec<&str> = self.others.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        if let Some(name) = names.iter().find(|name| !MODEL_FILES.contains(*name)) {
            return invalid(format!(
                "`{name}` is no file that says something of a model: send some of {}.",
                MODEL_FILES.join(", ")
            ));
        }
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return invalid(format!("`{}` is there twice: send it once.", pair[0]));
        }
        if self.weights_name() == GGUF_FILE && !names.is_empty() {
            return invalid(format!(
                "A GGUF file holds its own shape and tokenizer: send it without {}.",
                names.join(", ")
            ));
        }
        Ok(())
    }
}

impl Node {
    /// Imports and publishes a model for the signed-in author. The same request again gives the same model. Whoever
    /// asked may hang up: it goes on.
    pub(crate) async fn import_model(
        self: Arc<Self>,
        author: Address,
        import: ImportModel,
    ) -> Result<ImportedModel, NodeError> {
        let import = async move { self.import(author, import).await };
        tokio::spawn(import).await.or_fault("importing a model")?
    }

    async fn import(&self, author: Address, import: ImportModel) -> Result<ImportedModel, NodeError> {
        check_publication(&import.publication)?;
        let files = self.import_files(author, &import).await?;
        let message = files.message(&import.publication);
        self.check_signature(author, eip191_hash_message(message.as_bytes()), &import.signature)
            .await?;
        let key = format!("import:{}", keccak256(format!("{author}\n{message}")));
        let record = match self.recorded_import(&key).await? {
            Some(record) => record,
            None => self.seal_import(&key, author, import.publication, &files).await?,
        };
        let publishing = self.publishing.lock().await;
        let did = self.publish_import(&key, &record).await?;
        drop(publishing);
        let publication = self.store.read().await?.publication_of_asset(&did).await?;
        let publication = publication
            .ok_or_else(|| NodeError::bug("finding a publication statement"))?
            .digest;
        Ok(ImportedModel {
            did,
            commitment: record.commitment,
            publication,
        })
    }

    async fn import_files(&self, author: Address, import: &ImportModel) -> Result<Files, NodeError> {
        if import.files.len() > MODEL_FILES.len() {
            let message = format!(
                "{} files are too many: a model has at most {}.",
                import.files.len(),
                MODEL_FILES.len()
            );
            return Err(NodeError::rejected(ErrorCode::ImportInvalid, message));
        }
        let mut others = Vec::with_capacity(import.files.len());
        for &file in &import.files {
            others.push(self.stored_upload(author, file).await?);
        }
        let weights = self.stored_upload(author, import.weights).await?;
        let files = Files { others, weights };
        files.check()?;
        Ok(files)
    }

    /// Publishes what a crash or a failure left sealed and unpublished. What cannot be published keeps nothing else
    /// waiting, neither the other imports nor the node.
    pub(crate) async fn complete_imports(&self) -> Result<(), NodeError> {
        // What is being published now is not left over.
        let Ok(_publishing) = self.publishing.try_lock() else {
            return Ok(());
        };
        let unfinished = self.store.read().await?.unpublished_imports().await?;
        for row in unfinished {
            if let Err(error) = self.complete_import(&row).await {
                tracing::error!(key = row.key, error = %chain_of_causes(&error), "publishing an import");
            }
        }
        Ok(())
    }

    async fn complete_import(&self, row: &ImportRow) -> Result<(), NodeError> {
        let did = self.publish_import(&row.key, &read_record(row)?).await?;
        tracing::info!(key = row.key, %did, "published an import that was left over");
        Ok(())
    }

    async fn recorded_import(&self, key: &str) -> Result<Option<Record>, NodeError> {
        let row = self.store.read().await?.import(key).await?;
        row.as_ref().map(read_record).transpose()
    }

    async fn seal_import(
        &self,
        key: &str,
        author: Address,
        publication: Publication,
        files: &Files,
    ) -> Result<Record, NodeError> {
        let imported = self.run_import(files).await?;
        let now = self.clock.now_seconds();
        let record = Record {
            publication,
            author,
            commitment: imported.commitment.clone(),
            object: imported.object,
            tokenizer: imported.tokenizer,
            config: imported.config,
            source: imported.source,
            architecture: imported.architecture,
            engine: self.engine_version.clone(),
            at: now,
        };
        let (root, scheme) = (imported.commitment.root, imported.commitment.scheme);
        let model = ModelRow {
            root,
            scheme,
            object: imported.object,
            did: None,
            job_id: None,
            created_at: now,
        };
        let text = serde_json::to_string(&record).or_fault("writing an import")?;
        let row = ImportRow {
            key: key.to_owned(),
            root,
            record: text,
            created_at: now,
        };
        if let Err(error) = self.record_import(&model, &row).await {
            self.keep_or_discard(imported.object).await?;
            // The same request came twice, and the other one was faster.
            return self.recorded_import(key).await?.ok_or(error);
        }
        self.vault.commit(imported.object)?;
        Ok(record)
    }

    async fn record_import(&self, model: &ModelRow, row: &ImportRow) -> Result<(), NodeError> {
        let mut transaction = self.store.begin().await?;
        transaction.insert_model(model).await?;
        transaction.insert_import(row).await?;
        Ok(transaction.commit().await?)
    }

    async fn run_import(&self, files: &Files) -> Result<Imported, NodeError> {
        let inputs: Vec<StageInput> = files
            .others
            .iter()
            .map(|upload| StageInput {
                input: upload.input(&upload.name),
                source: Source::Object(upload.object),
            })
            .collect();
        let spec = ImportSpec {
            inputs: InputManifest::new(inputs.iter().map(|input| input.input.clone()).collect()),
            weights: files.weights.input(files.weights_name()),
            limits: self.worker_limits(),
        };
        let launch = Launch {
            task: Task::Import(spec),
            model: Some(files.weights.object),
            inputs,
            checkpoint: None,
            checkpoint_every: 0,
            allowance: None,
            deadline: Some(self.options.work.deadline),
        };
        match self.run_unpaid(launch).await? {
            Outcome::Imported(imported) => Ok(imported),
            _ => Err(NodeError::bug("importing a model: the worker did something else")),
        }
    }

    async fn publish_import(&self, key: &str, record: &Record) -> Result<Did, NodeError> {
        let model = self.store.read().await?.model(record.commitment.root).await?;
        if let Some(did) = model.and_then(|model| model.did) {
            return Ok(did);
        }
        self.vault.commit(record.object)?;
        let birth = Birth {
            key: key.to_owned(),
            publication: record.publication.clone(),
            trainer: record.author,
            architecture: record.architecture.clone(),
            commitment: record.commitment.clone(),
            tokenizer: record.tokenizer,
            engine: record.engine.clone(),
            parent_share_bps: record.publication.parent_share_bps.unwrap_or_default(),
            parent: None,
            making: Making::Imported {
                config: record.config,
                source: record.source,
            },
            object: record.object,
            at: record.at,
        };
        let did = self.bear(&birth).await?;
        let mut transaction = self.store.begin().await?;
        transaction.set_model_asset(record.commitment.root, &did).await?;
        transaction.commit().await?;
        Ok(did)
    }

    /// Signs and keeps the statement of an import once its data NFT is known. The same facts give the same digest.
    pub(crate) async fn state_publication(
        &self,
        birth: &Birth,
        nft: Address,
        (config, source): (Digest, Digest),
    ) -> Result<Origin, NodeError> {
        let statement = PublicationStatement {
            chain_id: self.chain.id(),
            nft,
            author: birth.trainer,
            node: self.wallet(),
            commitment: birth.commitment.clone(),
            tokenizer: birth.tokenizer,
            config,
            source,
            at: birth.at,
        };
        let signed = sign_publication(statement, self.options.receipt_signer.signer());
        let signed = signed.or_fault("signing a publication statement")?;
        let row = PublicationRow {
            digest: signed.digest,
            did: posthuman_assets::did_for(nft, self.chain.id()),
            statement: serde_json::to_string(&signed).or_fault("writing a publication statement")?,
            created_at: birth.at,
        };
        let mut transaction = self.store.begin().await?;
        transaction.put_publication(&row).await?;
        transaction.commit().await?;
        Ok(Origin::Imported {
            publication: signed.digest,
        })
    }
}

fn check_publication(publication: &Publication) -> Result<(), NodeError> {
    let invalid = |message: String| Err(NodeError::rejected(ErrorCode::ImportInvalid, message));
    if let Err(error) = publication.check() {
        return invalid(format!("Of the publication: {error}."));
    }
    if publication.parent_share_bps.is_none() {
        return invalid(
            "An imported model is the root of a line: give `parent_share_bps` between 0 and 9000.".to_owned(),
        );
    }
    if publication.price.is_none() {
        return invalid("An imported model opens an exchange: give a `price`.".to_owned());
    }
    Ok(())
}

fn read_record(row: &ImportRow) -> Result<Record, NodeError> {
    serde_json::from_str(&row.record).or_fault("reading an import")
}

#[cfg(test)]
mod tests {
    use posthuman_types::Amount;

    use super::*;

    #[test]
    fn what_could_never_be_published_is_refused_before_anything_is_sealed() {
        let good = || Publication {
            name: "Imported".to_owned(),
            description: "Two lines,\n\tone of them indented.".to_owned(),
            author: "Alice".to_owned(),
            license: "Apache-2.0".to_owned(),
            parent_share_bps: Some(2_000),
            price: Some(Publication::LEAST_PRICE),
        };
        check_publication(&good()).unwrap();
        type Change = fn(&mut Publication);
        let changes: [(&str, Change); 9] = [
            ("an empty name", |publication| publication.name = " ".to_owned()),
            ("a name in two lines", |publication| publication.name.push('\n')),
            ("an author in two lines", |publication| {
                publication.author.push('\n')
            }),
            ("a long author", |publication| {
                publication.author = "a".repeat(257)
            }),
            ("a line separator", |publication| {
                publication.license.push('\u{2028}')
            }),
            ("a carriage return", |publication| {
                publication.description.push('\r')
            }),
            ("a long description", |publication| {
                publication.description = "a".repeat(4_001);
            }),
            ("no share", |publication| publication.parent_share_bps = None),
            ("a price below the least", |publication| {
                publication.price = Some(Amount(Publication::LEAST_PRICE.0 - posthuman_types::U256::ONE));
            }),
        ];
        for (what, change) in changes {
            let mut bad = good();
            change(&mut bad);
            let error = check_publication(&bad).unwrap_err();
            assert_eq!(error.error_code(), ErrorCode::ImportInvalid, "{what}");
        }
    }
}
