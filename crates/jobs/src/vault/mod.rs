//! The vault: sealed objects on disk, among them every model's weights.
//!
//! ```text
//! vault.json                 version of the layout
//! lock                       held by the one process that may write
//! chunks/aa/<keccak-256>     sealed chunks, each named by the digest of its sealed bytes
//! objects/<id>.json          manifests: an object exists exactly if its manifest is here
//! pending/<id>.json          manifests of results that the database has not recorded yet
//! ```
//!
//! Every object has a fresh random data key, which is wrapped by the master key and stored in the manifest; so is a
//! model's salt. Rotating the master key rewrites manifests and touches no chunk. A chunk is written and flushed before
//! the manifest that names it, and a manifest appears by one rename: a crash leaves only chunks that nothing names,
//! and opening the vault collects them.
//!
//! The vault does not hide how many objects there are, how long they are and of which kind. Whoever can write to its
//! folder can destroy objects, but can neither read them nor change one unnoticed.

mod backup;
mod disk;
mod error;
mod layout;
mod manifest;
mod master_key;
mod object;
mod rotation;
pub mod seal;
mod secret;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use posthuman_types::{Commitment, Digest, ObjectId};
use zeroize::Zeroizing;

pub use error::VaultError;
pub(crate) use error::is_full;
pub use manifest::{ObjectFacts, ObjectKind};
pub use master_key::{KeyId, MasterKey, Password};
pub(crate) use object::{NewObject, SealedReader, SealedWriter};
pub use object::{ObjectReader, ObjectWriter};
pub use secret::Secret;

use disk::Places;
use layout::{Lock, check_description, chunk_path, ids, write_description};
use manifest::Manifest;
use master_key::Purpose;

/// An open vault. Clones share it. All its methods block on files; asynchronous callers use a blocking thread.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    root: PathBuf,
    master: MasterKey,
    /// The held lock; absent when opened for reading alone.
    lock: Option<Lock>,
    /// Read by a backup, written by what takes objects away.
    removal: RwLock<()>,
}

/// On which shelf a manifest lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Objects,
    Pending,
}

/// The secrets of one object.
pub(crate) struct ObjectKeys {
    pub(crate) key: Secret,
    pub(crate) salt: Option<Secret>,
}

impl Vault {
    /// Opens the vault in `root` for writing, making it if there is none, and removes what a crash left behind.
    ///
    /// `retired` is the master key before the present one. Giving it rotates the vault: all that is wrapped by it is
    /// wrapped by `master` instead. Where a rotation was cut off, it is carried to its end.
    ///
    /// # Errors
    /// Another process has it open, another version wrote it, or an object is wrapped by neither key.
    pub fn open(root: &Path, master: MasterKey, retired: Option<MasterKey>) -> Result<Self, VaultError> {
        for folder in [
            root.to_owned(),
            root.join("chunks"),
            root.join("objects"),
            root.join("pending"),
        ] {
            disk::make_folder(&folder)?;
        }
        let lock = Lock::take(root)?;
        let description = root.join("vault.json");
        if !description.exists() {
            write_description(&description)?;
            disk::flush_folder(root)?;
        }
        let vault = Self::assemble(root, master, Some(lock))?;
        vault.collect_garbage()?;
        vault.rotate_from(retired.as_ref())?;
        Ok(vault)
    }

    /// Opens the vault in `root` for reading, also while a node has it open. It does not look for damage.
    ///
    /// # Errors
    /// There is no vault, or another version wrote it.
    pub fn open_read_only(root: &Path, master: MasterKey) -> Result<Self, VaultError> {
        Self::assemble(root, master, None)
    }

    /// Begins a new object.
    ///
    /// # Errors
    /// The vault was opened for reading alone.
    pub fn writer(&self, kind: ObjectKind) -> Result<ObjectWriter, VaultError> {
        ObjectWriter::new(self, kind)
    }

    /// Opens an object for reading.
    ///
    /// # Errors
    /// No such object, a damaged manifest, or a data key that the master key does not open.
    pub fn reader(&self, object: ObjectId) -> Result<ObjectReader, VaultError> {
        ObjectReader::new(self, object)
    }

