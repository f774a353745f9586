//! The vault's folders: description, lock, names, and what a crash leaves in them.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use posthuman_types::{Digest, ObjectId};
use serde::{Deserialize, Serialize};

use super::disk::{self, Places};
use super::error::VaultError;
use super::manifest::Manifest;
use super::{Shelf, Vault};

const VERSION: u16 = 1;

/// The content of `vault.json`.
#[derive(Serialize, Deserialize)]
struct Description {
    version: u16,
}

impl Vault {
    /// Removes unfinished files and chunks that no manifest names. Where a manifest is damaged nothing is removed: its
    /// chunks may be all that is left to mend it with.
    pub(super) fn collect_garbage(&self) -> Result<(), VaultError> {
        let named = match self.named_chunks() {
            Ok(named) => named,
            Err(error @ VaultError::ManifestDamaged { .. }) => {
                tracing::warn!(%error, "no garbage is collected");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut folders = vec![self.shelf(Shelf::Objects), self.shelf(Shelf::Pending)];
        folders.extend(entries(&self.chunks_folder())?);
        for folder in folders {
            for path in entries(&folder)? {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let orphan = name
                    .parse::<Digest>()
                    .is_ok_and(|digest| !named.contains(&digest));
                if orphan || name.starts_with(disk::UNFINISHED) {
                    tracing::info!(path = %path.display(), "removing what a crash left behind");
                    disk::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    fn named_chunks(&self) -> Result<HashSet<Digest>, VaultError> {
        let mut named = HashSet::new();
        for shelf in [Shelf::Objects, Shelf::Pending] {
            for object in self.ids_on(shelf)? {
                let manifest = Manifest::read(&self.manifest_path(object, shelf), object)?;
                let chunks = manifest.into_iter().flat_map(|manifest| manifest.chunks);
                named.extend(chunks.map(|chunk| chunk.digest));
            }
        }
        Ok(named)
    }
}

pub(super) fn chunk_path(root: &Path, digest: &Digest) -> PathBuf {
    let name = format!("{digest:x}");
    root.join("chunks").join(&name[..2]).join(name)
}

/// The vault's lock, held until it is dropped.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock, waiting a moment for a process that is going: one that was killed while it forked a worker
    /// leaves the lock with the child until the child has become the worker.
    pub(super) fn take(root: &Path) -> Result<Self, VaultError> {
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| VaultError::io("open the lock", &path, source))?;
        let patience = Instant::now() + Duration::from_millis(500);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self(lock)),
                Err(TryLockError::WouldBlock) if Instant::now() < patience => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let path = root.to_owned();
                    return Err(VaultError::Locked { path });
                }
                Err(TryLockError::Error(source)) => return Err(VaultError::io("lock", &path, source)),
            }
        }
    }
}

impl Drop for Lock {
    /// Unlocks by name: closing alone would leave the lock with a child that another thread is just forking.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the vault's lock goes only when the process ends");
        }
    }
}

pub(super) fn write_description(path: &Path) -> Result<(), VaultError> {
    const PLACES: Places = Places {
        before: "vault.manifest.before_rename",
        after: "vault.manifest.after_rename",
    };
    let json = serde_json::to_vec(&Description { version: VERSION }).expect("a number is JSON");
    disk::write_file(path, &json, PLACES)
}

pub(super) fn check_description(path: &Path) -> Result<(), VaultError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "none".to_owned(),
        other => other.map_err(|source| VaultError::io("read", path, source))?,
    };
    match serde_json::from_str::<Description>(&text) {
        Ok(Description { version: VERSION }) => Ok(()),
        Ok(Description { version }) => Err(VaultError::Version {
            path: path.to_owned(),
            found: version.to_string(),
        }),
        Err(_) => {
            let found = text.chars().take(40).collect();
            Err(VaultError::Version {
                path: path.to_owned(),
                found,
            })
        }
    }
}

/// The objects that have a manifest in `folder`, in order.
pub(super) fn ids(folder: &Path) -> Result<Vec<ObjectId>, VaultError> {
    let id = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok();
    let mut ids: Vec<ObjectId> = entries(folder)?.iter().filter_map(id).collect();
    ids.sort();
    Ok(ids)
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let io = |source| VaultError::io("list", folder, source);
    fs::read_dir(folder)
        .map_err(io)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(io))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_goes_with_its_holder_even_where_a_fork_shares_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path()).unwrap();
        let shared_as_by_a_fork = held.0.try_clone().unwrap();
        assert!(matches!(
            Lock::take(folder.path()),
            Err(VaultError::Locked { .. })
        ));
        drop(held);
        drop(Lock::take(folder.path()).unwrap());
        drop(shared_as_by_a_fork);
    }
}
