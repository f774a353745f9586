//! What surrounds a keystore file: faults, checks before it is trusted, the password, the file's rights.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use eth_keystore::{EthKeystore, KdfparamsType};
use posthuman_types::ErrorClass;
use zeroize::Zeroizing;

/// Keystore files above this size are not keystores.
const KEYSTORE_LIMIT: u64 = 64 * 1024;
/// Bound of scrypt's work N · r · p, of which each of p parts takes N · r · 128 bytes: eight times geth's standard.
const SCRYPT_LIMIT: u64 = 1 << 24;
/// Bound of PBKDF2's rounds: forty times geth's standard.
const PBKDF2_LIMIT: u32 = 10_000_000;

/// A wallet that cannot be opened or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// A file that cannot be read or written.
    #[error("cannot use {}; check that the path is right, free and yours", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The password could not be read.
    #[error("cannot read the password of the keystore")]
    Password(#[source] std::io::Error),
    /// No password.
    #[error("the password is empty; give one that protects the key")]
    EmptyPassword,
    /// A password that does not open the file.
    #[error("the password does not open the keystore {}", path.display())]
    WrongPassword {
        /// Which.
        path: PathBuf,
    },
    /// A file of another kind.
    #[error("{} is not a version 3 keystore: {why}", path.display())]
    NotAKeystore {
        /// Which.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Another fault of the keystore.
    #[error("the keystore {} cannot be used", path.display())]
    Keystore {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: eth_keystore::KeystoreError,
    },
    /// An environment variable that is not set.
    #[error(
        "the environment variable {variable} is not set; put a private key in it or name a keystore file"
    )]
    NoVariable {
        /// Which.
        variable: String,
    },
    /// An environment variable without a key in it.
    #[error("the environment variable {variable} holds no private key: 64 hexadecimal digits are expected")]
    BadVariable {
        /// Which.
        variable: String,
    },
}

impl WalletError {
    /// Who can mend it: the caller, with another password, or with another file or setting.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::WrongPassword { .. } => ErrorClass::Unauthorized,
            _ => ErrorClass::Caller,
        }
    }
}

/// Refuses what the keystore library would trust: it panics on short fields that no password protects, takes any
/// cipher, and lets a file ask for any amount of work and memory.
pub(crate) fn check_keystore(path: &Path) -> Result<(), WalletError> {
    let file_error = |source| WalletError::File {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(file_error)?;
    let mut text = Vec::new();
    file.take(KEYSTORE_LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(file_error)?;
    fault(&text).map_or(Ok(()), |why| {
        Err(WalletError::NotAKeystore {
            path: path.to_owned(),
            why: why.to_owned(),
        })
    })
}

/// What keeps a text from being a keystore that is safe to open.
fn fault(text: &[u8]) -> Option<&'static str> {
    if text.len() as u64 > KEYSTORE_LIMIT {
        return Some("it is larger than any keystore");
    }
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(text) else {
        return Some("it is not JSON");
    };
    if json["version"] != 3 {
        return Some("its version is not 3");
    }
    let Ok(EthKeystore { crypto, .. }) = serde_json::from_value(json) else {
        return Some("a field is missing or holds something else than it should");
    };
    if crypto.cipher != "aes-128-ctr" {
        return Some("its cipher is not aes-128-ctr");
    }
    if crypto.cipherparams.iv.len() != 16 {
        return Some("its initialisation vector is not 16 bytes long");
    }
    if crypto.ciphertext.len() != 32 {
        return Some("its encrypted key is not 32 bytes long");
    }
    let (length, affordable) = match crypto.kdfparams {
        KdfparamsType::Pbkdf2 { c, dklen, .. } => (dklen, c <= PBKDF2_LIMIT),
        KdfparamsType::Scrypt { dklen, n, p, r, .. } => {
            let work = [r, p]
                .into_iter()
                .map(u64::from)
                .fold(u64::from(n), u64::saturating_mul);
            (
                dklen,
                n.is_power_of_two() && r > 0 && p > 0 && work <= SCRYPT_LIMIT,
            )
        }
    };
    if length != 32 {
        return Some("its derived key is not 32 bytes long");
    }
    (!affordable).then_some("its key derivation asks for too much memory or work, or for the impossible")
}

pub(crate) fn read_password(mut source: impl Read) -> Result<Zeroizing<Vec<u8>>, WalletError> {
    let mut password = Zeroizing::new(Vec::with_capacity(1024));
    source.read_to_end(&mut password).map_err(WalletError::Password)?;
    while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        password.pop();
    }
    Ok(password)
}

#[cfg(unix)]
pub(crate) fn restrict(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
pub(crate) fn restrict(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
