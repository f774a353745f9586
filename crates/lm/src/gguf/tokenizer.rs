//! A GGUF file's tokenizer as a Hugging Face `tokenizer.json`.
//!
//! What a file means is what `llama-vocab.cpp` of llama.cpp does with it. Two kinds are read: `gpt2`, byte-level pairs
//! with the merges in the file, and `llama`, SentencePiece's pairs, whose merges follow from the scores of the tokens.

mod byte_level;
mod pre_tokenizers;
mod sentence_piece;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::metadata::{GgufMetadata, shown};
use crate::error::{Error, Result};

const MODEL_KEY: &str = "tokenizer.ggml.model";
const TOKENS_KEY: &str = "tokenizer.ggml.tokens";
const TYPES_KEY: &str = "tokenizer.ggml.token_type";
/// As for other tokenizers of this engine.
const MAXIMUM_VOCABULARY: usize = 1 << 20;

/// A tokenizer as a Hugging Face folder would hold it, with what is in other files there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GgufTokenizer {
    /// The bytes of an equivalent `tokenizer.json`; the same file gives the same bytes.
    pub json: Vec<u8>,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The token that ends a text, or a turn of a chat.
    pub eos: Option<u32>,
    /// The token that ends a turn of a chat, where it is another one than [`eos`](Self::eos).
    pub end_of_turn: Option<u32>,
    /// Whether texts are meant to begin with [`bos`](Self::bos).
    pub add_bos: bool,
    /// Whether texts are meant to end with [`eos`](Self::eos).
    pub add_eos: bool,
    /// The template of a chat, in Jinja, as it is in the file.
    pub chat_template: Option<String>,
}

/// The parts of a `tokenizer.json` that kinds of tokenizers differ in.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
    /// The first and last token and whether to add them, where the file does not say.
    defaults: (Option<u32>, Option<u32>, bool),
}

impl GgufTokenizer {
    pub(super) fn new(metadata: &GgufMetadata<'_>) -> Result<Self> {
        let vocabulary = Vocabulary::read(metadata)?;
        let parts = match metadata.text(MODEL_KEY)? {
            "gpt2" => byte_level::parts(metadata, &vocabulary)?,
            "llama" => sentence_piece::parts(metadata, &vocabulary)?,
            other => {
                let problem = format!("is `{}`: `gpt2` and `llama` are supported", shown(other));
                return Err(Error::gguf_key(MODEL_KEY, problem));
            }
        };
        let (first, last, adds_first) = parts.defaults;
        let truth =
            |key: &str, otherwise| Ok::<bool, Error>(metadata.optional_truth(key)?.unwrap_or(otherwise));
        let add_bos = truth("tokenizer.ggml.add_bos_token", adds_first)?;
        let add_eos = truth("tokenizer.ggml.add_eos_token", false)?;
        let bos = vocabulary.token_of(metadata, "tokenizer.ggml.bos_token_id", first, add_bos)?;
        let eos = vocabulary.token_of(metadata, "tokenizer.ggml.eos_token_id", last, add_eos)?;
        let end_of_turn = vocabulary.token_of(metadata, "tokenizer.ggml.eot_token_id", None, false)?;
        let json = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": vocabulary.added_tokens(),
            "normalizer": parts.normalizer,
            "pre_tokenizer": parts.pre_tokenizer,
            "post_processor": vocabulary.template(bos.filter(|_| add_bos), eos.filter(|_| add_eos)),
            "decoder": parts.decoder,
            "model": parts.model,
        });
        Ok(Self {
            json: json.to_string().into_bytes(),
            bos,
            eos,
            end_of_turn: end_of_turn.filter(|_| end_of_turn != eos),
            add_bos,
            add_eos,
            chat_template: metadata
                .optional_text("tokenizer.chat_template")?
                .map(str::to_owned),
        })
    }
}

/// What a token is, by its number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    /// A filler, so that the vocabulary has the size of the embedding.
    Unused,
    Byte,
}

