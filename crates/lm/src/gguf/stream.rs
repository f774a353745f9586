//! A GGUF file that passes by once: its head first, then one tensor after the other.

use std::cell::RefCell;
use std::io::{self, Read};
use std::ops::Range;

use super::GgufFile;
use super::import::described;
use super::model::GgufModel;
use crate::error::{Error, Result};
use crate::import::{Described, NamedTensors};

/// Bytes that are read at first; most heads have a few million.
const FIRST: usize = 1 << 20;
/// A longer head is absurd: tokenizers of 256,000 tokens take 20 MB.
const MAXIMUM_HEAD: usize = 1 << 28;

/// The first bytes of a file.
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Of the whole file.
    length: usize,
}

/// Reads as much of a file of `length` bytes as its model's shape and its tokenizer need.
pub(super) fn head(from: &mut dyn Read, length: u64) -> Result<Head> {
    head_from(from, length, FIRST)
}

fn head_from(from: &mut dyn Read, length: u64, first: usize) -> Result<Head> {
    let length = usize::try_from(length)
        .map_err(|_| Error::gguf(format!("has {length} bytes, more than this machine can address")))?;
    let mut head = Head {
        bytes: Vec::new(),
        length,
    };
    loop {
        head.grow(from, first.max(2 * head.bytes.len()))?;
        match head.file().map(|file| GgufModel::needs(&file)) {
            Ok(needed) => {
                head.grow(from, needed)?;
                return Ok(head);
            }
            // Whatever is wrong may only be that it breaks off here.
            Err(error) if head.bytes.len() >= length.min(MAXIMUM_HEAD) => return Err(error),
            Err(_) => {}
        }
    }
}

impl Head {
    /// The file, in which tensors after the head have no data.
    pub fn file(&self) -> Result<GgufFile<'_>> {
        GgufFile::read_head(&self.bytes, self.length)
    }

    fn grow(&mut self, from: &mut dyn Read, wanted: usize) -> Result<()> {
        let filled = self.bytes.len();
        self.bytes.resize(wanted.min(self.length).max(filled), 0);
        from.read_exact(&mut self.bytes[filled..]).map_err(broken_off)
    }
}

/// The tensors of a model, read from a stream in the order of the file.
pub(super) struct Streamed<'a> {
    model: GgufModel<'a>,
    rest: RefCell<Rest<'a>>,
}

struct Rest<'a> {
    head: &'a [u8],
    from: &'a mut dyn Read,
    /// How much of the file has passed by.
    position: usize,
    /// The blocks of one tensor, and which.
    blocks: Vec<u8>,
    loaded: Option<usize>,
}

impl<'a> Streamed<'a> {
    /// `from` goes on after the head.
    pub fn new(model: GgufModel<'a>, head: &'a Head, from: &'a mut dyn Read) -> Self {
        let rest = Rest {
            head: &head.bytes,
            from,
            position: head.bytes.len(),
            blocks: Vec::new(),
            loaded: None,
        };
        Self {
            model,
            rest: RefCell::new(rest),
        }
    }
}

impl NamedTensors for Streamed<'_> {
    fn described(&self) -> Vec<Described<'_>> {
        described(&self.model)
    }

    fn values(&self, index: usize, target: &mut [f32]) -> Result<()> {
        let parameter = &self.model.parameters()[index];
        let mut rest = self.rest.borrow_mut();
        let blocks = rest.load(index, parameter.stored().place())?;
        parameter.with_data(blocks).dequantise(target)
    }

    fn blocks(&self, index: usize, output: usize, target: &mut [u8]) -> Result<()> {
        let parameter = &self.model.parameters()[index];
        let mut rest = self.rest.borrow_mut();
        let blocks = rest.load(index, parameter.stored().place())?;
        parameter.with_data(blocks).output_blocks(output, target);
        Ok(())
    }
}

impl Rest<'_> {
    /// The blocks of a tensor.
    fn load(&mut self, index: usize, place: &Range<usize>) -> Result<&[u8]> {
        if self.loaded != Some(index) {
            self.loaded = None;
            self.read(place)?;
            self.loaded = Some(index);
        }
        Ok(&self.blocks)
    }

    fn read(&mut self, place: &Range<usize>) -> Result<()> {
        let (head, end) = (self.head, self.head.len());
        self.blocks.clear();
        self.blocks
            .extend_from_slice(&head[place.start.min(end)..place.end.min(end)]);
        if place.end <= end {
            return Ok(());
        }
        let filled = self.blocks.len();
        let Some(skipped) = (place.start + filled).checked_sub(self.position) else {
            let problem = "a tensor is read after those that follow it".to_owned();
            return Err(Error::Bug { problem });
        };
        let passed = io::copy(&mut self.from.take(skipped as u64), &mut io::sink()).map_err(broken_off)?;
        self.blocks.resize(place.len(), 0);
        if passed < skipped as u64 {
            return Err(broken_off(io::ErrorKind::UnexpectedEof.into()));
        }
        self.from
            .read_exact(&mut self.blocks[filled..])
            .map_err(broken_off)?;
        self.position = place.end;
        Ok(())
    }
}

fn broken_off(source: io::Error) -> Error {
    Error::FileAccess {
        name: "model.gguf".to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::import::{import_gguf_model, model};
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            let count = target.len().min(1000);
            self.0.read(&mut target[..count])
        }
    }

    fn fixture(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    }

    /// How much of a file is held before its tensors are read, and the model that comes of the stream.
    fn streamed(bytes: &[u8]) -> (usize, Result<crate::model::Model>) {
        let mut from = Trickle(bytes);
        let head = head_from(&mut from, bytes.len() as u64, 1).unwrap();
        let made = model(&head.file().unwrap(), &head, &mut from);
        (head.bytes.len(), made)
    }

    #[test]
    fn a_file_that_passes_by_once_gives_the_same_model() {
        for name in ["llama_tiny.gguf", "qwen3_tiny.gguf", "gpt2_tiny.gguf"] {
            let bytes = fixture(name);
            let (held, made) = streamed(&bytes);
            let (made, whole) = (made.unwrap(), import_gguf_model(&bytes).unwrap());
            assert_eq!(made.config(), whole.config());
            for (one, other) in made.tensors().zip(whole.tensors()) {
                assert_eq!(one.name, other.name);
                assert_eq!(one.values(), other.values(), "{name}: {}", one.name);
            }
            assert!(held < bytes.len(), "{name}: {held}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_model() {
        let bytes = fixture("llama_tiny.gguf");
        let mut from = Trickle(&bytes[..bytes.len() - 1]);
        let error = head_from(&mut from, bytes.len() as u64, 1)
            .and_then(|head| model(&head.file()?, &head, &mut from))
            .unwrap_err();
        assert!(matches!(error, Error::FileAccess { .. }), "{error}");
    }
}
