//! Which tokens begin and end a text, from the files around a tokenizer.

use serde_json::{Map, Value};

use super::files::{self, ModelFiles};
use crate::error::{Error, Result};
use crate::tokenizer::{SpecialTokens, Tokenizer};

const CONFIG: &str = "tokenizer_config.json";
const MAP: &str = "special_tokens_map.json";

/// Puts together what a folder says.
///
/// The token that begins a text: the one that `tokenizer.json` itself puts before texts, else `bos_token` by name,
/// else `bos_token_id`. Whether it is put there: `add_bos_token`, else what `tokenizer.json` does. Tokens that end a
/// text: `eos_token` by name first, then all `eos_token_id` of `generation_config.json`, or else of `config.json`.
/// An id that is no token of this tokenizer is left out: it could never come.
pub(super) fn read(
    files: &dyn ModelFiles,
    config_json: &[u8],
    tokenizer: &Tokenizer,
) -> Result<SpecialTokens> {
    let own = tokenizer.special_tokens();
    let config = files::object("config.json", config_json)?;
    let generation = files::optional_object(files, "generation_config.json")?;
    let named = Named {
        config: files::optional_object(files, CONFIG)?.unwrap_or_default(),
        map: files::optional_object(files, MAP)?.unwrap_or_default(),
        tokenizer,
    };
    let bos = match named.id("bos_token")? {
        _ if own.adds_bos => own.bos,
        Some(id) => Some(id),
        None => ids("config.json", &config, "bos_token_id", tokenizer)?
            .first()
            .copied(),
    };
    let adds_bos = match named.config.get("add_bos_token") {
        None | Some(Value::Null) => own.adds_bos,
        Some(Value::Bool(adds)) => *adds,
        Some(other) => {
            let problem = format!("key `add_bos_token` is {other}: it must be true or false");
            return Err(Error::file(CONFIG, problem));
        }
    };
    if adds_bos && bos.is_none() {
        return Err(Error::file(
            CONFIG,
            "asks for `add_bos_token`, but names no `bos_token`",
        ));
    }
    let mut eos: Vec<u32> = named.id("eos_token")?.into_iter().collect();
    let mut more = match &generation {
        Some(generation) => ids("generation_config.json", generation, "eos_token_id", tokenizer)?,
        None => vec![],
    };
    if more.is_empty() {
        more = ids("config.json", &config, "eos_token_id", tokenizer)?;
    }
    eos.extend(more);
    if eos.is_empty() {
        eos.clone_from(&own.eos);
    }
    Ok(SpecialTokens {
        bos: bos.or(own.bos),
        adds_bos,
        eos: SpecialTokens::unique(eos),
    })
}

struct Named<'a> {
    config: Map<String, Value>,
    map: Map<String, Value>,
    tokenizer: &'a Tokenizer,
}

impl Named<'_> {
    /// The id of the token that a key names, as a text or as an object with `content`.
    fn id(&self, key: &str) -> Result<Option<u32>> {
        for (file, map) in [(CONFIG, &self.config), (MAP, &self.map)] {
            let name = match map.get(key) {
                None | Some(Value::Null) => continue,
                Some(Value::String(name)) => Some(name.as_str()),
                Some(value) => value["content"].as_str(),
            };
            let Some(name) = name else {
                return Err(Error::file(file, format!("key `{key}` does not name a token")));
            };
            return match self.tokenizer.token_id(name) {
                Some(id) => Ok(Some(id)),
                None => Err(Error::file(
                    file,
                    format!("key `{key}` names `{name}`, which the tokenizer does not have"),
                )),
            };
        }
        Ok(None)
    }
}

/// The ids under a key: one, several or none.
fn ids(file: &str, map: &Map<String, Value>, key: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let values = match map.get(key) {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    let mut known = Vec::new();
    for value in values {
        let Some(id) = value.as_u64() else {
            let problem = format!("key `{key}` holds {value}, which is no id of a token");
            return Err(Error::file(file, problem));
        };
        known.extend(
            u32::try_from(id)
                .ok()
                .filter(|&id| tokenizer.token_bytes(id).is_some()),
        );
    }
    Ok(known)
}
