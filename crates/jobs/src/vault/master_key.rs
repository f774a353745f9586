//! The master key, which wraps the data keys, in its own password-protected file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use eth_keystore::{EthKeystore, KdfparamsType, KeystoreError};
use posthuman_types::{Bytes, ObjectId, keccak256};
use rand_core_06::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::disk;
use super::error::VaultError;
use super::seal;
use super::secret::Secret;

/// Files above this size are no keystores and no passwords.
const FILE_LIMIT: u64 = 64 * 1024;
/// The most memory, in bytes, that a keystore may ask scrypt to use (128 · N · r): eight times geth's standard.
const SCRYPT_MEMORY_LIMIT: u64 = 2 << 30;

/// A password, wiped when dropped and never shown by `Debug`.
pub struct Password(Zeroizing<String>);

impl Password {
    /// This password.
    ///
    /// # Errors
    /// An empty one.
    pub fn from_text(text: String) -> Result<Self, VaultError> {
        Self::checked(Zeroizing::new(text), "given")
    }

    /// The content of a file; one line end at its end is not part of the password.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, not UTF-8 or larger than 64 KiB.
    pub fn from_file(path: &Path) -> Result<Self, VaultError> {
        let file =
            File::open(path).map_err(|source| VaultError::io("read the password file", path, source))?;
        Self::read(file, format!("in `{}`", path.display()))
    }

    /// All that a reader gives, for example an inherited descriptor; one line end at the end is not part of it.
    ///
    /// # Errors
    /// As for [`Password::from_file`].
    pub fn from_reader(reader: impl Read) -> Result<Self, VaultError> {
        Self::read(reader, "from the descriptor".to_owned())
    }

    fn read(reader: impl Read, from: String) -> Result<Self, VaultError> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        let unusable = |reason| VaultError::Password {
            from: from.clone(),
            reason,
        };
        reader
            .take(FILE_LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => unusable("it is not UTF-8 text"),
                _ => unusable("it cannot be read"),
            })?;
        if text.len() as u64 == FILE_LIMIT {
            return Err(unusable("it is longer than 64 KiB"));
        }
        if text.ends_with('\n') {
            text.pop();
        }
        if text.ends_with('\r') {
            text.pop();
        }
        Self::checked(text, &from)
    }

    fn checked(text: Zeroizing<String>, from: &str) -> Result<Self, VaultError> {
        if text.is_empty() {
            return Err(VaultError::Password {
                from: from.to_owned(),
                reason: "it is empty",
            });
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// Which master key wrapped a data key: eight bytes of a hash of it, in hexadecimal. It reveals nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The key that wraps data keys and salts. It never seals data itself.
#[derive(Clone, Debug)]
pub struct MasterKey {
    key: Secret,
    id: KeyId,
}

impl MasterKey {
    /// Makes a new random key and keeps it in a new keystore file (Web3 Secret Storage, version 3) that only its owner
    /// may read.
    ///
    /// # Errors
    /// A path that is taken, or a folder that cannot be written to.
    pub fn create(path: &Path, password: &Password) -> Result<Self, VaultError> {
        if path.exists() {
            return Err(VaultError::Exists {
                path: path.to_owned(),
            });
        }
        let key = Secret::random();
        write_keystore(path, &key, password)?;
        Ok(Self::new(key))
    }

    /// Opens a keystore file.
    ///
    /// # Errors
    /// A file that is no keystore, or a password that does not open it.
    pub fn open(path: &Path, password: &Password) -> Result<Self, VaultError> {
        check_keystore(path)?;
        let mut key =
            eth_keystore::decrypt_key(path, password.0.as_bytes()).map_err(|error| match error {
                KeystoreError::MacMismatch => VaultError::WrongPassword {
                    path: path.to_owned(),
                },
                other => VaultError::Keystore {
                    path: path.to_owned(),
                    reason: other.to_string(),
                },
            })?;
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&key);
        key.zeroize();
        let opened = Self::new(Secret::from_bytes(bytes));
        bytes.zeroize();
        Ok(opened)
    }

    /// Its id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    fn new(key: Secret) -> Self {
        let mut input = Zeroizing::new(b"posthuman/master-key-id/1".to_vec());
        input.reserve_exact(32);
        input.extend_from_slice(key.expose());
        let id = Bytes::copy_from_slice(&keccak256(input.as_slice())[..8]);
        Self {
            key,
            id: KeyId(id.to_string().trim_start_matches("0x").to_owned()),
        }
    }

    pub(super) fn wrap(&self, purpose: Purpose, object: ObjectId, secret: &Secret) -> Wrapped {
        let sealed = seal::wrap(&self.key, &purpose.bind(object), secret).into();
        Wrapped {
            master_key: self.id.clone(),
            sealed,
        }
    }

    pub(super) fn unwrap(
        &self,
        purpose: Purpose,
        object: ObjectId,
        wrapped: &Wrapped,
    ) -> Result<Secret, VaultError> {
        if wrapped.master_key != self.id {
            let (wanted, held) = (wrapped.master_key.clone(), self.id.clone());
            return Err(VaultError::UnknownMasterKey { object, wanted, held });
        }
        seal::unwrap(&self.key, &purpose.bind(object), &wrapped.sealed)
            .map_err(|_| VaultError::WrappedKey { object })
    }
}

/// What a wrapped secret is for; part of what is authenticated, so that one cannot stand in for the other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    DataKey,
    Salt,
}

