//! Shards joined into one file.

use std::fmt::Write as _;
use std::io;

use serde_json::{Value, json};

use super::files::ModelFiles;
use super::shards::{Shards, TensorInfo, TensorSource};
use crate::error::{Error, Result};

const JOINED: &str = "model.safetensors";

/// Writes all tensors of a folder, in the types they are stored in, as one safetensors file: in the order of their
/// names, one at a time. The same tensors give the same bytes, however they were sharded.
///
/// # Errors
/// As [`import_folder`](crate::import_folder) for the weights; a failure of `target`.
pub fn join_shards(files: &dyn ModelFiles, target: &mut dyn io::Write) -> Result<()> {
    let shards = Shards::open(files)?;
    let mut write = |bytes: &[u8]| {
        target.write_all(bytes).map_err(|source| Error::FileAccess {
            name: JOINED.to_owned(),
            source,
        })
    };
    let header = header(&shards)?;
    write(&(header.len() as u64).to_le_bytes())?;
    write(header.as_bytes())?;
    for index in 0..shards.tensors().len() {
        write(&shards.bytes(index)?)?;
    }
    Ok(())
}

fn header(shards: &Shards<'_>) -> Result<String> {
    let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
    let mut offset = 0;
    for (index, tensor) in shards.tensors().iter().enumerate() {
        let end = offset + shards.stored_bytes(index);
        // Writing to a String cannot fail.
        let _ = write!(header, ",{}:{}", json!(tensor.name), entry(tensor, offset, end)?);
        offset = end;
    }
    header.push('}');
    // The format aligns the data to 8 bytes with spaces after the header.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    Ok(header)
}

fn entry(tensor: &TensorInfo, start: usize, end: usize) -> Result<Value> {
    let dtype = serde_json::to_value(tensor.dtype).map_err(|source| Error::Json { what: JOINED, source })?;
    Ok(json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end] }))
}
