//! BPE tokenizers in Hugging Face's `tokenizer.json` form: trained on a text, or imported.
//!
//! Encoding and training are the `tokenizers` crate's. Decoding is our own, from a table of each token's bytes, which
//! also gives bits per byte and text that never breaks inside a character while it streams. `recipe.rs` says which
//! tokenizers are accepted.

mod bytes;
mod given;
mod pieces;
mod recipe;
mod special;
mod stream;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, NormalizerWrapper, TokenizerImpl};

pub(crate) use recipe::QWEN2_WORDS;
pub use special::SpecialTokens;
pub use stream::StreamDecoder;

use crate::error::{Error, Result};
use crate::threads;
use pieces::pieces;
use recipe::{Alphabet, Cuts, Prefix, Recipe};

const END_OF_TEXT: &str = "<|endoftext|>";
const MINIMUM_VOCABULARY: usize = 257;
const MAXIMUM_VOCABULARY: usize = 1 << 20;
/// Pairs seen once are no pattern.
const MINIMUM_FREQUENCY: u64 = 2;

/// A BPE tokenizer. Cloning is cheap.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
    special: SpecialTokens,
}

struct Inner {
    json: Vec<u8>,
    library: tokenizers::Tokenizer,
    /// Puts no space before a text; `None` where `library` does not either.
    continuation: Option<tokenizers::Tokenizer>,
    recipe: Recipe,
    /// Bytes of each token; `None` where an id is unused.
    bytes: Arc<Vec<Option<Vec<u8>>>>,
    /// Bytes that no text may hold.
    missing: Vec<u8>,
    /// What the JSON alone says.
    special: SpecialTokens,
}