/// The tokens of a file by their ids.
struct Vocabulary<'a> {
    tokens: Vec<&'a str>,
    kinds: Vec<Kind>,
    ids: HashMap<&'a str, u32>,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &GgufMetadata<'a>) -> Result<Self> {
        let tokens = metadata.texts(TOKENS_KEY)?;
        if tokens.is_empty() || tokens.len() > MAXIMUM_VOCABULARY {
            let problem = format!(
                "has {} tokens: 1 to {MAXIMUM_VOCABULARY} are supported",
                tokens.len()
            );
            return Err(Error::gguf_key(TOKENS_KEY, problem));
        }
        let kinds = match metadata.optional_wholes(TYPES_KEY)? {
            None => vec![Kind::Normal; tokens.len()],
            Some(numbers) => kinds(&numbers, tokens.len())?,
        };
        let mut ids = HashMap::new();
        for (id, (&token, &kind)) in tokens.iter().zip(&kinds).enumerate() {
            if kind == Kind::Unused {
                continue;
            }
            if token.is_empty() {
                return Err(Error::gguf_key(
                    TOKENS_KEY,
                    format!("has an empty token, number {id}"),
                ));
            }
            if ids.insert(token, id as u32).is_some() {
                let problem = format!("has token `{}` twice", shown(token));
                return Err(Error::gguf_key(TOKENS_KEY, problem));
            }
        }
        Ok(Self { tokens, kinds, ids })
    }

    /// Ids, tokens and kinds of all tokens in use.
    fn used(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        let all = self.tokens.iter().zip(&self.kinds).enumerate();
        all.map(|(id, (&token, &kind))| (id as u32, token, kind))
            .filter(|&(_, _, kind)| kind != Kind::Unused)
    }

    /// The `vocab` of a `tokenizer.json`.
    fn json(&self) -> Value {
        self.used()
            .map(|(id, token, _)| (token.to_owned(), json!(id)))
            .collect()
    }

    /// Tokens that are found in a text before anything else is done with it. Control tokens are special: a text that
    /// spells one is only a text.
    fn added_tokens(&self) -> Value {
        let added = self
            .used()
            .filter(|(_, _, kind)| matches!(kind, Kind::Unknown | Kind::Control | Kind::UserDefined));
        added
            .map(|(id, token, kind)| {
                json!({
                    "id": id,
                    "content": token,
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": kind != Kind::UserDefined,
                })
            })
            .collect()
    }

    /// The token that a key names, which must be one in use; required where texts are to have it.
    fn token_of(
        &self,
        metadata: &GgufMetadata<'_>,
        key: &str,
        otherwise: Option<u32>,
        required: bool,
    ) -> Result<Option<u32>> {
        let Some(id) = metadata.optional_size(key)? else {
            let id = otherwise.filter(|&id| (id as usize) < self.tokens.len());
            return match id {
                None if required => Err(Error::gguf_key(key, "is missing, but it is to be added to texts")),
                id => Ok(id),
            };
        };
        if id >= self.tokens.len() {
            let problem = format!("is {id}, but there are {} tokens", self.tokens.len());
            return Err(Error::gguf_key(key, problem));
        }
        Ok(Some(id as u32))
    }

    /// A post-processor that puts tokens around a text.
    fn template(&self, first: Option<u32>, last: Option<u32>) -> Value {
        if first.is_none() && last.is_none() {
            return Value::Null;
        }
        let token = |id: u32| self.tokens[id as usize];
        let special = |id: u32, kind: u32| json!({"SpecialToken": {"id": token(id), "type_id": kind}});
        let around = |name: &str, kind: u32| {
            let text = json!({"Sequence": {"id": name, "type_id": kind}});
            let first = first.map(|id| special(id, kind));
            first
                .into_iter()
                .chain([text])
                .chain(last.map(|id| special(id, kind)))
        };
        let tokens: Value = first
            .into_iter()
            .chain(last)
            .map(|id| {
                let entry = json!({"id": token(id), "ids": [id], "tokens": [token(id)]});
                (token(id).to_owned(), entry)
            })
            .collect();
        json!({
            "type": "TemplateProcessing",
            "single": around("A", 0).collect::<Vec<_>>(),
            "pair": around("A", 0).chain(around("B", 1)).collect::<Vec<_>>(),
            "special_tokens": tokens,
        })
    }
}

fn kinds(numbers: &[u64], count: usize) -> Result<Vec<Kind>> {
    if numbers.len() != count {
        let problem = format!("has {} types for {count} tokens", numbers.len());
        return Err(Error::gguf_key(TYPES_KEY, problem));
    }
    let kind = |(id, &number): (usize, &u64)| {
        Ok(match number {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            other => {
                let problem = format!("gives token {id} type {other}: 1 to 6 are known");
                return Err(Error::gguf_key(TYPES_KEY, problem));
            }
        })
    };
    numbers.iter().enumerate().map(kind).collect()
}

/// The `model` of a `tokenizer.json` that merges pairs.
struct PairModel {
    unknown: Option<String>,
    byte_fallback: bool,
    ignore_merges: bool,
}

impl PairModel {
    fn json<'a>(
        self,
        vocabulary: &Vocabulary<'_>,
        merges: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Value {
        json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": self.unknown,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": self.byte_fallback,
            "byte_fallback": self.byte_fallback,
            "ignore_merges": self.ignore_merges,
            "vocab": vocabulary.json(),
            "merges": merges.map(|(left, right)| json!([left, right])).collect::<Vec<_>>(),
        })
    }
}
