//! The metadata of a GGUF file: values by their keys.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Fault, Read};
use crate::error::{Error, Result};

/// Arrays of arrays exist in the format; nothing in use nests them deeper.
const MAXIMUM_DEPTH: usize = 4;
/// Bytes of the smallest entry: the length of a key of one byte, the key, the type and a value of one byte.
const SMALLEST_ENTRY: usize = 8 + 1 + 4 + 1;
/// Characters of a name that an error shows.
const SHOWN: usize = 64;

/// One value. Whole numbers of every width are widened; nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum GgufValue<'a> {
    /// A whole number of 8 to 64 bits without a sign.
    Unsigned(u64),
    /// A whole number of 8 to 64 bits with a sign.
    Signed(i64),
    /// A number of 32 bits.
    Float(f32),
    /// A number of 64 bits.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    String(&'a str),
    /// A list of values of one type.
    Array(GgufArray<'a>),
}

/// A list of values of one type, checked, and still in the bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GgufArray<'a> {
    kind: u32,
    length: usize,
    bytes: &'a [u8],
}

mod kind {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const STRING: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

impl<'a> GgufValue<'a> {
    fn read(cursor: &mut Cursor<'a>, kind: u32, depth: usize) -> Read<Self> {
        Ok(match kind {
            kind::U8 => Self::Unsigned(cursor.numbers().map(u8::from_le_bytes)?.into()),
            kind::U16 => Self::Unsigned(cursor.numbers().map(u16::from_le_bytes)?.into()),
            kind::U32 => Self::Unsigned(cursor.u32()?.into()),
            kind::U64 => Self::Unsigned(cursor.u64()?),
            kind::I8 => Self::Signed(cursor.numbers().map(i8::from_le_bytes)?.into()),
            kind::I16 => Self::Signed(cursor.numbers().map(i16::from_le_bytes)?.into()),
            kind::I32 => Self::Signed(cursor.numbers().map(i32::from_le_bytes)?.into()),
            kind::I64 => Self::Signed(cursor.numbers().map(i64::from_le_bytes)?),
            kind::F32 => Self::Float(cursor.numbers().map(f32::from_le_bytes)?),
            kind::F64 => Self::Double(cursor.numbers().map(f64::from_le_bytes)?),
            kind::BOOL => match cursor.numbers::<1>()? {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                _ => return Err(Fault::Truth),
            },
            kind::STRING => Self::String(cursor.string()?),
            kind::ARRAY => Self::Array(GgufArray::read(cursor, depth)?),
            other => return Err(Fault::Type(other)),
        })
    }

    fn describe(&self) -> String {
        match self {
            Self::Unsigned(value) => value.to_string(),
            Self::Signed(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::String(text) => format!("the text `{}`", shown(text)),
            Self::Array(array) => format!("a list of {}", array.length),
        }
    }

    fn whole(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }
}

impl<'a> GgufArray<'a> {
    /// Reads over an array. Each element takes bytes of the file, so that an absurd count ends the walk.
    fn read(cursor: &mut Cursor<'a>, depth: usize) -> Read<Self> {
        if depth >= MAXIMUM_DEPTH {
            return Err(Fault::Depth);
        }
        let kind = cursor.u32()?;
        let length = cursor.u64()?;
        let start = cursor.position();
        match fixed_size(kind) {
            Some(size) => {
                cursor.take(length.checked_mul(size).ok_or(Fault::End)?)?;
            }
            None => {
                for _ in 0..length {
                    GgufValue::read(cursor, kind, depth + 1)?;
                }
            }
        }
        let bytes = cursor.since(start);
        if kind == kind::BOOL && bytes.iter().any(|&byte| byte > 1) {
            return Err(Fault::Truth);
        }
        Ok(Self {
            kind,
            length: usize::try_from(length).map_err(|_| Fault::End)?,
            bytes,
        })
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Its values.
    pub fn values(&self) -> impl Iterator<Item = GgufValue<'a>> + use<'a> {
        let (kind, mut cursor) = (self.kind, Cursor::new(self.bytes));
        // Depth was bounded when the array was read.
        (0..self.length).map_while(move |_| GgufValue::read(&mut cursor, kind, 0).ok())
    }
}

fn fixed_size(kind: u32) -> Option<u64> {
    match kind {
        kind::U8 | kind::I8 | kind::BOOL => Some(1),
        kind::U16 | kind::I16 => Some(2),
        kind::U32 | kind::I32 | kind::F32 => Some(4),
        kind::U64 | kind::I64 | kind::F64 => Some(8),
        _ => None,
    }
}

/// The metadata of a file.
#[derive(Clone, Debug, Default)]
pub struct GgufMetadata<'a> {
    values: BTreeMap<&'a str, GgufValue<'a>>,
}

impl<'a> GgufMetadata<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, count: u64) -> Result<Self> {
        if count > (cursor.rest().len() / SMALLEST_ENTRY) as u64 {
            return Err(Error::gguf(format!(
                "claims {count} metadata keys, more than its bytes can hold: fetch it again"
            )));
        }
        let mut values = BTreeMap::new();
        for index in 0..count {
            let key = cursor.string().map_err(|fault| {
                Error::gguf(format!(
                    "has a metadata key, number {index}, that {}",
                    fault.problem()
                ))
            })?;
            if key.is_empty() {
                return Err(Error::gguf(format!(
                    "has a metadata key, number {index}, that is empty"
                )));
            }
            let value = cursor
                .u32()
                .and_then(|kind| GgufValue::read(cursor, kind, 0))
                .map_err(|fault| Error::gguf_key(shown(key), fault.problem()))?;
            if values.insert(key, value).is_some() {
                return Err(Error::gguf_key(shown(key), "is there twice"));
            }
        }
        Ok(Self { values })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&GgufValue<'a>> {
        self.values.get(key)
    }

