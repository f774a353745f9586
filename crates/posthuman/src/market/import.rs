//! Publishing a model that was trained elsewhere.

use std::path::Path;

use posthuman_types::Publication;
use posthuman_types::api::{GGUF_FILE, ImportModel, ImportedModel, MODEL_FILES, Upload, WEIGHTS_FILE};

use super::{Event, Listener, Market};
use crate::MarketError;

impl Market {
    /// Publishes a Hugging Face folder (`model.safetensors` and the [`MODEL_FILES`] that it has) or a GGUF file as the
    /// root of a line. The user signs that the files are theirs to publish; the node seals the weights.
    ///
    /// What it does not do: join the shards of weights in several files; the command line does.
    ///
    /// # Errors
    /// Weights that are missing, a publication without parent share or price, or the node's own error naming the tensor
    /// that does not fit.
    pub async fn import_model(
        &self,
        source: &Path,
        publication: Publication,
        listener: &mut Listener<'_>,
    ) -> Result<ImportedModel, MarketError> {
        check_root(&publication)?;
        let mut named = Vec::new();
        let mut files = Vec::new();
        let weights = if source.is_dir() {
            for &name in MODEL_FILES {
                let path = source.join(name);
                if path.exists() {
                    let upload = self.upload_part(&path, name, listener).await?;
                    named.push((name, upload.digest));
                    files.push(upload.id);
                }
            }
            self.upload_part(&source.join(WEIGHTS_FILE), WEIGHTS_FILE, listener)
                .await?
        } else {
            self.upload_part(source, GGUF_FILE, listener).await?
        };
        named.push((ImportModel::weights_name(&weights.name), weights.digest));
        let message = ImportModel::message(&publication, &named);
        let signature = self
            .wallet
            .sign_message(message.as_bytes())?
            .as_bytes()
            .to_vec()
            .into();
        let import = ImportModel {
            publication,
            files,
            weights: weights.id,
            signature,
        };
        self.node.import_model(&import).await
    }

    async fn upload_part(
        &self,
        path: &Path,
        name: &'static str,
        listener: &mut Listener<'_>,
    ) -> Result<Upload, MarketError> {
        let mut progress = |sent, total| listener(Event::Uploading { name, sent, total });
        self.node.upload_file(path, &mut progress).await
    }
}

/// A root has no parent to take its share from, and a price since it is minted for whoever pays.
pub(crate) fn check_root(publication: &Publication) -> Result<(), MarketError> {
    if publication.parent_share_bps.is_some() && publication.price.is_some() {
        return Ok(());
    }
    let message =
        "a root of a line needs the share that its children owe and a price; give --share and --price";
    Err(MarketError::Input(message.to_owned()))
}
