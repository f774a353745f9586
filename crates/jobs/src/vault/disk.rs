//! Files that are either there whole, also after a power cut, or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::Rng;

use super::error::VaultError;
use crate::break_point::break_point;

/// How names of unfinished files begin. Opening a vault for writing removes them.
pub(super) const UNFINISHED: &str = ".unfinished-";

/// Names of the break points around one rename.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

/// Writes a file under an unfinished name, flushes it to the disk and renames it. The folder is the caller's to
/// flush with [`flush_folder`]: until then a power cut may still take the file away, but never leaves a part of it.
pub(super) fn write_file(path: &Path, bytes: &[u8], places: Places) -> Result<(), VaultError> {
    let folder = path.parent().expect("every file of the vault lies in a folder");
    let unfinished = folder.join(format!("{UNFINISHED}{:016x}", rand::rng().next_u64()));
    let written = write_flushed(&unfinished, bytes).and_then(|()| {
        break_point(places.before);
        fs::rename(&unfinished, path)
    });
    written.map_err(|source| {
        // The error that matters is the first one; what cannot be removed now goes when the vault is opened next.
        let _ = fs::remove_file(&unfinished);
        VaultError::io("write", path, source)
    })?;
    break_point(places.after);
    Ok(())
}

/// Makes the names in a folder durable.
pub(super) fn flush_folder(path: &Path) -> Result<(), VaultError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| VaultError::io("flush the folder", path, source))
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove_file(path: &Path) -> Result<(), VaultError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(VaultError::io("remove", path, source))
        }
        _ => Ok(()),
    }
}

/// Makes a folder that only its owner may enter, with all its parents.
pub(super) fn make_folder(path: &Path) -> Result<(), VaultError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| VaultError::io("make the folder", path, source))
}

fn write_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    #[cfg(test)]
    full_disk::take(bytes.len())?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A disk that fills up: lets a test say how many more bytes its thread may write.
#[cfg(test)]
pub(super) mod full_disk {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    pub(crate) fn set(left: usize) {
        LEFT.set(left);
    }

    pub(super) fn take(bytes: usize) -> io::Result<()> {
        let left = LEFT.get();
        if left < bytes {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        if left != usize::MAX {
            LEFT.set(left - bytes);
        }
        Ok(())
    }
}
