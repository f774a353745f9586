//! Copies of a vault.
//!
//! A backup is a vault folder: the sealed chunks and the manifests with their wrapped keys. It is worth nothing without
//! the master key's keystore file, which is backed up apart from it. Pending results are not part of it.

use std::path::Path;
use std::sync::PoisonError;

use super::disk::{self, Places};
use super::layout::{check_description, chunk_path, entries, ids, write_description};
use super::manifest::Manifest;
use super::object::read_chunk;
use super::{Vault, VaultError};

const COPY: Places = Places {
    before: "vault.backup.before_rename",
    after: "vault.backup.after_rename",
};

impl Vault {
    /// Copies every object into a new folder, while the vault is in use. Each chunk is checked on the way.
    ///
    /// `vault.json` is written last: a folder without it is an unfinished backup, which nothing will restore.
    ///
    /// # Errors
    /// A folder that exists and is not empty, a damaged object, a full disk.
    pub fn backup(&self, to: &Path) -> Result<(), VaultError> {
        let _guard = self.0.removal.read().unwrap_or_else(PoisonError::into_inner);
        copy_objects(&self.0.root, to)
    }

    /// Makes a vault in the new folder `to` from a backup. Each chunk is checked on the way.
    ///
    /// # Errors
    /// An unfinished or damaged backup, a folder that exists and is not empty, a full disk.
    pub fn restore(backup: &Path, to: &Path) -> Result<(), VaultError> {
        check_description(&backup.join("vault.json"))?;
        copy_objects(backup, to)
    }
}

fn copy_objects(from: &Path, to: &Path) -> Result<(), VaultError> {
    disk::make_folder(to)?;
    if !entries(to)?.is_empty() {
        return Err(VaultError::Exists { path: to.to_owned() });
    }
    for folder in ["chunks", "objects"] {
        disk::make_folder(&to.join(folder))?;
    }
    for object in ids(&from.join("objects"))? {
        let name = Path::new("objects").join(format!("{object}.json"));
        let manifest = Manifest::read(&from.join(&name), object)?.ok_or(VaultError::NotFound { object })?;
        copy_chunks(from, &manifest, to)?;
        let json = serde_json::to_vec(&manifest).expect("a manifest has no key that is not a string");
        disk::write_file(&to.join(&name), &json, COPY)?;
    }
    for folder in entries(&to.join("chunks"))? {
        disk::flush_folder(&folder)?;
    }
    for folder in ["chunks", "objects"] {
        disk::flush_folder(&to.join(folder))?;
    }
    write_description(&to.join("vault.json"))?;
    disk::flush_folder(to)
}

fn copy_chunks(from: &Path, manifest: &Manifest, to: &Path) -> Result<(), VaultError> {
    for (index, entry) in manifest.chunks.iter().enumerate() {
        let (object, chunk) = (manifest.object, index as u64);
        let sealed = read_chunk(chunk_path(from, &entry.digest), object, chunk, entry)?;
        let target = chunk_path(to, &entry.digest);
        disk::make_folder(target.parent().expect("a chunk lies in a folder"))?;
        disk::write_file(&target, &sealed, COPY)?;
    }
    Ok(())
}
