//! `gpt2`: byte-level tokens, with the pairs to merge in the file.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Kind, PairModel, Parts, TYPES_KEY, Vocabulary, pre_tokenizers};
use crate::error::{Error, Result};
use crate::gguf::metadata::{GgufMetadata, shown};

const MERGES_KEY: &str = "tokenizer.ggml.merges";
const PRE_KEY: &str = "tokenizer.ggml.pre";

pub(super) fn parts(metadata: &GgufMetadata<'_>, vocabulary: &Vocabulary<'_>) -> Result<Parts> {
    if vocabulary.kinds.contains(&Kind::Byte) {
        let problem = "has byte tokens, which a byte-level tokenizer does not need: they are not supported";
        return Err(Error::gguf_key(TYPES_KEY, problem));
    }
    // Files without the key are older than it; llama.cpp takes them as `default`.
    let name = metadata.optional_text(PRE_KEY)?.unwrap_or("default");
    let Some(pre) = pre_tokenizers::find(name) else {
        let problem = format!("is `{}`: {} are supported", shown(name), pre_tokenizers::names());
        return Err(Error::gguf_key(PRE_KEY, problem));
    };
    let merges = merges(metadata, vocabulary)?;
    let model = PairModel {
        unknown: None,
        byte_fallback: false,
        ignore_merges: pre.ignore_merges,
    };
    Ok(Parts {
        normalizer: Value::Null,
        pre_tokenizer: pre_tokenizer(pre.patterns),
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        model: model.json(vocabulary, merges.into_iter()),
        defaults: (None, None, pre.add_bos),
    })
}

/// Each pattern splits what the ones before it left, and what it does not match stays a piece, as in llama.cpp.
fn pre_tokenizer(patterns: &[&str]) -> Value {
    let split = |pattern: &&str| json!({"type": "Split", "pattern": {"Regex": *pattern}, "behavior": "Isolated", "invert": false});
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let steps: Vec<Value> = patterns.iter().map(split).chain([bytes]).collect();
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn merges<'a>(metadata: &GgufMetadata<'a>, vocabulary: &Vocabulary<'a>) -> Result<Vec<(&'a str, &'a str)>> {
    let mut seen = HashSet::new();
    let mut merges = Vec::new();
    let mut joined = String::new();
    for (index, merge) in metadata.texts(MERGES_KEY)?.into_iter().enumerate() {
        let refuse = |problem: &str| {
            Err(Error::gguf_key(
                MERGES_KEY,
                format!("has pair {index}, `{}`, {problem}", shown(merge)),
            ))
        };
        // A token is never empty, so that the space between the two is not the first character.
        let space = merge
            .char_indices()
            .skip(1)
            .find(|&(_, character)| character == ' ');
        let Some((space, _)) = space else {
            return refuse("without a space between two tokens");
        };
        let (left, right) = (&merge[..space], &merge[space + 1..]);
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        if [left, right, joined.as_str()]
            .iter()
            .any(|part| !vocabulary.ids.contains_key(part))
        {
            return refuse("whose parts or whole are no tokens");
        }
        // Of equal pairs the first counts.
        if seen.insert((left, right)) {
            merges.push((left, right));
        }
    }
    Ok(merges)
}
