//! The canonical serialised model, the thing that is sealed and committed to.
//!
//! A bundle is a safetensors file whose `__metadata__` holds `config` (the text of a `config.json`), `format`
//! (`posthuman-bundle/1`) and `tokenizer` (the exact bytes of a `tokenizer.json`), and whose tensors are f32,
//! little-endian, in canonical order without gaps. Where a model has them, `chat_template` (Jinja), `generation`
//! (defaults, JSON) and `special_tokens` (where they are others than the tokenizer's JSON says, JSON) are there too.
//! Metadata are in the order of their keys. The same model and tokenizer always give the same bytes.

use serde_json::{Map, Value};

use crate::chat::ChatTemplate;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::generation_defaults::GenerationDefaults;
use crate::model::{Model, Tensor};
use crate::tensor_file;
use crate::tokenizer::{SpecialTokens, Tokenizer};

const FORMAT: &str = "posthuman-bundle/1";

/// A model with its tokenizer.
#[derive(Clone, Debug)]
pub struct Bundle {
    model: Model,
    tokenizer: Tokenizer,
    extras: BundleExtras,
}

/// What a model may come with beside its tokenizer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BundleExtras {
    /// How messages are written for it.
    pub chat_template: Option<ChatTemplate>,
    /// How its maker advises to generate.
    pub generation: Option<GenerationDefaults>,
}

/// What the head of a bundle tells without its weights.
#[derive(Clone, Debug)]
pub struct BundleHeader {
    /// Shape of the model.
    pub config: Config,
    /// Its tokenizer, with the tokens that begin and end a text.
    pub tokenizer: Tokenizer,
    /// What it comes with.
    pub extras: BundleExtras,
}

/// Outcome of reading a header from the first bytes of a bundle.
#[derive(Debug)]
pub enum HeaderRead {
    /// The header was complete.
    Complete(Box<BundleHeader>),
    /// The first bytes, up to this many in all, are needed.
    NeedBytes(usize),
}

impl Bundle {
    /// Puts a model and its tokenizer together.
    ///
    /// # Errors
    /// A tokenizer with more tokens than the model's vocabulary.
    pub fn new(model: Model, tokenizer: Tokenizer) -> Result<Self> {
        let (tokens, rows) = (tokenizer.vocabulary(), model.config().vocabulary);
        if tokens > rows {
            let problem = format!(
                "has {tokens} tokens, more than the model's vocabulary of {rows}: they do not belong together"
            );
            return Err(Error::Tokenizer { problem });
        }
        Ok(Self {
            model,
            tokenizer,
            extras: BundleExtras::default(),
        })
    }

    /// The same bundle with other extras. A model made from another one keeps the tokenizer's tokens that begin and end
    /// a text; give it the extras as well.
    ///
    /// # Errors
    /// Defaults out of their ranges.
    pub fn with_extras(mut self, extras: BundleExtras) -> Result<Self> {
        if let Some(generation) = &extras.generation {
            generation.sampling().check()?;
        }
        self.extras = extras;
        Ok(self)
    }

    /// What the model comes with beside its tokenizer.
    pub fn extras(&self) -> &BundleExtras {
        &self.extras
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// All tensors in canonical order, for a commitment.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        self.model.tensors()
    }

    /// Gives model and tokenizer back.
    pub fn into_parts(self) -> (Model, Tokenizer) {
        (self.model, self.tokenizer)
    }

