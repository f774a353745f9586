//! Writing safetensors with one byte form: the `safetensors` crate sorts tensors by name and keeps metadata in a hash
//! map, so its writer has no canonical bytes. Reading is the crate's.

use std::fmt::Write as _;

use safetensors::SafeTensors;

use crate::error::{Error, Result};
use crate::model::Tensor;

/// A safetensors file of f32 tensors in the order given, with metadata in the order given.
pub(crate) fn write<'a>(
    metadata: &[(&str, &str)],
    tensors: impl IntoIterator<Item = Tensor<'a>>,
) -> Result<Vec<u8>> {
    let tensors: Vec<Tensor<'a>> = tensors.into_iter().collect();
    let mut header = header(metadata, &tensors);
    // The format aligns the data to 8 bytes with spaces after the header.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let data: usize = tensors.iter().map(|tensor| tensor.values.len() * 4).sum();
    let mut bytes = Vec::with_capacity(8 + header.len() + data);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for tensor in &tensors {
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
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

fn header(metadata: &[(&str, &str)], tensors: &[Tensor<'_>]) -> String {
    let mut parts = Vec::with_capacity(tensors.len() + 1);
    let entries: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)))
        .collect();
    parts.push(format!("\"__metadata__\":{{{}}}", entries.join(",")));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.values.len() * 4;
        let mut part = quoted(tensor.name);
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            part,
            r#":{{"dtype":"F32","shape":[{}],"data_offsets":[{offset},{end}]}}"#,
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
        let tensors = || {
            [
                Tensor {
                    name: "b",
                    shape: &[2, 2],
                    values: &values[..4],
                },
                Tensor {
                    name: "a",
                    shape: &[2],
                    values: &values[4..],
                },
            ]
        };
        let bytes = write(&[("z", "line\n\"quoted\" é"), ("a", "")], tensors()).unwrap();
        assert_eq!(
            bytes,
            write(&[("z", "line\n\"quoted\" é"), ("a", "")], tensors()).unwrap()
        );
        let file = read(&bytes).unwrap();
        let tensor = file.tensor("b").unwrap();
        assert_eq!(tensor.shape(), [2, 2]);
        assert_eq!(tensor.data()[4..8], (-2.5f32).to_le_bytes());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["z"], "line\n\"quoted\" é");
    }

    #[test]
    fn a_short_prefix_says_how_much_is_needed_and_an_absurd_one_is_refused() {
        let bytes = write(&[], []).unwrap();
        assert!(matches!(header_bytes(&bytes[..5]), Ok(Err(8))));
        assert!(matches!(header_bytes(&bytes[..9]), Ok(Err(needed)) if needed == bytes.len()));
        assert!(header_bytes(&u64::MAX.to_le_bytes()).is_err());
    }
}
