//! What makes a `tokenizer.json` byte-level, and the bytes of each of its tokens.

use std::collections::HashMap;

use serde_json::Value;

use crate::error::{Error, Result};

/// Refuses what is not a lossless, deterministic byte-level BPE.
pub(super) fn check_byte_level(json: &Value) -> Result<()> {
    let kind = |part: &str| json[part]["type"].as_str().unwrap_or("none").to_owned();
    if kind("model") != "BPE" {
        return refuse(format!(
            "is of model type `{}`: only byte-level BPE is supported",
            kind("model")
        ));
    }
    if kind("decoder") != "ByteLevel" {
        return refuse(format!(
            "has decoder `{}`: only `ByteLevel` is supported",
            kind("decoder")
        ));
    }
    if json["normalizer"] != Value::Null {
        return refuse(format!(
            "has normalizer `{}`, which changes texts: only none is supported",
            kind("normalizer")
        ));
    }
    let model = &json["model"];
    if model["dropout"].as_f64().is_some_and(|dropout| dropout != 0.0) {
        return refuse("has `dropout`, which makes it random: set it to null".to_owned());
    }
    if model["byte_fallback"] == Value::Bool(true) {
        return refuse("has `byte_fallback`: only byte-level BPE is supported".to_owned());
    }
    let Some(byte_level) = byte_level_step(&json["pre_tokenizer"]) else {
        return refuse(format!(
            "has pre_tokenizer `{}`: one with `ByteLevel` is needed",
            kind("pre_tokenizer")
        ));
    };
    if byte_level["add_prefix_space"] == Value::Bool(true) {
        return refuse(
            "adds a space before every text (`add_prefix_space`): only false is supported".to_owned(),
        );
    }
    Ok(())
}

/// The bytes of every id below the highest one; `None` where an id is unused.
pub(super) fn token_bytes(library: &tokenizers::Tokenizer) -> Result<Vec<Option<Vec<u8>>>> {
    let alphabet = alphabet();
    let added = library.get_added_tokens_decoder();
    let vocabulary = library.get_vocab(true);
    let size = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
    // An id far above the number of tokens would make a huge, empty table.
    if size > 2 * vocabulary.len() + 1024 {
        return refuse(format!(
            "gives {} tokens ids up to {}: number them without gaps",
            vocabulary.len(),
            size - 1
        ));
    }
    let mut table = vec![None; size];
    let mut sorted: Vec<(&String, &u32)> = vocabulary.iter().collect();
    sorted.sort_by_key(|(_, id)| **id);
    for (token, &id) in sorted {
        let bytes = match added.get(&id) {
            Some(added) => added.content.as_bytes().to_vec(),
            None => match token
                .chars()
                .map(|char| alphabet.get(&char).copied())
                .collect::<Option<Vec<u8>>>()
            {
                Some(bytes) => bytes,
                None => return refuse(format!("has token {id} `{token}`, which does not spell bytes")),
            },
        };
        table[id as usize] = Some(bytes);
    }
    let mut single = [false; 256];
    for bytes in table.iter().flatten().filter(|bytes| bytes.len() == 1) {
        single[usize::from(bytes[0])] = true;
    }
    match single.iter().position(|found| !found) {
        None => Ok(table),
        Some(byte) => refuse(format!(
            "has no token for byte {byte:#04x}: it could not encode every text"
        )),
    }
}

fn refuse<T>(problem: String) -> Result<T> {
    Err(Error::Tokenizer { problem })
}

fn byte_level_step(pre_tokenizer: &Value) -> Option<&Value> {
    if pre_tokenizer["type"] == "ByteLevel" {
        return Some(pre_tokenizer);
    }
    pre_tokenizer["pretokenizers"]
        .as_array()?
        .iter()
        .find_map(byte_level_step)
}

/// The characters that stand for bytes in a byte-level vocabulary: printable Latin-1 for itself, the other 68 bytes as
/// U+0100 onwards (GPT-2's `bytes_to_unicode`).
fn alphabet() -> HashMap<char, u8> {
    let mut next = 256_u32;
    (0..=255_u8)
        .map(|byte| {
            let character = if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                char::from(byte)
            } else {
                next += 1;
                char::from_u32(next - 1).expect("U+0100 to U+0143 are characters")
            };
            (character, byte)
        })
        .collect()
}