    /// What a commitment binds of a model beside its shape and its weights: the exact bytes of its `tokenizer.json`, or,
    /// where it has a chat template, defaults or tokens of its own that begin and end a text, a JSON object of all of
    /// them. Whoever changed one of them would change answers.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn bound_tokenizer(&self) -> Result<Vec<u8>> {
        let mut bound = self.texts()?;
        bound.retain(|(key, _)| !matches!(*key, "config" | "format"));
        if let [(_, tokenizer)] = bound.as_slice() {
            return Ok(tokenizer.clone().into_bytes());
        }
        let object: Map<String, Value> = bound
            .into_iter()
            .map(|(key, text)| (key.to_owned(), Value::String(text)))
            .collect();
        Ok(Value::Object(object).to_string().into_bytes())
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// A tokenizer text that is not UTF-8, which [`Tokenizer::from_json`] does not let in.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let texts = self.texts()?;
        let metadata: Vec<(&str, &str)> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
        tensor_file::write(&metadata, self.tensors())
    }

    /// The texts of the metadata, in the order of their keys.
    fn texts(&self) -> Result<Vec<(&'static str, String)>> {
        let tokenizer = std::str::from_utf8(self.tokenizer.to_json()).map_err(|_| Error::Bug {
            problem: "a tokenizer's JSON is not UTF-8".to_owned(),
        })?;
        let generation = self.extras.generation.as_ref();
        let special = self.tokenizer.own_special_tokens();
        let template = self.extras.chat_template.as_ref();
        let texts = [
            (
                "chat_template",
                template.map(|template| template.source().to_owned()),
            ),
            ("config", Some(self.model.config().to_json())),
            ("format", Some(FORMAT.to_owned())),
            (
                "generation",
                generation.map(GenerationDefaults::to_json).transpose()?,
            ),
            ("special_tokens", special.map(special_tokens_json).transpose()?),
            ("tokenizer", Some(tokenizer.to_owned())),
        ];
        Ok(texts
            .into_iter()
            .filter_map(|(key, text)| Some((key, text?)))
            .collect())
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// Bytes that are not a bundle, or are not its canonical bytes: a commitment to them would not cover what is run.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let header = match BundleHeader::read(bytes)? {
            HeaderRead::Complete(header) => *header,
            HeaderRead::NeedBytes(needed) => {
                let problem = format!(
                    "ends after {} bytes, inside its header of {needed}: it is truncated",
                    bytes.len()
                );
                return Err(Error::Bundle { problem });
            }
        };
        let model = Model::from_safetensors(header.config, bytes)?;
        let bundle = Self::new(model, header.tokenizer)?.with_extras(header.extras)?;
        if bundle.to_bytes()? != bytes {
            let problem =
                "is not in canonical form: its tensors or metadata are written another way".to_owned();
            return Err(Error::Bundle { problem });
        }
        Ok(bundle)
    }
}

impl BundleHeader {
    /// Reads shape and tokenizer from the first bytes of a bundle, without its weights. Begin with any number of
    /// bytes, even none, and follow [`HeaderRead::NeedBytes`].
    ///
    /// # Errors
    /// Bytes that are not the beginning of a bundle.
    pub fn read(prefix: &[u8]) -> Result<HeaderRead> {
        let header = match tensor_file::header_bytes(prefix)? {
            Ok(header) => header,
            Err(needed) => return Ok(HeaderRead::NeedBytes(needed)),
        };
        let header: Map<String, Value> = serde_json::from_slice(header).map_err(|source| Error::Json {
            what: "the header of the model bundle",
            source,
        })?;
        let metadata = header.get("__metadata__");
        let optional = |key: &str| metadata.and_then(|metadata| metadata.get(key)?.as_str());
        let field = |key: &str| -> Result<&str> {
            optional(key).ok_or_else(|| Error::Bundle {
                problem: format!("has no `{key}` in its metadata: it is not a bundle"),
            })
        };
        let format = field("format")?;
        if format != FORMAT {
            let problem = format!("is of format `{format}`, where this engine reads `{FORMAT}`");
            return Err(Error::Bundle { problem });
        }
        let config = Config::from_json(field("config")?.as_bytes())?;
        let mut tokenizer = Tokenizer::from_json(field("tokenizer")?.as_bytes())?;
        if let Some(special) = optional("special_tokens") {
            tokenizer = tokenizer.with_special_tokens(special_tokens(special)?)?;
        }
        let extras = BundleExtras {
            chat_template: optional("chat_template").map(ChatTemplate::parse).transpose()?,
            generation: optional("generation")
                .map(GenerationDefaults::from_json)
                .transpose()?,
        };
        Ok(HeaderRead::Complete(Box::new(Self {
            config,
            tokenizer,
            extras,
        })))
    }
}

const SPECIAL_TOKENS: &str = "the bundle's special tokens";

fn special_tokens_json(special: &SpecialTokens) -> Result<String> {
    serde_json::to_string(special).map_err(|source| Error::Json {
        what: SPECIAL_TOKENS,
        source,
    })
}

fn special_tokens(json: &str) -> Result<SpecialTokens> {
    serde_json::from_str(json).map_err(|source| Error::Json {
        what: SPECIAL_TOKENS,
        source,
    })
}
