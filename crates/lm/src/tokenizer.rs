//! Byte-level BPE tokenizers in Hugging Face's `tokenizer.json` form: trained on a text, or imported.
//!
//! Encoding and training are the `tokenizers` crate's. Decoding is our own, from a table of each token's bytes: a
//! byte-level token is a sequence of bytes, which also gives bits per byte and text that never breaks inside a
//! character while it streams.

mod bytes;
mod stream;

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, NormalizerWrapper, TokenizerImpl};

pub use stream::StreamDecoder;

use crate::error::{Error, Result};
use crate::threads;

const END_OF_TEXT: &str = "<|endoftext|>";
const MINIMUM_VOCABULARY: usize = 257;
const MAXIMUM_VOCABULARY: usize = 1 << 20;
/// Pairs seen once are no pattern.
const MINIMUM_FREQUENCY: u64 = 2;
/// Texts are encoded in pieces of at least this many bytes, since the library keeps much beside each byte.
const PIECE: usize = 1 << 14;

/// A byte-level BPE tokenizer. Cloning is cheap.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    json: Vec<u8>,
    library: tokenizers::Tokenizer,
    /// Bytes of each token; `None` where an id is unused.
    bytes: Arc<Vec<Option<Vec<u8>>>>,
    end_of_text: Option<u32>,
}

impl Tokenizer {
    /// Trains a tokenizer on texts, with `<|endoftext|>` as token 0, the 256 bytes next, then merges up to
    /// `vocabulary` tokens (fewer where the texts hold fewer patterns that occur twice). The same texts give the same
    /// `tokenizer.json` bytes.
    ///
    /// # Errors
    /// A vocabulary below 257 or above 2^20, or texts that are all empty.
    pub fn train(texts: &[&str], vocabulary: usize) -> Result<Self> {
        if !(MINIMUM_VOCABULARY..=MAXIMUM_VOCABULARY).contains(&vocabulary) {
            let problem =
                format!("is {vocabulary}: it must be between {MINIMUM_VOCABULARY} and {MAXIMUM_VOCABULARY}");
            return Err(Error::options("vocabulary", problem));
        }
        if texts.iter().all(|text| text.is_empty()) {
            return Err(Error::text("is empty: there is nothing to train a tokenizer on"));
        }
        // One thread of our own: the library would otherwise use the process-wide pool.
        let json = threads::pool(1)?.install(|| train(texts, vocabulary))?;
        Self::from_json(json.as_bytes())
    }

    /// Reads a `tokenizer.json`. Its bytes are kept as they are, since a digest and a bundle cover them.
    ///
    /// # Errors
    /// Anything but a lossless, deterministic byte-level BPE: other models, normalisers, an added prefix space,
    /// dropout, missing bytes.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let value = serde_json::from_slice(json).map_err(|source| Error::Json {
            what: "tokenizer.json",
            source,
        })?;
        bytes::check_byte_level(&value)?;
        let mut library =
            tokenizers::Tokenizer::from_bytes(json).map_err(|source| Error::TokenizerLibrary {
                action: "read tokenizer.json",
                source,
            })?;
        let failed = |source| Error::TokenizerLibrary {
            action: "switch truncation off",
            source,
        };
        library.with_truncation(None).map_err(failed)?;
        library.with_padding(None);
        // A text that spells a special token is text: nobody may end a document from inside it.
        library.set_encode_special_tokens(true);
        let bytes = bytes::token_bytes(&library)?;
        let end_of_text = library.token_to_id(END_OF_TEXT);
        let inner = Inner {
            json: json.to_vec(),
            library,
            bytes: Arc::new(bytes),
            end_of_text,
        };
        let tokenizer = Self {
            inner: Arc::new(inner),
        };
        tokenizer.check_lossless()?;
        Ok(tokenizer)
    }

    /// The exact bytes of its `tokenizer.json`.
    pub fn to_json(&self) -> &[u8] {
        &self.inner.json
    }

    /// SHA-256 of [`to_json`](Self::to_json).
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.inner.json).into()
    }

    /// The tokens of a text. Special tokens spelt out in it are encoded as the text they are.
    ///
    /// # Errors
    /// A failure of the library, which a lossless tokenizer does not meet.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        for piece in pieces(text) {
            let encoding =
                self.inner
                    .library
                    .encode_fast(piece, false)
                    .map_err(|source| Error::TokenizerLibrary {
                        action: "encode a text",
                        source,
                    })?;
            tokens.extend_from_slice(encoding.get_ids());
        }
        Ok(tokens)
    }

    /// The text of tokens. Bytes that are no UTF-8 become U+FFFD; ids that stand for nothing give nothing.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&token| self.token_bytes(token).unwrap_or_default())
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A decoder of one token after another that only gives whole characters.
    pub fn stream(&self) -> StreamDecoder {
        StreamDecoder::new(self.inner.bytes.clone())
    }

    /// Ids are below this number.
    pub fn vocabulary(&self) -> usize {
        self.inner.bytes.len()
    }

    /// The bytes of a token, for a special token those of its name; `None` for an id that stands for nothing.
    pub fn token_bytes(&self, token: u32) -> Option<&[u8]> {
        self.inner.bytes.get(token as usize)?.as_deref()
    }

    /// The id of `<|endoftext|>`, where the tokenizer has it.
    pub fn end_of_text(&self) -> Option<u32> {
        self.inner.end_of_text
    }

    /// A few awkward texts must survive the way there and back, whatever else the JSON asks for.
    fn check_lossless(&self) -> Result<()> {
        for probe in [
            "Hello, world!\n\n  It's 1851\tand\r\nso on ",
            "\u{e9}\u{301} \u{4e16}\u{754c} \u{1f40b}\0\u{7f}",
        ] {
            let bytes = self.encode(probe)?;
            if self.decode(&bytes) != probe {
                let problem = "does not give back the text that it encodes: only lossless byte-level tokenizers are supported";
                return Err(Error::Tokenizer {
                    problem: problem.to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocabulary", &self.vocabulary())
            .finish_non_exhaustive()
    }
}

fn train(texts: &[&str], vocabulary: usize) -> Result<String> {
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(vocabulary)
        .min_frequency(MINIMUM_FREQUENCY)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<char>>())
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .build();
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer: TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel> =
        TokenizerImpl::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(byte_level))
        .with_decoder(Some(byte_level));
    tokenizer
        .train(&mut trainer, texts.iter().flat_map(|text| pieces(text)))
        .map_err(|source| Error::TokenizerLibrary {
            action: "train on the texts",
            source,
        })?;
    tokenizer
        .to_string(false)
        .map_err(|source| Error::TokenizerLibrary {
            action: "write tokenizer.json",
            source,
        })
}

/// Cuts a text into pieces that encode to the same tokens as the whole.
///
/// A cut is made after a single newline between two characters that are no white space. There every byte-level
/// pre-tokenizer in use ends a word: no pattern of theirs joins a newline to what follows it, and the newline alone
/// matches the same pattern at the end of a text as before a word.
fn pieces(text: &str) -> impl Iterator<Item = &str> + Send {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(cut(rest));
        rest = after;
        Some(piece)
    })
}

fn cut(text: &str) -> usize {
    let bytes = text.as_bytes();
    // Only ASCII neighbours count, which keeps every look on a character's border.
    let is_word = |byte: u8| byte.is_ascii_graphic();
    let newline = (PIECE..bytes.len().saturating_sub(1))
        .find(|&index| bytes[index] == b'\n' && is_word(bytes[index - 1]) && is_word(bytes[index + 1]));
    newline.map_or(bytes.len(), |index| index + 1)
}

#[cfg(test)]
mod tests;
