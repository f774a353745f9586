//! A small writer of GGUF files. Tests of other rooms include this file by its path.

use posthuman_lm::{GgufFile, GgufValue, TensorType};

/// A value as tests make it; whole numbers are written with 64 bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Owned {
    Unsigned(u64),
    Signed(i64),
    Float(f32),
    Double(f64),
    Bool(bool),
    Text(String),
    List(Vec<Owned>),
}

impl Owned {
    pub(super) fn of(value: &GgufValue<'_>) -> Self {
        match *value {
            GgufValue::Unsigned(value) => Self::Unsigned(value),
            GgufValue::Signed(value) => Self::Signed(value),
            GgufValue::Float(value) => Self::Float(value),
            GgufValue::Double(value) => Self::Double(value),
            GgufValue::Bool(value) => Self::Bool(value),
            GgufValue::String(text) => Self::Text(text.to_owned()),
            GgufValue::Array(array) => Self::List(array.values().map(|value| Self::of(&value)).collect()),
            _ => unreachable!("a kind of value that the tests do not know"),
        }
    }

    fn kind(&self) -> u32 {
        match self {
            Self::Unsigned(_) => 10,
            Self::Signed(_) => 11,
            Self::Float(_) => 6,
            Self::Double(_) => 12,
            Self::Bool(_) => 7,
            Self::Text(_) => 8,
            Self::List(_) => 9,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unsigned(value) => out.extend(value.to_le_bytes()),
            Self::Signed(value) => out.extend(value.to_le_bytes()),
            Self::Float(value) => out.extend(value.to_le_bytes()),
            Self::Double(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Text(text) => write_text(text, out),
            Self::List(list) => {
                out.extend(list.first().map_or(4, Self::kind).to_le_bytes());
                out.extend((list.len() as u64).to_le_bytes());
                list.iter().for_each(|value| value.write(out));
            }
        }
    }
}

/// A tensor as tests make it, with its dimensions in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) dimensions: Vec<u64>,
    pub(super) kind: u32,
    pub(super) data: Vec<u8>,
}

/// A file with these keys and tensors, in this order.
pub(super) fn write(version: u32, alignment: usize, keys: &[(String, Owned)], tensors: &[Stored]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(version.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((keys.len() as u64).to_le_bytes());
    for (key, value) in keys {
        write_text(key, &mut out);
        out.extend(value.kind().to_le_bytes());
        value.write(&mut out);
    }
    let mut offset = 0_usize;
    for tensor in tensors {
        write_text(&tensor.name, &mut out);
        out.extend((tensor.dimensions.len() as u32).to_le_bytes());
        tensor
            .dimensions
            .iter()
            .for_each(|length| out.extend(length.to_le_bytes()));
        out.extend(tensor.kind.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset = (offset + tensor.data.len()).next_multiple_of(alignment);
    }
    for tensor in tensors {
        out.resize(out.len().next_multiple_of(alignment), 0);
        out.extend(&tensor.data);
    }
    out
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The parts of a file, to change one and write it again.
pub(super) fn parts(bytes: &[u8]) -> (Vec<(String, Owned)>, Vec<Stored>) {
    let file = GgufFile::read(bytes).unwrap();
    let keys = file
        .metadata()
        .iter()
        .map(|(key, value)| (key.to_owned(), Owned::of(value)));
    let tensors = file.tensors().iter().map(|tensor| Stored {
        name: tensor.name().to_owned(),
        dimensions: tensor.shape().iter().rev().map(|&length| length as u64).collect(),
        kind: number(tensor.kind()),
        data: tensor.data().to_vec(),
    });
    (keys.collect(), tensors.collect())
}

fn number(kind: TensorType) -> u32 {
    match kind {
        TensorType::F32 => 0,
        TensorType::F16 => 1,
        TensorType::BF16 => 30,
        other => unreachable!("{other} is not written again"),
    }
}