impl Purpose {
    fn bind(self, object: ObjectId) -> Vec<u8> {
        let label: &[u8] = match self {
            Self::DataKey => b"posthuman/data-key/1",
            Self::Salt => b"posthuman/salt/1",
        };
        [label, &object.0].concat()
    }
}

/// A secret sealed under a master key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wrapped {
    pub(super) master_key: KeyId,
    sealed: Bytes,
}

fn write_keystore(path: &Path, key: &Secret, password: &Password) -> Result<(), VaultError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let unfinished = format!("{}keystore-{}", disk::UNFINISHED, std::process::id());
    let unfinished_path = folder.join(&unfinished);
    let io = |source| VaultError::io("write the keystore", path, source);
    // The file is made first, with its owner's rights alone: the keystore crate would make it readable for all.
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished_path);
    let file = options.map_err(io)?;
    let written = eth_keystore::encrypt_key(
        folder,
        &mut OsRng,
        key.expose(),
        password.0.as_bytes(),
        Some(&unfinished),
    );
    let finished = written
        .map_err(|error| VaultError::Keystore {
            path: path.to_owned(),
            reason: error.to_string(),
        })
        .and_then(|_| {
            file.sync_all()
                .and_then(|()| fs::hard_link(&unfinished_path, path))
                .map_err(io)
        });
    disk::remove_file(&unfinished_path)?;
    finished?;
    disk::flush_folder(folder)
}

/// Refuses what the keystore crate would take without looking: it panics on short fields and lets a file ask for any
/// amount of memory.
fn check_keystore(path: &Path) -> Result<(), VaultError> {
    let io = |source| VaultError::io("read the keystore", path, source);
    let mut text = String::new();
    File::open(path)
        .map_err(io)?
        .take(FILE_LIMIT)
        .read_to_string(&mut text)
        .map_err(io)?;
    let wrong = |reason: &str| VaultError::Keystore {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let keystore: EthKeystore =
        serde_json::from_str(&text).map_err(|_| wrong("it is not JSON of keystore version 3"))?;
    if keystore.version != 3 || keystore.crypto.cipher != "aes-128-ctr" {
        return Err(wrong("only version 3 with aes-128-ctr is supported"));
    }
    if keystore.crypto.cipherparams.iv.len() != 16 || keystore.crypto.ciphertext.len() != 32 {
        return Err(wrong(
            "its key or its initialisation vector has another length than expected",
        ));
    }
    let (length, affordable) = match keystore.crypto.kdfparams {
        KdfparamsType::Pbkdf2 { c, dklen, .. } => (dklen, c <= 10_000_000),
        KdfparamsType::Scrypt { dklen, n, p, r, .. } => {
            let memory = 128_u64.saturating_mul(u64::from(n)).saturating_mul(u64::from(r));
            (
                dklen,
                n.is_power_of_two() && memory <= SCRYPT_MEMORY_LIMIT && (1..=64).contains(&p),
            )
        }
    };
    if length != 32 || !affordable {
        return Err(wrong("its key derivation asks for something unusual"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password(text: &str) -> Password {
        Password::from_text(text.to_owned()).unwrap()
    }

    #[test]
    fn a_keystore_opens_with_its_password_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.json");
        let made = MasterKey::create(&path, &password("right")).unwrap();
        let opened = MasterKey::open(&path, &password("right")).unwrap();
        assert_eq!(opened.key.expose(), made.key.expose());
        assert_eq!(opened.id(), made.id());
        let error = MasterKey::open(&path, &password("wrong")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the password does not open the keystore"),
            "{error}"
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(
            MasterKey::create(&path, &password("x")),
            Err(VaultError::Exists { .. })
        ));
    }

    #[test]
    fn broken_keystores_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.json");
        MasterKey::create(&path, &password("right")).unwrap();
        let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let changes: [fn(&mut serde_json::Value); 5] = [
            |keystore| keystore["crypto"]["cipherparams"]["iv"] = "00".into(),
            |keystore| keystore["crypto"]["kdfparams"]["dklen"] = 4.into(),
            |keystore| keystore["crypto"]["kdfparams"]["n"] = (1_u32 << 30).into(),
            |keystore| keystore["crypto"]["ciphertext"] = "".into(),
            |keystore| keystore["version"] = 2.into(),
        ];
        for change in changes {
            let mut bad = good.clone();
            change(&mut bad);
            fs::write(&path, bad.to_string()).unwrap();
            let error = MasterKey::open(&path, &password("right")).unwrap_err();
            assert!(matches!(error, VaultError::Keystore { .. }), "{error}");
        }
        fs::write(&path, "hello").unwrap();
        assert!(matches!(
            MasterKey::open(&path, &password("right")),
            Err(VaultError::Keystore { .. })
        ));
    }

    #[test]
    fn passwords_come_from_files_and_descriptors_without_their_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "secret\r\n").unwrap();
        assert_eq!(Password::from_file(&path).unwrap().0.as_str(), "secret");
        assert_eq!(
            Password::from_reader(b"secret\n".as_slice()).unwrap().0.as_str(),
            "secret"
        );
        for bad in [b"".as_slice(), b"\n", b"\xff\xfe"] {
            assert!(matches!(
                Password::from_reader(bad),
                Err(VaultError::Password { .. })
            ));
        }
        assert!(Password::from_file(&folder.path().join("none")).is_err());
    }
}
