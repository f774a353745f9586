//! `llama`: SentencePiece's pairs. Tokens have scores instead of a list of merges: of all neighbours that make a token
//! when joined, those with the best score are joined first.
//!
//! In a `tokenizer.json` merges are a list of pairs, the first the most urgent. It follows from the scores: every
//! token that can be split into two others gives a pair, ordered by the token's score. Where two pairs have the same
//! score, SentencePiece joins the one further left in the text and a list cannot say so; the order here is that of
//! Hugging Face's converter, longer left parts first. In the vocabularies in use every token has its own score, so
//! that this only concerns different splits of one token that overlap in a text.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::{Kind, PairModel, Parts, TOKENS_KEY, TYPES_KEY, Vocabulary};
use crate::error::{Error, Result};
use crate::gguf::metadata::{GgufMetadata, shown};

const SCORES_KEY: &str = "tokenizer.ggml.scores";
const UNKNOWN_KEY: &str = "tokenizer.ggml.unknown_token_id";
/// Bytes of the longest token that is split; SentencePiece's own limit is 16 characters unless it is raised.
const MAXIMUM_TOKEN: usize = 256;
/// Splits that a token has on average at most; Llama 2 has 2. More would be a list far larger than the file.
const MAXIMUM_SPLITS: usize = 32;
/// The character that stands for a space, U+2581.
const SPACE: &str = "\u{2581}";

pub(super) fn parts(metadata: &GgufMetadata<'_>, vocabulary: &Vocabulary<'_>) -> Result<Parts> {
    check_bytes(vocabulary)?;
    let unknown = vocabulary.token_of(metadata, UNKNOWN_KEY, Some(0), true)?;
    let unknown = unknown.map(|id| vocabulary.tokens[id as usize].to_owned());
    let prefix = metadata
        .optional_truth("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true);
    let merges = merges(metadata, vocabulary)?;
    let model = PairModel {
        unknown,
        byte_fallback: true,
        ignore_merges: false,
    };
    Ok(Parts {
        normalizer: normalizer(prefix),
        pre_tokenizer: Value::Null,
        decoder: decoder(prefix),
        model: model.json(vocabulary, merges.into_iter()),
        defaults: (Some(1), Some(2), true),
    })
}

fn normalizer(prefix: bool) -> Value {
    let prepend = json!({"type": "Prepend", "prepend": SPACE});
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    if prefix {
        json!({"type": "Sequence", "normalizers": [prepend, replace]})
    } else {
        replace
    }
}

fn decoder(prefix: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

/// Characters that are no token are encoded as bytes, so that each byte needs a token.
fn check_bytes(vocabulary: &Vocabulary<'_>) -> Result<()> {
    for byte in 0..=255_u8 {
        let token = format!("<0x{byte:02X}>");
        let kind = vocabulary
            .ids
            .get(token.as_str())
            .map(|&id| vocabulary.kinds[id as usize]);
        if kind != Some(Kind::Byte) {
            let problem = format!("has no byte token `{token}`: it could not encode every text");
            return Err(Error::gguf_key(TYPES_KEY, problem));
        }
    }
    Ok(())
}

fn merges<'a>(metadata: &GgufMetadata<'a>, vocabulary: &Vocabulary<'a>) -> Result<Vec<(&'a str, &'a str)>> {
    let scores = metadata.optional_numbers(SCORES_KEY)?;
    let scores = scores.ok_or_else(|| Error::gguf_key(SCORES_KEY, "is missing"))?;
    if scores.len() != vocabulary.tokens.len() {
        let problem = format!(
            "has {} scores for {} tokens",
            scores.len(),
            vocabulary.tokens.len()
        );
        return Err(Error::gguf_key(SCORES_KEY, problem));
    }
    let is_normal = |part: &str| {
        let id = vocabulary.ids.get(part);
        id.is_some_and(|&id| vocabulary.kinds[id as usize] == Kind::Normal)
    };
    let mut merges = Vec::new();
    for (id, token, _) in vocabulary.used().filter(|&(_, _, kind)| kind == Kind::Normal) {
        if token.len() > MAXIMUM_TOKEN {
            let problem = format!(
                "has token `{}` of {} bytes: at most {MAXIMUM_TOKEN} are supported",
                shown(token),
                token.len()
            );
            return Err(Error::gguf_key(TOKENS_KEY, problem));
        }
        let characters = token.chars().count();
        for (index, (place, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(place);
            if is_normal(left) && is_normal(right) {
                merges.push((scores[id as usize], index, characters - index, id, left, right));
            }
        }
        if merges.len() > MAXIMUM_SPLITS * vocabulary.tokens.len() {
            let problem =
                format!("can be split in more than {MAXIMUM_SPLITS} ways each: it is no vocabulary");
            return Err(Error::gguf_key(TOKENS_KEY, problem));
        }
    }
    merges.sort_by(|one, other| {
        let order = |&(_, left, right, id, _, _): &(f32, usize, usize, u32, &str, &str)| {
            (Reverse(left), Reverse(right), id)
        };
        other
            .0
            .total_cmp(&one.0)
            .then_with(|| order(one).cmp(&order(other)))
    });
    Ok(merges
        .into_iter()
        .map(|(_, _, _, _, left, right)| (left, right))
        .collect())
}
