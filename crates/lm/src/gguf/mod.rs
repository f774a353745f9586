//! Reading GGUF, the single-file format of llama.cpp: metadata, quantised tensors and a tokenizer in one file.
//!
//! A [`GgufFile`] is a view of bytes that the caller holds, in memory or mapped. Reading it checks the whole frame
//! (counts, strings, types, ranges) and copies nothing but names. From there:
//!
//! - [`GgufFile::model`] gives the model as if it came from a Hugging Face folder: a `config.json`, and parameters by
//!   their names and shapes there, each of which dequantises to f32 on request;
//! - [`GgufFile::tokenizer`] gives an equivalent `tokenizer.json`;
//! - [`GgufFile::tensors`] gives the blocks as they are stored, for arithmetic in the file's own quantisation.
//!
//! A file is untrusted: every count is held against the bytes that are left before anything is allocated, every sum
//! and product of sizes is checked, and a refusal names the tensor or the key.
//!
//! The format is specified in `docs/gguf.md` of the `ggml` repository; version 3 only added big-endian files, which
//! are refused.

mod cursor;
mod families;
mod import;
mod metadata;
mod model;
mod rope;
mod stream;
mod tensors;
mod tokenizer;

pub use import::{describe_gguf, import_gguf, import_gguf_model, import_gguf_stream};
pub use metadata::{GgufArray, GgufMetadata, GgufValue};
pub use model::{GgufModel, GgufParameter};
pub use tensors::GgufTensor;
pub use tokenizer::GgufTokenizer;

use cursor::Cursor;

use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"GGUF";
const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: usize = 32;
/// More would only waste space; files in use have 32 or 64.
const MAXIMUM_ALIGNMENT: usize = 1 << 16;

/// A GGUF file of version 2 or 3, whose frame has been checked.
#[derive(Clone, Debug)]
pub struct GgufFile<'a> {
    version: u32,
    alignment: usize,
    metadata: GgufMetadata<'a>,
    tensors: Vec<GgufTensor<'a>>,
}

impl<'a> GgufFile<'a> {
    /// Reads the frame of a file: everything but the values of its tensors.
    ///
    /// # Errors
    /// Another format or version, a file that breaks off, or a key or a tensor that is damaged, there twice, of an
    /// unknown type or outside the file, by its name.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::read_head(bytes, bytes.len())
    }

    /// As [`read`](Self::read), of the first bytes of a file of `length` bytes: all before the tensors, and some of those.
    /// Tensors that are not there as a whole have no data.
    fn read_head(head: &'a [u8], length: usize) -> Result<Self> {
        let mut cursor = Cursor::new(head);
        let version = version(&mut cursor)?;
        let (tensor_count, key_count) = match (cursor.u64(), cursor.u64()) {
            (Ok(tensors), Ok(keys)) => (tensors, keys),
            _ => return Err(Error::gguf("breaks off inside its header: fetch it again")),
        };
        let metadata = GgufMetadata::read(&mut cursor, key_count)?;
        let alignment = alignment(&metadata)?;
        let tensors = tensors::read(&mut cursor, tensor_count, alignment, length)?;
        Ok(Self {
            version,
            alignment,
            metadata,
            tensors,
        })
    }

    /// The version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Bytes to whose multiples tensors are aligned, counted from the start of the data.
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    /// The metadata.
    pub fn metadata(&self) -> &GgufMetadata<'a> {
        &self.metadata
    }

    /// The tensors in the order of the file, by their names and shapes there.
    pub fn tensors(&self) -> &[GgufTensor<'a>] {
        &self.tensors
    }

    /// The tensor of this name in the file.
    pub fn tensor(&self, name: &str) -> Option<&GgufTensor<'a>> {
        self.tensors.iter().find(|tensor| tensor.name() == name)
    }

    /// The same file with the data of one tensor, of which only the head was read.
    fn with_data<'b>(&self, name: &str, data: &'b [u8]) -> GgufFile<'b>
    where
        'a: 'b,
    {
        let tensors = self.tensors.iter().map(|tensor| match tensor.name() == name {
            true => tensor.with_data(data),
            false => tensor.clone(),
        });
        GgufFile {
            tensors: tensors.collect(),
            metadata: self.metadata.clone(),
            ..*self
        }
    }

    /// The model as a Hugging Face folder would hold it.
    ///
    /// # Errors
    /// An architecture, an option or a tensor that has no counterpart there, by its key or its name.
    pub fn model(&self) -> Result<GgufModel<'a>> {
        GgufModel::new(self)
    }

    /// The tokenizer as a Hugging Face `tokenizer.json`, with what goes with it.
    ///
    /// # Errors
    /// A kind of tokenizer that has no counterpart there, or a damaged one, by the key.
    pub fn tokenizer(&self) -> Result<GgufTokenizer> {
        GgufTokenizer::new(&self.metadata)
    }
}

/// Whether the first bytes say that a file is none that can be read.
fn check_version(head: &[u8]) -> Result<()> {
    version(&mut Cursor::new(head)).map(drop)
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32> {
    match cursor.take(4) {
        Ok(magic) if magic == MAGIC => {}
        Ok(b"FUGG") => return Err(Error::gguf("is big-endian: convert it to little-endian")),
        _ => return Err(Error::gguf("does not begin with `GGUF`: it is no GGUF file")),
    }
    let version = cursor
        .u32()
        .map_err(|_| Error::gguf("breaks off inside its header: fetch it again"))?;
    match version {
        2 | 3 => Ok(version),
        1 => Err(Error::gguf(
            "is of version 1, which was in use for a few weeks of 2023: convert the model again",
        )),
        // A small number written with its bytes the other way round.
        _ if version & 0xffff == 0 => Err(Error::gguf("is big-endian: convert it to little-endian")),
        _ => Err(Error::gguf(format!(
            "is of version {version}: versions 2 and 3 are supported"
        ))),
    }
}

fn alignment(metadata: &GgufMetadata<'_>) -> Result<usize> {
    let Some(alignment) = metadata.optional_size(ALIGNMENT_KEY)? else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    if alignment.is_power_of_two() && (8..=MAXIMUM_ALIGNMENT).contains(&alignment) {
        Ok(alignment)
    } else {
        let problem = format!("is {alignment}: it must be a power of two from 8 to {MAXIMUM_ALIGNMENT}");
        Err(Error::gguf_key(ALIGNMENT_KEY, problem))
    }
}