    /// Reads a whole object of at most `limit` bytes.
    ///
    /// # Errors
    /// As for [`Vault::reader`], a larger object, and every damage to its chunks.
    pub fn read(&self, object: ObjectId, limit: u64) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let bytes = self.manifest(object)?.bytes;
        if bytes > limit {
            return Err(VaultError::TooLarge { object, bytes, limit });
        }
        self.reader(object)?.read_all()
    }

    /// Reads and authenticates every chunk of an object.
    ///
    /// # Errors
    /// The first damage, with object and chunk.
    pub fn verify(&self, object: ObjectId) -> Result<(), VaultError> {
        io::copy(&mut self.reader(object)?, &mut io::sink())
            .map(drop)
            .map_err(|error| match error.downcast() {
                Ok(error) => error,
                Err(source) => VaultError::io("read", &self.0.root, source),
            })
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// No such object, or a damaged manifest.
    pub fn describe(&self, object: ObjectId) -> Result<ObjectFacts, VaultError> {
        Ok(self.manifest(object)?.facts())
    }

    /// The ids of all objects in order, also of those whose manifests are damaged.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn ids(&self) -> Result<Vec<ObjectId>, VaultError> {
        self.ids_on(Shelf::Objects)
    }

    /// What is known of all objects, in order of their ids. One that is taken away meanwhile is left out; so, with a
    /// warning, is one with a damaged manifest, which must not keep all the others from their users.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn list(&self) -> Result<Vec<ObjectFacts>, VaultError> {
        let mut all = Vec::new();
        for object in self.ids()? {
            match self.describe(object) {
                Ok(facts) => all.push(facts),
                Err(VaultError::NotFound { .. }) => {}
                Err(error @ VaultError::ManifestDamaged { .. }) => {
                    tracing::warn!(%object, %error, "a damaged object is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The model with these weights, if it is here.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn find_commitment(&self, commitment: &Commitment) -> Result<Option<ObjectId>, VaultError> {
        let found = self
            .list()?
            .into_iter()
            .find(|facts| facts.commitment.as_ref() == Some(commitment));
        Ok(found.map(|facts| facts.object))
    }

    /// Takes an object away, pending or not. One that is not there is fine.
    ///
    /// # Errors
    /// Trouble with files. After a crash in between, the chunks go when the vault is opened next.
    pub fn remove(&self, object: ObjectId) -> Result<(), VaultError> {
        self.check_writable()?;
        let _guard = self.0.removal.write().unwrap_or_else(PoisonError::into_inner);
        for shelf in [Shelf::Objects, Shelf::Pending] {
            let path = self.manifest_path(object, shelf);
            let Some(manifest) = Manifest::read(&path, object)? else {
                continue;
            };
            disk::remove_file(&path)?;
            disk::flush_folder(&self.shelf(shelf))?;
            crate::break_point::break_point("vault.remove.after_manifest");
            for chunk in &manifest.chunks {
                disk::remove_file(&self.chunk_path(&chunk.digest))?;
            }
        }
        Ok(())
    }

    /// Results and checkpoints of workers that are whole but not yet recorded by the database.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn pending(&self) -> Result<Vec<ObjectId>, VaultError> {
        self.ids_on(Shelf::Pending)
    }

    /// Makes a pending object visible, once the database has recorded it. Doing it twice is fine.
    ///
    /// # Errors
    /// No such object, pending or not.
    pub fn commit(&self, object: ObjectId) -> Result<(), VaultError> {
        self.check_writable()?;
        let (from, to) = (
            self.manifest_path(object, Shelf::Pending),
            self.manifest_path(object, Shelf::Objects),
        );
        crate::break_point::break_point("vault.commit.before_rename");
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if to.exists() {
                    Ok(())
                } else {
                    Err(VaultError::NotFound { object })
                };
            }
            other => other.map_err(|source| VaultError::io("rename", &from, source))?,
        }
        crate::break_point::break_point("vault.commit.after_rename");
        disk::flush_folder(&self.shelf(Shelf::Objects))?;
        disk::flush_folder(&self.shelf(Shelf::Pending))
    }

    /// Takes a pending object away. Does nothing to one that was committed.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn discard(&self, object: ObjectId) -> Result<(), VaultError> {
        if self.manifest_path(object, Shelf::Objects).exists() {
            return Ok(());
        }
        self.remove(object)
    }

    pub(crate) fn sealed_writer(&self, new: NewObject) -> Result<SealedWriter, VaultError> {
        SealedWriter::new(self, new)
    }

    pub(crate) fn sealed_reader(&self, object: ObjectId) -> Result<SealedReader, VaultError> {
        SealedReader::new(self, object)
    }

    pub(crate) fn keys(&self, object: ObjectId) -> Result<ObjectKeys, VaultError> {
        let manifest = self.manifest(object)?;
        let master = &self.0.master;
        let key = master.unwrap(Purpose::DataKey, object, &manifest.data_key)?;
        let salt = manifest
            .salt
            .as_ref()
            .map(|salt| master.unwrap(Purpose::Salt, object, salt))
            .transpose()?;
        Ok(ObjectKeys { key, salt })
    }

    pub(crate) fn salt(&self, object: ObjectId) -> Result<Secret, VaultError> {
        self.keys(object)?.salt.ok_or(VaultError::NoSalt { object })
    }

    fn assemble(root: &Path, master: MasterKey, lock: Option<Lock>) -> Result<Self, VaultError> {
        check_description(&root.join("vault.json"))?;
        Ok(Self(Arc::new(Inner {
            root: root.to_owned(),
            master,
            lock,
            removal: RwLock::new(()),
        })))
    }

    fn check_writable(&self) -> Result<(), VaultError> {
        match self.0.lock {
            Some(_) => Ok(()),
            None => Err(VaultError::ReadOnly {
                path: self.0.root.clone(),
            }),
        }
    }

    fn manifest(&self, object: ObjectId) -> Result<Manifest, VaultError> {
        let path = self.manifest_path(object, Shelf::Objects);
        Manifest::read(&path, object)?.ok_or(VaultError::NotFound { object })
    }

    fn write_manifest(&self, manifest: &Manifest, shelf: Shelf) -> Result<(), VaultError> {
        const PLACES: Places = Places {
            before: "vault.manifest.before_rename",
            after: "vault.manifest.after_rename",
        };
        let json = serde_json::to_vec(manifest).expect("a manifest has no key that is not a string");
        disk::write_file(&self.manifest_path(manifest.object, shelf), &json, PLACES)?;
        disk::flush_folder(&self.shelf(shelf))
    }

    fn ids_on(&self, shelf: Shelf) -> Result<Vec<ObjectId>, VaultError> {
        ids(&self.shelf(shelf))
    }

    fn shelf(&self, shelf: Shelf) -> PathBuf {
        self.0.root.join(match shelf {
            Shelf::Objects => "objects",
            Shelf::Pending => "pending",
        })
    }

    fn manifest_path(&self, object: ObjectId, shelf: Shelf) -> PathBuf {
        self.shelf(shelf).join(format!("{object}.json"))
    }

    fn chunks_folder(&self) -> PathBuf {
        self.0.root.join("chunks")
    }

    fn chunk_path(&self, digest: &Digest) -> PathBuf {
        chunk_path(&self.0.root, digest)
    }
}