impl Tokenizer {
    /// Trains a byte-level tokenizer on texts, with `<|endoftext|>` as token 0, the 256 bytes next, then merges up to
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
    /// Accepted are byte-level BPE, and BPE with byte fallback that writes spaces as U+2581. What comes back from
    /// [`decode`](Self::decode) is the text that was encoded; where the tokenizer composes characters (`NFC`) it is the
    /// text in that form, and where it writes spaces as U+2581 a U+2581 of the text comes back as a space.
    ///
    /// # Errors
    /// Other models (`Unigram`, `WordPiece`, `WordLevel`), other normalisers and pre-tokenizers, dropout, bytes that are
    /// missing and that any text may need, by their names.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(json).map_err(|source| Error::Json {
            what: "tokenizer.json",
            source,
        })?;
        let recipe = Recipe::read(&value)?;
        let library = read_library(json)?;
        let continuation = match recipe.prefix {
            Prefix::Never => None,
            _ => Some(read_library(recipe::continuation(&value).to_string().as_bytes())?),
        };
        let bytes = bytes::token_bytes(&library, recipe.alphabet)?;
        let missing = bytes::missing_bytes(&library, &bytes, &recipe)?;
        let special = SpecialTokens::of_json(&value, &library);
        special.check(&bytes)?;
        let inner = Inner {
            json: json.to_vec(),
            library,
            continuation,
            recipe,
            bytes: Arc::new(bytes),
            missing,
            special: special.clone(),
        };
        let tokenizer = Self {
            inner: Arc::new(inner),
            special,
        };
        tokenizer.check_round_trip()?;
        Ok(tokenizer)
    }

    /// The same tokenizer with other tokens that begin and end a text than its JSON says.
    ///
    /// # Errors
    /// Ids that are no tokens.
    pub fn with_special_tokens(mut self, special: SpecialTokens) -> Result<Self> {
        special.check(&self.inner.bytes)?;
        self.special = special;
        Ok(self)
    }

    /// How it makes tokens, in words: `byte-level BPE`, or `BPE with byte fallback`.
    pub fn kind(&self) -> &'static str {
        match self.inner.recipe.alphabet {
            Alphabet::ByteLevel => "byte-level BPE",
            Alphabet::SentencePiece => "BPE with byte fallback",
        }
    }

    /// The exact bytes of its `tokenizer.json`.
    pub fn to_json(&self) -> &[u8] {
        &self.inner.json
    }

    /// SHA-256 of [`to_json`](Self::to_json).
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.inner.json).into()
    }

    /// The tokens of a text, without one that begins it. Special tokens spelt out in it are encoded as the text they
    /// are.
    ///
    /// # Errors
    /// A byte that the tokenizer has no token for, by its place: control characters, in vocabularies that leave some
    /// out. Or a failure of the library, which an accepted tokenizer does not meet.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_segment(text, true)
    }

    /// The tokens of a text that is to be continued: [`bos_token`](Self::bos_token) first where
    /// [`adds_bos`](Self::adds_bos), then those of [`encode`](Self::encode).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens: Vec<u32> = self
            .special
            .bos
            .filter(|_| self.special.adds_bos)
            .into_iter()
            .collect();
        tokens.extend(self.encode(text)?);
        Ok(tokens)
    }

    /// The tokens of a stretch of plain text at the start of everything, or after a special token.
    pub(crate) fn encode_segment(&self, text: &str, at_start: bool) -> Result<Vec<u32>> {
        let Inner {
            library,
            continuation,
            recipe,
            ..
        } = &*self.inner;
        self.check_bytes(text)?;
        let mut tokens = Vec::with_capacity(text.len() / 3);
        let mut prefixed = recipe.prefix.applies(text, at_start);
        for piece in pieces(text, recipe.cuts) {
            let library = match continuation {
                Some(continuation) if !prefixed => continuation,
                _ => library,
            };
            let encoding = library
                .encode_fast(piece, false)
                .map_err(|source| Error::TokenizerLibrary {
                    action: "encode a text",
                    source,
                })?;
            tokens.extend_from_slice(encoding.get_ids());
            prefixed = false;
        }
        Ok(tokens)
    }

    /// The text of tokens, without the space that the tokenizer puts before a text. Bytes that are no UTF-8 become
    /// U+FFFD; ids that stand for nothing give nothing.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&token| self.token_bytes(token).unwrap_or_default())
            .copied()
            .collect();
        let text = match bytes.strip_prefix(b" ") {
            Some(rest) if self.inner.recipe.prefix != Prefix::Never => rest,
            _ => &bytes,
        };
        String::from_utf8_lossy(text).into_owned()
    }

    /// A decoder of one token after another that only gives whole characters. A space before the first word is kept:
    /// what is streamed continues a text.
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

    /// The id of a token by its name in the JSON.
    pub fn token_id(&self, name: &str) -> Option<u32> {
        self.inner.library.token_to_id(name)
    }

    /// The token that usually ends a text and stands between documents; `<|endoftext|>` in GPT-2.
    pub fn end_of_text(&self) -> Option<u32> {
        self.special.eos.first().copied()
    }

    /// Every token that ends a text.
    pub fn eos_tokens(&self) -> &[u32] {
        &self.special.eos
    }

    /// The token that begins a text, where there is one.
    pub fn bos_token(&self) -> Option<u32> {
        self.special.bos
    }

    /// Whether a text that is scored, learnt or continued begins with [`bos_token`](Self::bos_token).
    pub fn adds_bos(&self) -> bool {
        self.special.adds_bos
    }

    /// Tokens that begin and end a text.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    /// [`special_tokens`](Self::special_tokens) where they are others than the JSON says.
    pub(crate) fn own_special_tokens(&self) -> Option<&SpecialTokens> {
        Some(&self.special).filter(|&special| *special != self.inner.special)
    }

    /// Bytes of `text` behind each of its `tokens`; they sum up to its length.
    ///
    /// # Errors
    /// Tokens that do not spell the text.
    pub(crate) fn given_lengths(&self, text: &str, tokens: &[u32]) -> Result<Vec<u64>> {
        let lengths = tokens
            .iter()
            .map(|&token| self.token_bytes(token).map_or(0, <[u8]>::len));
        given::given_lengths(&self.inner.recipe, text, lengths).ok_or_else(|| {
            Error::tokenizer("does not give back the bytes of this text: bits per byte would be wrong")
        })
    }

    /// The library, for names of special tokens and how they stand in a text.
    pub(crate) fn library(&self) -> &tokenizers::Tokenizer {
        &self.inner.library
    }

    /// A few awkward texts must survive the way there and back, whatever else the JSON asks for.
    fn check_bytes(&self, text: &str) -> Result<()> {
        let missing = &self.inner.missing;
        if missing.is_empty() {
            return Ok(());
        }
        match text.bytes().position(|byte| missing.contains(&byte)) {
            None => Ok(()),
            Some(place) => {
                let byte = text.as_bytes()[place];
                let problem = format!(
                    "holds byte {byte:#04x} at position {place}, for which the model's tokenizer has no token: take it out"
                );
                Err(Error::text(problem))
            }
        }
    }

    fn check_round_trip(&self) -> Result<()> {
        for probe in [
            "Hello, world!\n\n  It's 1851\tand\r\nso on ",
            "\u{e9}\u{301} \u{4e16}\u{754c} \u{1f40b}\0\u{7f}",
        ] {
            if self.check_bytes(probe).is_err() {
                continue;
            }
            let tokens = self.encode(probe)?;
            if self.decode(&tokens) != given::changed(&self.inner.recipe, probe) {
                return Err(Error::tokenizer(
                    "does not give back the text that it encodes: only tokenizers that keep every byte are supported",
                ));
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

fn read_library(json: &[u8]) -> Result<tokenizers::Tokenizer> {
    let mut library = tokenizers::Tokenizer::from_bytes(json).map_err(|source| Error::TokenizerLibrary {
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
    Ok(library)
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
        .train(
            &mut trainer,
            texts.iter().flat_map(|text| pieces(text, Cuts::BetweenLines)),
        )
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

#[cfg(test)]
mod tests;
