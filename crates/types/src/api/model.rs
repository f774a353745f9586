//! Importing a model that exists.

use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Commitment, Did, Digest, Publication, UploadId};

/// `POST /models`: publishes a model from the uploaded files of a Hugging Face folder, or from one GGUF file. Only for
/// the signed-in address, which becomes the author; sending it again with the same uploads is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportModel {
    /// How it appears on the market. `parent_share_bps` and `price` are required.
    pub publication: Publication,
    /// The files beside the weights, by the names they were uploaded under: some of [`MODEL_FILES`], none for GGUF.
    pub files: Vec<UploadId>,
    /// The weights: a file uploaded as `NAME.gguf`, or else a safetensors file.
    pub weights: UploadId,
    /// The author's EIP-191 signature over [`ImportModel::message`]. The node checks it; the publication statement names
    /// the author and does not carry it.
    pub signature: Bytes,
}

impl ImportModel {
    /// The text the author signs: that these files are theirs to publish under this name, this licence and these terms.
    ///
    /// `files` are names and digests, in any order; the weights are called [`WEIGHTS_FILE`] or [`GGUF_FILE`]. Other terms
    /// or files make another text, and with it another import. Author and description are not part of it.
    pub fn message(publication: &Publication, files: &[(&str, Digest)]) -> String {
        let stated = |term: Option<String>| term.unwrap_or_else(|| "none".to_owned());
        let mut text = format!(
            "I publish the model {:?} under {:?}\nprice in base units: {}\nparent share in basis points: {}",
            publication.name,
            publication.license,
            stated(publication.price.map(|price| price.to_string())),
            stated(publication.parent_share_bps.map(|share| share.to_string())),
        );
        let mut files = files.to_vec();
        files.sort_unstable();
        for (name, digest) in files {
            text.push_str(&format!("\n{name}: {digest}"));
        }
        text
    }

    /// What a file of weights is called in the message and in the digest of the source, by the name it was uploaded
    /// under.
    pub fn weights_name(uploaded: &str) -> &'static str {
        if uploaded.to_ascii_lowercase().ends_with(".gguf") {
            GGUF_FILE
        } else {
            WEIGHTS_FILE
        }
    }
}

/// What safetensors weights are called.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// What a GGUF file is called.
pub const GGUF_FILE: &str = "model.gguf";
/// The files of a Hugging Face folder that say something of a model beside its weights.
pub const MODEL_FILES: &[&str] = &[
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

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
            ImportModel::message(
                publication,
                &[(WEIGHTS_FILE, Digest::ZERO), ("config.json", Digest::ZERO)],
            )
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
