//! Tokens that begin and end a text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::recipe::{kind, refuse};
use crate::error::Result;

const END_OF_TEXT: &str = "<|endoftext|>";
/// Most tokens that may end a text.
const MAXIMUM_ENDS: usize = 64;

/// Which tokens begin and end a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialTokens {
    /// Whether `bos` is put before every text.
    pub adds_bos: bool,
    /// The token that begins a text, where there is one.
    pub bos: Option<u32>,
    /// Tokens that end a text, the usual one first.
    pub eos: Vec<u32>,
}

impl SpecialTokens {
    /// What a `tokenizer.json` says: the first special token of its template begins every text; without one,
    /// `<|endoftext|>` is what begins and ends a text, and is not put before it.
    pub(super) fn of_json(json: &Value, library: &tokenizers::Tokenizer) -> Self {
        let end = library.token_to_id(END_OF_TEXT);
        let bos = template_bos(&json["post_processor"]);
        Self {
            adds_bos: bos.is_some(),
            bos: bos.or(end),
            eos: end.into_iter().collect(),
        }
    }

    /// Checks them against the tokens there are.
    ///
    /// # Errors
    /// An id that is no token, a token to begin with that is not named, or too many that end a text.
    pub(super) fn check(&self, table: &[Option<Vec<u8>>]) -> Result<()> {
        let known = |id: u32| table.get(id as usize).is_some_and(Option::is_some);
        if let Some(id) = self.bos.iter().chain(&self.eos).find(|&&id| !known(id)) {
            return refuse(format!("has no token {id}, which is to begin or end texts"));
        }
        if self.adds_bos && self.bos.is_none() {
            return refuse("puts a token before texts, but does not say which".to_owned());
        }
        if self.eos.len() > MAXIMUM_ENDS || Self::unique(self.eos.clone()) != self.eos {
            return refuse(format!(
                "names {} tokens that end texts: at most {MAXIMUM_ENDS} different ones may",
                self.eos.len()
            ));
        }
        Ok(())
    }

    /// The same ids in the same order, each once.
    pub(crate) fn unique(ids: Vec<u32>) -> Vec<u32> {
        let mut unique = Vec::with_capacity(ids.len().min(MAXIMUM_ENDS));
        for id in ids {
            if !unique.contains(&id) {
                unique.push(id);
            }
        }
        unique
    }
}

/// The special token with which a `TemplateProcessing` begins a single text.
fn template_bos(part: &Value) -> Option<u32> {
    if let Some(parts) = part["processors"].as_array() {
        return parts.iter().find_map(template_bos);
    }
    if kind(part) != "TemplateProcessing" {
        return None;
    }
    let name = part["single"][0]["SpecialToken"]["id"].as_str()?;
    let id = part["special_tokens"][name]["ids"][0].as_u64()?;
    u32::try_from(id).ok()
}
