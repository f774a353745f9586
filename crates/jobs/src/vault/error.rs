//! What can go wrong with the vault.

use std::io;
use std::path::{Path, PathBuf};

use posthuman_types::{ErrorClass, ObjectId};

use super::master_key::KeyId;

/// An error of the vault. None of them quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The operating system refused a file operation.
    #[error("the vault could not {action} `{}`: check that the folder exists and that this user may use it", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No room is left on the disk, or the user's quota is used up.
    #[error("the disk that holds `{}` is full: make room and try again; nothing was left half-written", path.display())]
    Full {
        /// The file that did not fit.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has the vault open for writing.
    #[error("the vault `{}` is in use by another process: stop that node first", path.display())]
    Locked {
        /// The vault.
        path: PathBuf,
    },
    /// A write on a vault that was opened for reading alone.
    #[error("the vault `{}` was opened for reading only", path.display())]
    ReadOnly {
        /// The vault.
        path: PathBuf,
    },
    /// The folder holds no vault, or one of another version.
    #[error("`{}` is not a vault that this version can read: it says version {found}", path.display())]
    Version {
        /// The vault's own description.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// No object of that id.
    #[error("the vault holds no object {object}")]
    NotFound {
        /// The id that was asked for.
        object: ObjectId,
    },
    /// A manifest that is not readable or speaks of another object.
    #[error("the manifest of object {object} is damaged ({reason}): restore `{}` from a backup", path.display())]
    ManifestDamaged {
        /// The object.
        object: ObjectId,
        /// What is wrong.
        reason: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A chunk that a manifest names is not there.
    #[error("chunk {chunk} of object {object} is missing: restore `{}` from a backup", path.display())]
    ChunkMissing {
        /// The object.
        object: ObjectId,
        /// Index of the chunk, from 0.
        chunk: u64,
        /// Where it should be.
        path: PathBuf,
    },
    /// A chunk whose bytes are not those that were written.
    #[error("chunk {chunk} of object {object} is corrupted: restore `{}` from a backup", path.display())]
    ChunkCorrupted {
        /// The object.
        object: ObjectId,
        /// Index of the chunk, from 0.
        chunk: u64,
        /// The file.
        path: PathBuf,
    },
    /// A chunk that is whole but does not belong at this place of this object.
    #[error(
        "chunk {chunk} of object {object} does not open: it was swapped, cut off or sealed with another key"
    )]
    ChunkForeign {
        /// The object.
        object: ObjectId,
        /// Index of the chunk, from 0.
        chunk: u64,
    },
    /// A data key or salt that its own master key does not open.
    #[error(
        "the wrapped key of object {object} does not open: its manifest was altered; restore it from a backup"
    )]
    WrappedKey {
        /// The object.
        object: ObjectId,
    },
    /// A data key wrapped by a master key that is not at hand.
    #[error(
        "object {object} is wrapped by master key {wanted}, and the keystore given holds {held}: \
         give the right keystore; if a rotation was cut off, give the retired one too"
    )]
    UnknownMasterKey {
        /// The object.
        object: ObjectId,
        /// Id of the key that wrapped it.
        wanted: KeyId,
        /// Id of the key at hand.
        held: KeyId,
    },
    /// The password does not open the keystore.
    #[error("the password does not open the keystore `{}`", path.display())]
    WrongPassword {
        /// The keystore file.
        path: PathBuf,
    },
    /// A keystore that is not one.
    #[error("`{}` is not a keystore of a vault's master key: {reason}", path.display())]
    Keystore {
        /// The keystore file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A password that cannot be used.
    #[error("the password {from} is not usable: {reason}")]
    Password {
        /// Where it came from.
        from: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The place for a backup, a restored vault or a keystore is taken.
    #[error("`{}` exists already: name a place that does not", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// An object larger than the caller can take.
    #[error("object {object} holds {bytes} bytes; at most {limit} are accepted here")]
    TooLarge {
        /// The object.
        object: ObjectId,
        /// Its length.
        bytes: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// Something other than a model where a model's salt is needed.
    #[error("object {object} is no model: it has no salt")]
    NoSalt {
        /// The object.
        object: ObjectId,
    },
    /// Sealed chunks that do not form an object.
    #[error("the sealed stream of object {object} is out of order: {reason}")]
    Stream {
        /// The object.
        object: ObjectId,
        /// What is wrong.
        reason: &'static str,
    },
}

impl VaultError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Locked { .. } | Self::Exists { .. } => ErrorClass::Conflict,
            Self::WrongPassword { .. }
            | Self::Keystore { .. }
            | Self::Password { .. }
            | Self::UnknownMasterKey { .. } => ErrorClass::Unauthorized,
            Self::Io { .. } | Self::Full { .. } => ErrorClass::Unavailable,
            _ => ErrorClass::Bug,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            Self::Full { path, source }
        } else {
            Self::Io { action, path, source }
        }
    }
}

impl From<VaultError> for io::Error {
    fn from(error: VaultError) -> Self {
        Self::other(error)
    }
}

/// Whether an error of the operating system says that there is no room: disk, quota or limit of file sizes.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_troubles() {
        let path = Path::new("/vault/chunks/aa");
        let full = VaultError::io("write", path, io::Error::from_raw_os_error(libc::ENOSPC));
        assert!(
            full.to_string()
                .starts_with("the disk that holds `/vault/chunks/aa` is full")
        );
        assert_eq!(full.class(), ErrorClass::Unavailable);
        let quota = VaultError::io("write", path, io::Error::from_raw_os_error(libc::EDQUOT));
        assert!(matches!(quota, VaultError::Full { .. }));
        let denied = VaultError::io("write", path, io::Error::from_raw_os_error(libc::EACCES));
        assert!(matches!(denied, VaultError::Io { .. }));
    }
}
