//! Publishing a model that was trained elsewhere.

use std::path::Path;

use posthuman_types::api::{ImportModel, ImportedModel, Upload};
use posthuman_types::{Digest, Publication};

use super::{Event, Listener, Market};
use crate::MarketError;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

impl Market {
    /// Publishes a Hugging Face folder (`config.json`, `tokenizer.json`, `model.safetensors`) as the root of a line.
    /// The user signs that the files are theirs to publish; the node seals the weights.
    ///
    /// # Errors
    /// Files that are missing, a publication without parent share or price, or the node's own error naming the tensor
    /// that does not fit.
    pub async fn import_model(
        &self,
        folder: &Path,
        publication: Publication,
        listener: &mut Listener<'_>,
    ) -> Result<ImportedModel, MarketError> {
        check_root(&publication)?;
        let config = self.upload_part(folder, CONFIG, listener).await?;
        let tokenizer = self.upload_part(folder, TOKENIZER, listener).await?;
        let weights = self.upload_part(folder, WEIGHTS, listener).await?;
        let digests: [Digest; 3] = [config.digest, tokenizer.digest, weights.digest];
        let message = ImportModel::message(&publication, digests[0], digests[1], digests[2]);
        let signature = self
            .wallet
            .sign_message(message.as_bytes())?
            .as_bytes()
            .to_vec()
            .into();
        let import = ImportModel {
            publication,
            config: config.id,
            tokenizer: tokenizer.id,
            weights: weights.id,
            signature,
        };
        self.node.import_model(&import).await
    }

    async fn upload_part(
        &self,
        folder: &Path,
        name: &'static str,
        listener: &mut Listener<'_>,
    ) -> Result<Upload, MarketError> {
        let mut progress = |sent, total| listener(Event::Uploading { name, sent, total });
        self.node.upload_file(&folder.join(name), &mut progress).await
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
