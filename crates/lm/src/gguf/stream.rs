//! A GGUF file that passes by once: its head first, then one tensor after the other.

use std::cell::RefCell;
use std::io::{self, Read};
use std::ops::Range;

use super::import::described;
use super::model::GgufModel;
use super::{GgufFile, check_version};
use crate::error::{Error, Result};
use crate::import::{Described, NamedTensors};

/// Bytes that are read at first; most heads have a few million.
const FIRST: usize = 1 << 20;
/// A longer head is absurd: tokenizers of 256,000 tokens take 20 MB.
const MAXIMUM_HEAD: usize = 1 << 28;
/// Bytes of the magic and the version.
const VERSION_END: usize = 8;

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
            Err(error) if head.bytes.len() == length => return Err(error),
            // Whatever is wrong may only be that it breaks off here.
            Err(_) if head.bytes.len() < MAXIMUM_HEAD => {}
            Err(_) => {
                return Err(Error::gguf(format!(
                    "has a head of more than {MAXIMUM_HEAD} bytes, or one that is damaged: fetch it again"
                )));
            }
        }
        if head.bytes.len() >= VERSION_END {
            check_version(&head.bytes)?;
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
    /// Where the table of rotary factors lies, if there is one.
    table: Option<Range<usize>>,
    /// Its blocks, as soon as they have passed by.
    table_blocks: Option<Vec<u8>>,
}

impl<'a> Streamed<'a> {
    /// `from` goes on after the head; `table` is where the table of rotary factors lies.
    pub fn new(
        model: GgufModel<'a>,
        head: &'a Head,
        from: &'a mut dyn Read,
        table: Option<Range<usize>>,
    ) -> Self {
        let rest = Rest {
            head: &head.bytes,
            from,
            position: head.bytes.len(),
            blocks: Vec::new(),
            loaded: None,
            table,
            table_blocks: None,
        };
        Self {
            model,
            rest: RefCell::new(rest),
        }
    }

    /// The blocks of the table of rotary factors, if there is one.
    pub fn table(self) -> Result<Option<Vec<u8>>> {
        let mut rest = self.rest.into_inner();
        rest.take_table(usize::MAX)?;
        Ok(rest.table_blocks)
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
        let start = parameter.row_of_output(output) * target.len();
        target.copy_from_slice(&blocks[start..start + target.len()]);
        Ok(())
    }
}

impl Rest<'_> {
    /// The blocks of a tensor.
    fn load(&mut self, index: usize, place: &Range<usize>) -> Result<&[u8]> {
        if self.loaded != Some(index) {
            self.loaded = None;
            self.take_table(place.start)?;
            let mut blocks = std::mem::take(&mut self.blocks);
            self.read(place, &mut blocks)?;
            self.blocks = blocks;
            self.loaded = Some(index);
        }
        Ok(&self.blocks)
    }

    /// Keeps the table if it begins before a place that is read next.
    fn take_table(&mut self, before: usize) -> Result<()> {
        let Some(place) = self.table.take_if(|place| place.start < before) else {
            return Ok(());
        };
        let mut blocks = Vec::new();
        self.read(&place, &mut blocks)?;
        self.table_blocks = Some(blocks);
        Ok(())
    }

    /// Reads a place of the file, from the head as far as that goes.
    fn read(&mut self, place: &Range<usize>, blocks: &mut Vec<u8>) -> Result<()> {
        let (head, end) = (self.head, self.head.len());
        blocks.clear();
        blocks.extend_from_slice(&head[place.start.min(end)..place.end.min(end)]);
        if place.end <= end {
            return Ok(());
        }
        let filled = blocks.len();
        let Some(skipped) = (place.start + filled).checked_sub(self.position) else {
            let problem = "a tensor is read after those that follow it".to_owned();
            return Err(Error::Bug { problem });
        };
        let passed = io::copy(&mut self.from.take(skipped as u64), &mut io::sink()).map_err(broken_off)?;
        if passed < skipped as u64 {
            return Err(broken_off(io::ErrorKind::UnexpectedEof.into()));
        }
        blocks.resize(place.len(), 0);
        self.from.read_exact(&mut blocks[filled..]).map_err(broken_off)?;
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
    use crate::model::Model;
    use crate::random::Random;

    const FILES: [&str; 3] = ["llama_tiny.gguf", "qwen3_tiny.gguf", "gpt2_tiny.gguf"];

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
    fn streamed(bytes: &[u8]) -> Result<(usize, Model)> {
        let mut from = Trickle(bytes);
        let head = head_from(&mut from, bytes.len() as u64, 1)?;
        let made = model(&head.file()?, &head, &mut from)?;
        Ok((head.bytes.len(), made))
    }

    /// Checks that a file gives the same model, or none, whether it passes by once or lies in memory. Returns how much is
    /// held of it, if it gives one.
    fn check(bytes: &[u8], what: &str) -> Option<(usize, Model)> {
        let whole = import_gguf_model(bytes);
        let (held, made) = match (streamed(bytes), &whole) {
            (Ok(made), Ok(_)) => made,
            (Err(_), Err(_)) => return None,
            (Ok(_), Err(error)) => panic!("{what}: only as a stream is it a model; {error}"),
            (Err(error), Ok(_)) => panic!("{what}: only in memory is it a model; {error}"),
        };
        let whole = whole.unwrap();
        assert_eq!(made.config(), whole.config(), "{what}");
        assert_eq!(made.tensors().len(), whole.tensors().len(), "{what}");
        for (one, other) in made.tensors().zip(whole.tensors()) {
            assert_eq!((one.name, one.kind), (other.name, other.kind), "{what}");
            assert_eq!(one.values(), other.values(), "{what}: {}", one.name);
        }
        Some((held, made))
    }

    #[test]
    fn a_file_that_passes_by_once_gives_the_same_model() {
        for name in FILES {
            let bytes = fixture(name);
            let (held, _) = check(&bytes, name).unwrap();
            assert!(held < bytes.len(), "{name}: {held}");
        }
    }

    #[test]
    fn so_does_one_whose_head_is_the_embedding_again() {
        let mut bytes = fixture("llama_tiny.gguf");
        let places = |bytes: &[u8]| {
            let file = GgufFile::read(bytes).unwrap();
            ["token_embd.weight", "output.weight"].map(|name| file.tensor(name).unwrap().place().clone())
        };
        let [embedding, head] = places(&bytes);
        assert!(!check(&bytes, "as it is").unwrap().1.config().tied_head);
        bytes.copy_within(embedding, head.start);
        assert!(check(&bytes, "equal").unwrap().1.config().tied_head);
        bytes[head.end - 1] ^= 1;
        assert!(!check(&bytes, "nearly equal").unwrap().1.config().tied_head);
    }

    #[test]
    fn a_damaged_file_is_refused_or_gives_the_same_model() {
        for name in FILES {
            let bytes = fixture(name);
            let mut random = Random::new("damage", 1, 0);
            for index in 0..200 {
                let mut damaged = bytes.clone();
                for _ in 0..=index % 3 {
                    let place = random.below(bytes.len() as u64) as usize;
                    damaged[place] ^= 1 << random.below(8);
                }
                check(&damaged, &format!("{name}, number {index}"));
            }
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

    #[test]
    fn another_format_is_refused_before_more_is_read() {
        let mut from = Trickle(&[7; 4096]);
        let error = head_from(&mut from, 4096, 16).err().unwrap();
        assert!(error.to_string().contains("`GGUF`"), "{error}");
        assert!(from.0.len() > 4000);
    }
}
