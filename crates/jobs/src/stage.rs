//! Bringing a job's inputs into its folder, before the worker starts.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use posthuman_types::{ErrorClass, Input, InputManifest, ObjectId};

use crate::task::{FailureCode, RefusalCode};
use crate::vault::{Vault, VaultError, is_full};

/// The largest input that is staged, in bytes: what a worker could write is no more either.
pub const LARGEST_INPUT: u64 = 1 << 28;

/// One input and where its bytes are.
#[derive(Clone, Debug)]
pub struct StageInput {
    /// Name, digest and length, as the job's manifest has them.
    pub input: Input,
    /// Where the bytes are.
    pub source: Source,
}

/// Where an input's bytes are.
#[derive(Clone, Debug)]
pub enum Source {
    /// Sealed in the vault.
    Object(ObjectId),
    /// Sealed in the vault in several parts, to be put together in this order.
    Objects(Vec<ObjectId>),
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file.
    File(PathBuf),
}

/// An input that could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The inputs given are not those that the job names.
    #[error("input `{name}` is named by the job or given to it, but not both")]
    Names {
        /// The odd one.
        name: String,
    },
    /// A name that is not one of a file in a folder.
    #[error(
        "`{name}` cannot be the name of an input: use letters, digits, `_`, `-` and `.`, at most 64 of them"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The bytes are not those that were described.
    #[error("input `{name}` is not the one that was described: its bytes changed since; send it again")]
    Changed {
        /// The input.
        name: String,
    },
    /// An input is too large.
    #[error("input `{name}` has {bytes} bytes: at most {LARGEST_INPUT} are accepted")]
    TooLarge {
        /// The input.
        name: String,
        /// Its length.
        bytes: u64,
    },
    /// The sealed input could not be read.
    #[error("input `{name}` could not be read from the vault")]
    Vault {
        /// The input.
        name: String,
        /// Why not.
        source: VaultError,
    },
    /// The input could not be copied.
    #[error("input `{name}` could not be copied to `{}`: check the folder and the room on the disk", path.display())]
    Copy {
        /// The input.
        name: String,
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl StageError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Names { .. } => ErrorClass::Bug,
            Self::Name { .. } | Self::Changed { .. } => ErrorClass::Caller,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Vault { source, .. } => source.class(),
            Self::Copy { .. } => ErrorClass::Unavailable,
        }
    }

    /// The public code: that of a [`FailureCode`] or a [`RefusalCode`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Names { .. } => FailureCode::Internal.as_str(),
            Self::Name { .. } => RefusalCode::ParametersInvalid.as_str(),
            Self::Changed { .. } => FailureCode::InputCorrupted.as_str(),
            Self::TooLarge { .. } => RefusalCode::TextTooLarge.as_str(),
            Self::Vault { source, .. } => match source {
                VaultError::NotFound { .. } => RefusalCode::InputMissing.as_str(),
                VaultError::ManifestDamaged { .. }
                | VaultError::ChunkMissing { .. }
                | VaultError::ChunkCorrupted { .. } => FailureCode::InputCorrupted.as_str(),
                _ => FailureCode::Internal.as_str(),
            },
            Self::Copy { source, .. } if is_full(source) => FailureCode::DiskFull.as_str(),
            Self::Copy { .. } => FailureCode::Internal.as_str(),
        }
    }
}

/// Copies all inputs into `folder`, which exists and is empty, under their names. Digests and lengths are checked on
/// the way; the worker checks them again.
pub(crate) fn stage(
    vault: &Vault,
    manifest: &InputManifest,
    inputs: &[StageInput],
    folder: &Path,
) -> Result<(), StageError> {
    let odd = |name: &str| StageError::Names {
        name: name.to_owned(),
    };
    for named in manifest.inputs() {
        if !inputs.iter().any(|given| given.input == *named) {
            return Err(odd(&named.name));
        }
    }
    if let Some(extra) = inputs
        .iter()
        .find(|given| manifest.get(&given.input.name) != Some(&given.input))
    {
        return Err(odd(&extra.input.name));
    }
    inputs
        .iter()
        .try_for_each(|input| stage_one(vault, input, folder))
}

fn stage_one(vault: &Vault, input: &StageInput, folder: &Path) -> Result<(), StageError> {
    let name = &input.input.name;
    check_name(name)?;
    if input.input.bytes > LARGEST_INPUT {
        return Err(StageError::TooLarge {
            name: name.clone(),
            bytes: input.input.bytes,
        });
    }
    let sealed = |object| {
        vault.reader(object).map_err(|source| StageError::Vault {
            name: name.clone(),
            source,
        })
    };
    let mut reader: Box<dyn Read + '_> = match &input.source {
        Source::Object(object) => Box::new(sealed(*object)?),
        Source::Objects(parts) => {
            let mut all: Box<dyn Read> = Box::new(io::empty());
            for part in parts {
                all = Box::new(all.chain(sealed(*part)?));
            }
            all
        }
        Source::Bytes(bytes) => Box::new(bytes.as_slice()),
        Source::File(path) => Box::new(File::open(path).map_err(|source| copy_error(name, path, source))?),
    };
    let path = folder.join(name);
    let bytes =
        copy_input(&mut reader, &path, input.input.bytes).map_err(|error| copy_error(name, &path, error))?;
    if Input::describe(name, &bytes) != input.input {
        return Err(StageError::Changed { name: name.clone() });
    }
    Ok(())
}

/// Copies at most one byte more than expected and gives back what it copied.
fn copy_input(reader: &mut dyn Read, path: &Path, expected: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(expected + 1).read_to_end(&mut bytes)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&bytes)?;
    Ok(bytes)
}

fn copy_error(name: &str, path: &Path, source: io::Error) -> StageError {
    match source.downcast::<VaultError>() {
        Ok(source) => StageError::Vault {
            name: name.to_owned(),
            source,
        },
        Err(source) => StageError::Copy {
            name: name.to_owned(),
            path: path.to_owned(),
            source,
        },
    }
}

/// Refuses names that could leave the folder or hide in it.
fn check_name(name: &str) -> Result<(), StageError> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if plain && !name.is_empty() && name.len() <= 64 && !name.starts_with('.') {
        return Ok(());
    }
    Err(StageError::Name {
        name: name.to_owned(),
    })
}
