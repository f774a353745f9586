//! The canonical serialised model, the thing that is sealed and committed to.
//!
//! A bundle is a safetensors file whose `__metadata__` holds `config` (the text of a `config.json`), `format` and
//! `tokenizer` (the exact bytes of a `tokenizer.json`), and whose tensors are little-endian, in canonical order without
//! gaps. Where a model has them, `chat_template` (Jinja), `generation` (defaults, JSON) and `special_tokens` (where they
//! are others than the tokenizer's JSON says, JSON) are there too. Metadata are in the order of their keys. The same
//! model and tokenizer always give the same bytes.
//!
//! In format `posthuman-bundle/1` all tensors are f32. In `posthuman-bundle/2` each has its own type: F32, F16 or BF16, or
//! blocks of GGUF, which are bytes (`U8`) to safetensors and whose types `blocks` says by their names. The blocks of a
//! matrix follow each other output by output, each along its inputs.

mod head;
mod read;

use std::io::{Read, Write};

use serde_json::{Map, Value};

use crate::arithmetic::Arithmetic;
use crate::chat::ChatTemplate;
use crate::error::{Error, Result};
use crate::generation_defaults::GenerationDefaults;
use crate::layout::Layout;
use crate::model::{Model, Tensor};
use crate::tensor_type::TensorType;
use crate::tokenizer::Tokenizer;
use head::Parts;
pub use head::{BundleHeader, HeaderRead};

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

    /// The same bundle, its model's products computed in another arithmetic.
    ///
    /// # Errors
    /// As [`Model::with_arithmetic`].
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Result<Self> {
        Ok(Self {
            model: self.model.with_arithmetic(arithmetic)?,
            ..self
        })
    }

    /// What its head tells.
    pub fn header(&self) -> BundleHeader {
        BundleHeader {
            config: self.model.config().clone(),
            tokenizer: self.tokenizer.clone(),
            extras: self.extras.clone(),
            kinds: self.tensors().map(|tensor| tensor.kind).collect(),
        }
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
        let kinds: Vec<TensorType> = self.tensors().map(|tensor| tensor.kind).collect();
        let mut bound = self.parts(&kinds).texts(self.model.layout())?;
        bound.retain(|(key, _)| !matches!(*key, "blocks" | "config" | "format"));
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
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the canonical bytes piece by piece.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes), and what the writer says.
    pub fn write(&self, to: &mut dyn Write) -> Result<()> {
        let unwritable = |source| Error::BundleAccess { source };
        to.write_all(&self.head()?).map_err(unwritable)?;
        for tensor in self.tensors() {
            let mut written = Ok(());
            tensor.bytes(&mut |bytes| {
                if written.is_ok() {
                    written = to.write_all(bytes);
                }
            });
            written.map_err(unwritable)?;
        }
        Ok(())
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn length(&self) -> Result<u64> {
        let tensors: u64 = self.tensors().map(|tensor| tensor.stored_bytes()).sum();
        Ok(self.head()?.len() as u64 + tensors)
    }

    fn head(&self) -> Result<Vec<u8>> {
        let kinds: Vec<TensorType> = self.tensors().map(|tensor| tensor.kind).collect();
        self.parts(&kinds).head(self.model.layout())
    }

    fn parts<'a>(&'a self, kinds: &'a [TensorType]) -> Parts<'a> {
        Parts {
            config: self.model.config(),
            tokenizer: &self.tokenizer,
            extras: &self.extras,
            kinds,
        }
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// Bytes that are not a bundle, or are not its canonical bytes: a commitment to them would not cover what is run.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self> {
        Self::read(&mut bytes)
    }

    /// Reads a bundle piece by piece, so that beside the model no more than its largest tensor of numbers is held.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), and what the reader says.
    pub fn read(from: &mut dyn Read) -> Result<Self> {
        let (head, header) = read::header(from)?;
        let layout = Layout::new(&header.config);
        if header.parts().head(&layout)? != head {
            let problem =
                "is not in canonical form: its tensors or metadata are written another way".to_owned();
            return Err(Error::Bundle { problem });
        }
        let model = read::model(from, header.config, layout, header.kinds)?;
        let bundle = Self::new(model, header.tokenizer)?.with_extras(header.extras)?;
        read::end(from)?;
        Ok(bundle)
    }
}
