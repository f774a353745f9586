//! Tokenizers from before `tokenizer.json`: `vocab.json`, `merges.txt` and the files with added tokens.
//!
//! They are turned into the `tokenizer.json` that means the same; its keys are sorted, so that the same files give the
//! same bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::files::{self, ModelFiles};
use crate::error::{Error, Result};
use crate::tokenizer::{QWEN2_WORDS, Tokenizer};

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";

/// Makes a tokenizer from the legacy files.
///
/// # Errors
/// A missing file, a token or a merge that does not fit the vocabulary, or a class of tokenizer that is not known.
pub(super) fn read(files: &dyn ModelFiles, config_json: &[u8]) -> Result<Tokenizer> {
    let config = files::optional_object(files, CONFIG)?.unwrap_or_default();
    let (Some(vocabulary), Some(merges)) = (
        files::optional(files, VOCABULARY)?,
        files::optional(files, MERGES)?,
    ) else {
        return Err(missing(files)?);
    };
    let vocabulary = read_vocabulary(&vocabulary)?;
    let merges = read_merges(&merges, &vocabulary)?;
    let (normalizer, pre_tokenizer) = steps(&config, config_json)?;
    let added = added_tokens(files, &config, &vocabulary)?;
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.iter().map(|(id, token)| token.to_json(*id)).collect::<Vec<Value>>(),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocabulary, "merges": merges,
        },
    });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes())?;
    for (id, token) in &added {
        if tokenizer.token_id(&token.content) != Some(*id) {
            return Err(Error::tokenizer(format!(
                "would not give the added token `{}` its id {id}: number added tokens after `{VOCABULARY}` without gaps",
                token.content
            )));
        }
    }
    Ok(tokenizer)
}

fn read_vocabulary(bytes: &[u8]) -> Result<BTreeMap<String, u32>> {
    serde_json::from_slice(bytes).map_err(|source| {
        Error::file(
            VOCABULARY,
            format!("is no object of tokens and their ids: {source}"),
        )
    })
}

/// Pairs of tokens, one in a line; a first line `#version: …` says nothing.
fn read_merges<'a>(bytes: &'a [u8], vocabulary: &BTreeMap<String, u32>) -> Result<Vec<(&'a str, &'a str)>> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::file(MERGES, "is not UTF-8"))?;
    let mut merges = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || (index == 0 && line.starts_with("#version")) {
            continue;
        }
        let wrong = |problem: String| Err(Error::file(MERGES, format!("line {}: {problem}", index + 1)));
        let Some((one, other)) = line.split_once(' ').filter(|(_, other)| !other.contains(' ')) else {
            return wrong("is not two tokens with a space between them".to_owned());
        };
        for token in [one, other, &format!("{one}{other}")] {
            if !vocabulary.contains_key(token) {
                return wrong(format!("`{token}` is not in `{VOCABULARY}`"));
            }
        }
        merges.push((one, other));
    }
    Ok(merges)
}

/// Normaliser and pre-tokenizer of the class of tokenizer that a folder names.
fn steps(config: &Map<String, Value>, config_json: &[u8]) -> Result<(Value, Value)> {
    let family = match config.get("tokenizer_class").and_then(Value::as_str) {
        Some(class) => class.to_owned(),
        None => files::object("config.json", config_json)?
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or("none")
            .to_owned(),
    };
    if config.get("add_prefix_space") == Some(&Value::Bool(true)) {
        return Err(Error::file(
            CONFIG,
            "asks for `add_prefix_space`: only false is supported",
        ));
    }
    match family.as_str() {
        "GPT2Tokenizer" | "GPT2TokenizerFast" | "gpt2" => Ok((
            Value::Null,
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
        )),
        "Qwen2Tokenizer" | "Qwen2TokenizerFast" | "qwen2" | "qwen3" => Ok((
            json!({"type": "NFC"}),
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": QWEN2_WORDS}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ]}),
        )),
        other => Err(Error::file(
            VOCABULARY,
            format!(
                "belongs to a tokenizer of class `{other}`, whose pre-tokenizer the file does not tell: \
                 {WRITE_TOKENIZER_JSON}"
            ),
        )),
    }
}

const WRITE_TOKENIZER_JSON: &str = "write a `tokenizer.json` with \
    `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)` in `transformers`";

struct Added {
    content: String,
    special: bool,
    flags: Map<String, Value>,
}

impl Added {
    fn to_json(&self, id: u32) -> Value {
        let flag = |name: &str| self.flags.get(name).and_then(Value::as_bool).unwrap_or(false);
        json!({
            "id": id, "content": self.content, "special": self.special, "single_word": flag("single_word"),
            "lstrip": flag("lstrip"), "rstrip": flag("rstrip"), "normalized": flag("normalized"),
        })
    }
}

/// Added tokens by id: `added_tokens_decoder` of `tokenizer_config.json`, `added_tokens.json`, and the names in
/// `special_tokens_map.json` that the vocabulary has.
fn added_tokens(
    files: &dyn ModelFiles,
    config: &Map<String, Value>,
    vocabulary: &BTreeMap<String, u32>,
) -> Result<BTreeMap<u32, Added>> {
    let mut added = BTreeMap::new();
    let decoder = config.get("added_tokens_decoder").and_then(Value::as_object);
    for (id, value) in decoder.into_iter().flatten() {
        let (Ok(id), Some(content), Some(flags)) = (id.parse(), value["content"].as_str(), value.as_object())
        else {
            let problem = format!("key `added_tokens_decoder`: `{id}` is no id with a token's `content`");
            return Err(Error::file(CONFIG, problem));
        };
        added.insert(
            id,
            Added {
                content: content.to_owned(),
                special: value["special"] == true,
                flags: flags.clone(),
            },
        );
    }
    let special = |content: &str| Added {
        content: content.to_owned(),
        special: true,
        flags: Map::new(),
    };
    const ADDED: &str = "added_tokens.json";
    for (content, id) in files::optional_object(files, ADDED)?.unwrap_or_default() {
        let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
            return Err(Error::file(
                ADDED,
                format!("`{content}` has {id}, which is no id"),
            ));
        };
        added.entry(id).or_insert_with(|| special(&content));
    }
    let map = files::optional_object(files, "special_tokens_map.json")?.unwrap_or_default();
    let names = map.values().flat_map(|value| match value {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    });
    for name in names.filter_map(|value| value.as_str().or_else(|| value["content"].as_str())) {
        if let Some(&id) = vocabulary.get(name) {
            added.entry(id).or_insert_with(|| special(name));
        }
    }
    // GPT-2's own end of text is special even where no file says so.
    if let Some(&id) = vocabulary.get("<|endoftext|>") {
        added.entry(id).or_insert_with(|| special("<|endoftext|>"));
    }
    Ok(added)
}

/// Says what a folder without a readable tokenizer has instead.
fn missing(files: &dyn ModelFiles) -> Result<Error> {
    for name in ["tokenizer.model", "spiece.model"] {
        if files::length(files, name)?.is_some() {
            let problem =
                format!("is a SentencePiece model, which is not read as it is: {WRITE_TOKENIZER_JSON}");
            return Ok(Error::file(name, problem));
        }
    }
    let problem = format!("is missing, and so are `{VOCABULARY}` and `{MERGES}`: {WRITE_TOKENIZER_JSON}");
    Ok(Error::file("tokenizer.json", problem))
}
