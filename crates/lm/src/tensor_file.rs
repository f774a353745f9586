//! Writing safetensors with one byte form: the `safetensors` crate sorts tensors by name and keeps metadata in a hash
//! map, so its writer has no canonical bytes. Reading is the crate's, but for bundles, which are read as they come.

use std::fmt::Write as _;

use safetensors::SafeTensors;

use crate::error::{Error, Result};
use crate::tensor_type::TensorType;

/// A tensor as the header of a file describes it.
pub(crate) struct FileTensor<'a> {
    name: &'a str,
    /// As the format names types.
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
}

impl<'a> FileTensor<'a> {
    /// An f32 tensor.
    pub fn f32(name: &'a str, shape: &[usize]) -> Self {
        Self {
            name,
            dtype: "F32",
            shape: shape.to_vec(),
            bytes: 4 * shape.iter().product::<usize>() as u64,
        }
    }

    /// A tensor as it is stored. Blocks, which the format does not know, are bytes in one dimension.
    pub fn stored(name: &'a str, shape: &[usize], kind: TensorType) -> Self {
        let bytes = kind.bytes_of(shape.iter().product());
        let (dtype, shape) = match kind {
            TensorType::F32 => ("F32", shape.to_vec()),
            TensorType::F16 => ("F16", shape.to_vec()),
            TensorType::BF16 => ("BF16", shape.to_vec()),
            _ => ("U8", vec![bytes as usize]),
        };
        Self {
            name,
            dtype,
            shape,
            bytes,
        }
    }
}

/// What goes before the data of a file: length and JSON of its header, with metadata and tensors in the order given.
pub(crate) fn head(metadata: &[(&str, &str)], tensors: &[FileTensor<'_>]) -> Vec<u8> {
    let mut header = header(metadata, tensors);
    // The format aligns the data to 8 bytes with spaces after the header.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes
}

/// Adds f32 values to a file's data.
pub(crate) fn push_values(bytes: &mut Vec<u8>, values: &[f32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Reads a safetensors file: lengths, offsets, overlaps and coverage are checked by the crate.
pub(crate) fn read(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes).map_err(|source| Error::TensorFile { source })
}

/// The header's JSON bytes and where they start, or how many bytes a prefix must have to hold them.
pub(crate) fn header_bytes(prefix: &[u8]) -> Result<std::result::Result<&[u8], usize>> {
    /// As in the `safetensors` crate.
    const MAXIMUM_HEADER: u64 = 100_000_000;
    let Some(length) = prefix.first_chunk::<8>() else {
        return Ok(Err(8));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAXIMUM_HEADER {
        return Err(Error::TooLarge {
            what: "the header of the tensor file",
            size: length,
            limit: MAXIMUM_HEADER,
        });
    }
    let end = 8 + length as usize;
    Ok(prefix.get(8..end).ok_or(end))
}

fn header(metadata: &[(&str, &str)], tensors: &[FileTensor<'_>]) -> String {
    let mut parts = Vec::with_capacity(tensors.len() + 1);
    let entries: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)))
        .collect();
    parts.push(format!("\"__metadata__\":{{{}}}", entries.join(",")));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.bytes;
        let mut part = quoted(tensor.name);
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            part,
            r#":{{"dtype":"{}","shape":[{}],"data_offsets":[{offset},{end}]}}"#,
            tensor.dtype,
            shape.join(",")
        );
        parts.push(part);
        offset = end;
    }
    format!("{{{}}}", parts.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_repeats() {
        let values = [1.0, -2.5, f32::MIN_POSITIVE, 0.0, 7.0, 3.0];
        let tensors = [FileTensor::f32("b", &[2, 2]), FileTensor::f32("a", &[2])];
        let mut bytes = head(&[("z", "line\n\"quoted\" \u{e9}"), ("a", "")], &tensors);
        push_values(&mut bytes, &values);
        let file = read(&bytes).unwrap();
        let tensor = file.tensor("b").unwrap();
        assert_eq!(tensor.shape(), [2, 2]);
        assert_eq!(tensor.data()[4..8], (-2.5f32).to_le_bytes());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(
            metadata.metadata().as_ref().unwrap()["z"],
            "line\n\"quoted\" \u{e9}"
        );
    }

    #[test]
    fn a_short_prefix_says_how_much_is_needed_and_an_absurd_one_is_refused() {
        let bytes = head(&[], &[]);
        assert!(matches!(header_bytes(&bytes[..5]), Ok(Err(8))));
        assert!(matches!(header_bytes(&bytes[..9]), Ok(Err(needed)) if needed == bytes.len()));
        assert!(header_bytes(&u64::MAX.to_le_bytes()).is_err());
    }
}
