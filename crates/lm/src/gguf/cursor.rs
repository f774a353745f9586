//! Reading little-endian numbers and strings from a slice, without ever looking past its end.

use std::ops::Range;

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file ends inside it.
    End,
    /// A string that is no UTF-8.
    Utf8,
    /// A truth value that is neither 0 nor 1.
    Truth,
    /// A type of values that the format does not know.
    Type(u32),
    /// Arrays nested deeper than is read.
    Depth,
}

impl Fault {
    /// The end of a sentence about what was being read.
    pub(super) fn problem(self) -> String {
        match self {
            Self::End => "breaks off at the end of the file: fetch the file again".to_owned(),
            Self::Utf8 => "holds a string that is no UTF-8".to_owned(),
            Self::Truth => "holds a truth value that is neither 0 nor 1".to_owned(),
            Self::Type(id) => format!("holds values of type {id}, which the format does not know"),
            Self::Depth => "holds arrays in arrays in arrays, deeper than is read".to_owned(),
        }
    }
}

pub(super) type Read<T> = std::result::Result<T, Fault>;

/// A place in the bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The bytes from here to the end.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The bytes from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.position).unwrap_or_default()
    }

    /// The bytes at a place of the file; none where they end before it does.
    pub(super) fn range(&self, place: Range<usize>) -> &'a [u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    pub(super) fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| Fault::End)?;
        let taken = self.rest().get(..count).ok_or(Fault::End)?;
        self.position += count;
        Ok(taken)
    }

    pub(super) fn numbers<const SIZE: usize>(&mut self) -> Read<[u8; SIZE]> {
        let taken = *self.rest().first_chunk::<SIZE>().ok_or(Fault::End)?;
        self.position += SIZE;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.numbers().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        self.numbers().map(u64::from_le_bytes)
    }

    /// A string: its length as 64 bits, then its bytes.
    pub(super) fn string(&mut self) -> Read<&'a str> {
        let length = self.u64()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Fault::Utf8)
    }
}