    /// All keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &GgufValue<'a>)> {
        self.values.iter().map(|(key, value)| (*key, value))
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let read = |value: &GgufValue<'_>| {
            let number = value.whole().and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| wrong(key, value, "a whole number that is not negative"))
        };
        self.get(key).map(read).transpose()
    }

    pub(super) fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| missing(key))
    }

    /// A number as f32, which must be finite.
    pub(super) fn optional_number(&self, key: &str) -> Result<Option<f32>> {
        let read = |value: &GgufValue<'_>| match *value {
            GgufValue::Float(number) if number.is_finite() => Ok(number),
            GgufValue::Double(number) if (number as f32).is_finite() => Ok(number as f32),
            _ => Err(wrong(key, value, "a finite number")),
        };
        self.get(key).map(read).transpose()
    }

    pub(super) fn number(&self, key: &str) -> Result<f32> {
        self.optional_number(key)?.ok_or_else(|| missing(key))
    }

    pub(super) fn optional_text(&self, key: &str) -> Result<Option<&'a str>> {
        let read = |value: &GgufValue<'a>| match *value {
            GgufValue::String(text) => Ok(text),
            _ => Err(wrong(key, value, "a text")),
        };
        self.get(key).map(read).transpose()
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str> {
        self.optional_text(key)?.ok_or_else(|| missing(key))
    }

    pub(super) fn optional_truth(&self, key: &str) -> Result<Option<bool>> {
        let read = |value: &GgufValue<'_>| match *value {
            GgufValue::Bool(truth) => Ok(truth),
            _ => Err(wrong(key, value, "true or false")),
        };
        self.get(key).map(read).transpose()
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<&'a str>> {
        let text = |value| match value {
            GgufValue::String(text) => Some(text),
            _ => None,
        };
        self.list(key, "a list of texts", text)?
            .ok_or_else(|| missing(key))
    }

    /// A list of numbers of 32 bits.
    pub(super) fn optional_numbers(&self, key: &str) -> Result<Option<Vec<f32>>> {
        let number = |value| match value {
            GgufValue::Float(number) if number.is_finite() => Some(number),
            _ => None,
        };
        self.list(key, "a list of finite numbers of 32 bits", number)
    }

    /// A list of whole numbers.
    pub(super) fn optional_wholes(&self, key: &str) -> Result<Option<Vec<u64>>> {
        self.list(key, "a list of whole numbers that are not negative", |value| {
            value.whole()
        })
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        element: impl Fn(GgufValue<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let GgufValue::Array(array) = value else {
            return Err(wrong(key, value, expected));
        };
        let list: Option<Vec<T>> = array.values().map(element).collect();
        list.ok_or_else(|| wrong(key, value, expected)).map(Some)
    }
}

/// A name as errors show it: whole, or its beginning where somebody made it long, and nothing that moves a terminal.
pub(super) fn shown(name: &str) -> String {
    let harmless = |character: char| {
        if character.is_control() {
            '\u{fffd}'
        } else {
            character
        }
    };
    let mut shown: String = name.chars().take(SHOWN).map(harmless).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn missing(key: &str) -> Error {
    Error::gguf_key(key, "is missing")
}

fn wrong(key: &str, value: &GgufValue<'_>, expected: &str) -> Error {
    Error::gguf_key(key, format!("is {}: it must be {expected}", value.describe()))
}
