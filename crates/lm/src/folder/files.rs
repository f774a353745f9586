//! Access to the files of a folder.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Map, Value};

use super::MAXIMUM_TEXT;
use crate::error::{Error, Result};

/// The files of one model folder. The engine opens nothing itself: a program gives it a directory, a test a map.
pub trait ModelFiles {
    /// Names of the files directly in the folder, in any order.
    ///
    /// # Errors
    /// What the folder's owner says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Length of a file in bytes; `None` where there is no such file.
    ///
    /// # Errors
    /// What the folder's owner says.
    fn length(&self, name: &str) -> io::Result<Option<u64>>;

    /// Fills `target` with the bytes of a file from `offset` on.
    ///
    /// # Errors
    /// What the folder's owner says; an end of the file before `target` is full.
    fn read(&self, name: &str, offset: u64, target: &mut [u8]) -> io::Result<()>;
}

impl ModelFiles for BTreeMap<String, Vec<u8>> {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.keys().cloned().collect())
    }

    fn length(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.get(name).map(|bytes| bytes.len() as u64))
    }

    fn read(&self, name: &str, offset: u64, target: &mut [u8]) -> io::Result<()> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start
            .checked_add(target.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        target.copy_from_slice(bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The length of a file, where it exists.
pub(super) fn length(files: &dyn ModelFiles, name: &str) -> Result<Option<u64>> {
    files.length(name).map_err(|source| unreadable(name, source))
}

/// `count` bytes of a file from `offset` on. The caller has checked that the file is that long.
pub(super) fn read(files: &dyn ModelFiles, name: &str, offset: u64, count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    files
        .read(name, offset, &mut bytes)
        .map_err(|source| unreadable(name, source))?;
    Ok(bytes)
}

/// A text file, where it exists.
pub(super) fn optional(files: &dyn ModelFiles, name: &str) -> Result<Option<Vec<u8>>> {
    match length(files, name)? {
        None => Ok(None),
        Some(size) if size > MAXIMUM_TEXT => Err(Error::file(
            name,
            format!("has {size} bytes, more than the {MAXIMUM_TEXT} that this engine accepts"),
        )),
        Some(size) => read(files, name, 0, size as usize).map(Some),
    }
}

/// A text file that must exist.
pub(super) fn required(files: &dyn ModelFiles, name: &str) -> Result<Vec<u8>> {
    optional(files, name)?.ok_or_else(|| {
        Error::file(
            name,
            "is missing: give the whole folder that `save_pretrained` writes",
        )
    })
}

/// A file with a JSON object, where it exists.
pub(super) fn optional_object(files: &dyn ModelFiles, name: &str) -> Result<Option<Map<String, Value>>> {
    optional(files, name)?
        .map(|bytes| object(name, &bytes))
        .transpose()
}

/// The JSON object in a file's bytes.
pub(super) fn object(name: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|source| Error::file(name, format!("is no JSON object: {source}")))
}

fn unreadable(name: &str, source: io::Error) -> Error {
    Error::FileAccess {
        name: name.to_owned(),
        source,
    }
}
