//! The head of a bundle: all but its weights.

use serde_json::{Map, Value};

use super::BundleExtras;
use crate::chat::ChatTemplate;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::generation_defaults::GenerationDefaults;
use crate::layout::Layout;
use crate::tensor_file::{self, FileTensor};
use crate::tensor_type::TensorType;
use crate::tokenizer::{SpecialTokens, Tokenizer};

/// With all tensors in f32.
const FLAT_FORMAT: &str = "posthuman-bundle/1";
/// With tensors in their own types.
const FORMAT: &str = "posthuman-bundle/2";

/// What the head of a bundle tells without its weights.
#[derive(Clone, Debug)]
pub struct BundleHeader {
    /// Shape of the model.
    pub config: Config,
    /// Its tokenizer, with the tokens that begin and end a text.
    pub tokenizer: Tokenizer,
    /// What it comes with.
    pub extras: BundleExtras,
    /// The types of its tensors, in canonical order.
    pub kinds: Vec<TensorType>,
}

/// Outcome of reading a header from the first bytes of a bundle.
#[derive(Debug)]
pub enum HeaderRead {
    /// The header was complete.
    Complete(Box<BundleHeader>),
    /// The first bytes, up to this many in all, are needed.
    NeedBytes(usize),
}

impl BundleHeader {
    /// What it says, to be written again.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            config: &self.config,
            tokenizer: &self.tokenizer,
            extras: &self.extras,
            kinds: &self.kinds,
        }
    }

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
        if ![FLAT_FORMAT, FORMAT].contains(&format) {
            let problem =
                format!("is of format `{format}`, where this engine reads `{FLAT_FORMAT}` and `{FORMAT}`");
            return Err(Error::Bundle { problem });
        }
        let config = Config::from_json(field("config")?.as_bytes())?;
        let kinds = kinds(&config, &header, optional("blocks"))?;
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
            kinds,
        })))
    }
}

/// The types of all tensors, by the names that the shape asks for.
fn kinds(config: &Config, header: &Map<String, Value>, blocks: Option<&str>) -> Result<Vec<TensorType>> {
    let blocks: Map<String, Value> = match blocks {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|source| Error::Json {
            what: "the bundle's types of blocks",
            source,
        })?,
    };
    let entries = Layout::new(config).entries;
    let kind = |name: &str| -> Result<TensorType> {
        let described = header.get(name).and_then(|tensor| tensor.get("dtype")?.as_str());
        let known = match (described, blocks.get(name)) {
            (Some("U8"), Some(Value::String(kind))) => {
                TensorType::named(kind).filter(|kind| kind.is_quantised())
            }
            (Some(kind), None) => TensorType::named(kind).filter(|kind| !kind.is_quantised()),
            (None, _) => return Err(Error::tensor(name, "is missing from the bundle")),
            _ => None,
        };
        known.ok_or_else(|| Error::tensor(name, "of the bundle is of a type that this engine does not read"))
    };
    entries.iter().map(|entry| kind(&entry.name)).collect()
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

/// All that the head of a bundle is made of.
pub(super) struct Parts<'a> {
    pub config: &'a Config,
    pub tokenizer: &'a Tokenizer,
    pub extras: &'a BundleExtras,
    pub kinds: &'a [TensorType],
}

impl Parts<'_> {
    /// The bytes before the data.
    pub fn head(&self, layout: &Layout) -> Result<Vec<u8>> {
        let texts = self.texts(layout)?;
        let metadata: Vec<(&str, &str)> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
        let tensors: Vec<FileTensor<'_>> = layout
            .entries
            .iter()
            .zip(self.kinds)
            .map(|(entry, &kind)| FileTensor::stored(&entry.name, &entry.shape, kind))
            .collect();
        Ok(tensor_file::head(&metadata, &tensors))
    }

    /// The texts of the metadata, in the order of their keys.
    pub fn texts(&self, layout: &Layout) -> Result<Vec<(&'static str, String)>> {
        let tokenizer = std::str::from_utf8(self.tokenizer.to_json()).map_err(|_| Error::Bug {
            problem: "a tokenizer's JSON is not UTF-8".to_owned(),
        })?;
        let generation = self.extras.generation.as_ref();
        let special = self.tokenizer.own_special_tokens();
        let template = self.extras.chat_template.as_ref();
        let flat = self.kinds.iter().all(|&kind| kind == TensorType::F32);
        let format = if flat { FLAT_FORMAT } else { FORMAT };
        let texts = [
            ("blocks", self.blocks(layout)),
            (
                "chat_template",
                template.map(|template| template.source().to_owned()),
            ),
            ("config", Some(self.config.to_json())),
            ("format", Some(format.to_owned())),
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

    /// The types of quantised tensors by their names, in canonical order.
    fn blocks(&self, layout: &Layout) -> Option<String> {
        let tensors = layout.entries.iter().zip(self.kinds);
        let pairs: Vec<String> = tensors
            .filter(|(_, kind)| kind.is_quantised())
            .map(|(entry, kind)| format!("{}:\"{kind}\"", Value::from(entry.name.as_str())))
            .collect();
        (!pairs.is_empty()).then(|| format!("{{{}}}", pairs.join(",")))
    }
}
