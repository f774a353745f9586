//! Importing a model that exists.

use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Commitment, Did, Digest, Publication, UploadId};

/// `POST /models`: publishes a model from three uploaded files of a Hugging Face folder. Only for the signed-in
/// address, which becomes the author; sending it again with the same uploads is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportModel {
    /// How it appears on the market. `parent_share_bps` and `price` are required.
    pub publication: Publication,
    /// `config.json`.
    pub config: UploadId,
    /// `tokenizer.json`.
    pub tokenizer: UploadId,
    /// `model.safetensors`.
    pub weights: UploadId,
    /// The author's EIP-191 signature over [`ImportModel::message`], which the publication statement carries.
    pub signature: Bytes,
}

impl ImportModel {
    /// The text the author signs: that these files are theirs to publish under this name and licence.
    pub fn message(publication: &Publication, config: Digest, tokenizer: Digest, weights: Digest) -> String {
        format!(
            "I publish the model {:?} under {:?}\nconfig.json: {config}\ntokenizer.json: {tokenizer}\nmodel.safetensors: {weights}",
            publication.name, publication.license
        )
    }
}

/// A model that was imported and published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedModel {
    /// The asset.
    pub did: Did,
    /// Commitment to its weights.
    pub commitment: Commitment,
    /// Digest of its publication statement, as in the data NFT's store.
    pub publication: Digest,
}
