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
    /// The author's EIP-191 signature over [`ImportModel::message`]. The node checks it; the publication statement names
    /// the author and does not carry it.
    pub signature: Bytes,
}

impl ImportModel {
    /// The text the author signs: that these files are theirs to publish under this name, this licence and these terms.
    ///
    /// Other terms make another text, and with it another import. Author and description are not part of it.
    pub fn message(publication: &Publication, config: Digest, tokenizer: Digest, weights: Digest) -> String {
        let stated = |term: Option<String>| term.unwrap_or_else(|| "none".to_owned());
        format!(
            "I publish the model {:?} under {:?}\nprice in base units: {}\nparent share in basis points: {}\n\
             config.json: {config}\ntokenizer.json: {tokenizer}\nmodel.safetensors: {weights}",
            publication.name,
            publication.license,
            stated(publication.price.map(|price| price.to_string())),
            stated(publication.parent_share_bps.map(|share| share.to_string())),
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

#[cfg(test)]
mod tests {
    use crate::Amount;

    use super::*;

    #[test]
    fn other_terms_are_another_message() {
        let publication = Publication {
            name: "Whale \"1\"".to_owned(),
            description: String::new(),
            author: String::new(),
            license: "MIT".to_owned(),
            parent_share_bps: Some(2_000),
            price: Some(Amount::tokens(1)),
        };
        let message = |publication: &Publication| {
            ImportModel::message(publication, Digest::ZERO, Digest::ZERO, Digest::ZERO)
        };
        let first = message(&publication);
        assert!(
            first.starts_with(
                "I publish the model \"Whale \\\"1\\\"\" under \"MIT\"\nprice in base units: 1000000000000000000\n\
                 parent share in basis points: 2000\nconfig.json: 0x00"
            ),
            "{first}"
        );
        let dearer = Publication {
            price: Some(Amount::tokens(2)),
            ..publication.clone()
        };
        let freer = Publication {
            parent_share_bps: None,
            ..publication.clone()
        };
        assert_ne!(message(&dearer), first);
        assert_ne!(message(&freer), first);
    }
}
