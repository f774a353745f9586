//! Wallets: one private key each, from a keystore file, the environment, or the devnet.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::PrivateKeySigner;
use alloy::signers::{Signature, SignerSync};
use posthuman_types::{Address, B256};
use zeroize::Zeroizing;

use crate::error::ChainError;
use crate::keystore::{WalletError, check_keystore, read_password, restrict};
use crate::transaction::SignedTransaction;

/// A private key that can sign transactions, messages and typed data.
///
/// Clones share one lock, under which [`Chain::send`](crate::Chain::send) chooses nonces. `Debug` shows the address only.
#[derive(Clone)]
pub struct Wallet {
    signer: PrivateKeySigner,
    pub(crate) sending: Arc<tokio::sync::Mutex<()>>,
}

impl Wallet {
    /// A new random wallet, kept nowhere.
    pub fn random() -> Self {
        Self::from_signer(PrivateKeySigner::random())
    }

    /// A wallet from an alloy signer.
    pub fn from_signer(signer: PrivateKeySigner) -> Self {
        Self {
            signer,
            sending: Arc::default(),
        }
    }

    /// Opens a Web3 Secret Storage (version 3) keystore file. Trailing line breaks of the password do not count.
    ///
    /// Slow on purpose (scrypt): call it off the async threads.
    ///
    /// # Errors
    /// An unreadable file, something else than a keystore, or a wrong password.
    pub fn from_keystore(path: &Path, password: impl Read) -> Result<Self, WalletError> {
        check_keystore(path)?;
        let password = read_password(password)?;
        let key = eth_keystore::decrypt_key(path, password.as_slice()).map(Zeroizing::new);
        let key = key.map_err(|source| match source {
            eth_keystore::KeystoreError::MacMismatch => WalletError::WrongPassword {
                path: path.to_owned(),
            },
            source => WalletError::Keystore {
                path: path.to_owned(),
                source,
            },
        })?;
        Self::from_key(&key).ok_or_else(|| WalletError::NotAKeystore {
            path: path.to_owned(),
            why: "it holds no secp256k1 key".into(),
        })
    }

    /// Opens a keystore file with the password in another file.
    ///
    /// # Errors
    /// As [`from_keystore`](Self::from_keystore), or an unreadable password file.
    pub fn from_keystore_file(path: &Path, password_file: &Path) -> Result<Self, WalletError> {
        let password = fs::File::open(password_file).map_err(|source| WalletError::File {
            path: password_file.to_owned(),
            source,
        })?;
        Self::from_keystore(path, password)
    }

    /// Reads a hexadecimal private key from an environment variable.
    ///
    /// # Errors
    /// A variable that is not set or holds no key. The error never shows its contents.
    pub fn from_environment(variable: &str) -> Result<Self, WalletError> {
        let text = std::env::var(variable).map(Zeroizing::new);
        let text = text.map_err(|_| WalletError::NoVariable {
            variable: variable.to_owned(),
        })?;
        Self::from_hex(&text).ok_or_else(|| WalletError::BadVariable {
            variable: variable.to_owned(),
        })
    }

    /// Writes the key to a new keystore file, readable by its owner alone, encrypted with the password.
    ///
    /// The file appears whole or not at all, and never replaces another. Slow on purpose, but not very: scrypt with
    /// N = 8,192 and r = 8 resists guessing of long passwords only.
    ///
    /// # Errors
    /// An empty password, an existing file, or a folder that cannot be written.
    pub fn save_keystore(&self, path: &Path, password: impl Read) -> Result<(), WalletError> {
        let password = read_password(password)?;
        if password.is_empty() {
            return Err(WalletError::EmptyPassword);
        }
        let file_error = |source| WalletError::File {
            path: path.to_owned(),
            source,
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(file_error)?;
        // A private temporary folder beside the target: the file inside has its final mode before anyone can open it.
        let scratch = tempfile::Builder::new()
            .prefix(".keystore-")
            .tempdir_in(folder)
            .map_err(file_error)?;
        let key = Zeroizing::new(self.signer.to_bytes().0);
        eth_keystore::encrypt_key(
            scratch.path(),
            &mut OsRng,
            key.as_slice(),
            password.as_slice(),
            Some("key"),
        )
        .map_err(|source| WalletError::Keystore {
            path: path.to_owned(),
            source,
        })?;
        let written = scratch.path().join("key");
        restrict(&written).map_err(file_error)?;
        fs::File::open(&written)
            .and_then(|file| file.sync_all())
            .map_err(file_error)?;
        // A hard link fails where a rename would replace.
        fs::hard_link(&written, path).map_err(file_error)
    }

    /// The wallet's address.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Signs a message as `personal_sign` does: EIP-191 version 0x45 over the bytes given.
    ///
    /// # Errors
    /// A failure of the signer, which a key in memory does not have.
    pub fn sign_message(&self, message: &[u8]) -> Result<Signature, ChainError> {
        self.signer
            .sign_message_sync(message)
            .map_err(|source| self.signing_error("a message", source))
    }

    /// Signs 32 bytes as they are. Does not hash or prefix: for digests of known formats only.
    ///
    /// # Errors
    /// As [`sign_message`](Self::sign_message).
    pub fn sign_digest(&self, digest: B256) -> Result<Signature, ChainError> {
        self.sign_hash(digest, "a digest")
    }

    /// The alloy signer, for what this type does not offer.
    pub fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    pub(crate) fn sign_transaction(&self, transaction: TxEip1559) -> Result<SignedTransaction, ChainError> {
        let nonce = transaction.nonce;
        let signature = self.sign_hash(transaction.signature_hash(), "a transaction")?;
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        Ok(SignedTransaction {
            from: self.address(),
            nonce,
            hash: *envelope.tx_hash(),
            raw: envelope.encoded_2718().into(),
        })
    }

    fn from_hex(text: &str) -> Option<Self> {
        let key = alloy::hex::decode(text.trim()).map(Zeroizing::new).ok()?;
        Self::from_key(&key)
    }

    /// Exactly 32 bytes: shorter ones would be filled up with zeros to another key than was meant.
    fn from_key(key: &[u8]) -> Option<Self> {
        let key = Zeroizing::new(<[u8; 32]>::try_from(key).ok()?);
        PrivateKeySigner::from_slice(key.as_slice())
            .ok()
            .map(Self::from_signer)
    }

    fn sign_hash(&self, hash: B256, what: &str) -> Result<Signature, ChainError> {
        self.signer
            .sign_hash_sync(&hash)
            .map_err(|source| self.signing_error(what, source))
    }

    fn signing_error(&self, what: &str, source: alloy::signers::Error) -> ChainError {
        ChainError::Signing {
            address: self.address(),
            what: what.to_owned(),
            source,
        }
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Wallet({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keystore_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/alice.json");
        let wallet = Wallet::random();
        wallet.save_keystore(&path, &b"correct horse\n"[..]).unwrap();
        let opened = Wallet::from_keystore(&path, &b"correct horse"[..]).unwrap();
        assert_eq!(opened.address(), wallet.address());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let wrong = Wallet::from_keystore(&path, &b"wrong"[..]).unwrap_err();
        assert!(matches!(wrong, WalletError::WrongPassword { .. }), "{wrong}");
        let again = wallet.save_keystore(&path, &b"x"[..]).unwrap_err();
        assert!(matches!(again, WalletError::File { .. }), "{again}");
        assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 1);
    }

    #[test]
    fn strange_files_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.json");
        Wallet::random().save_keystore(&path, &b"p"[..]).unwrap();
        let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let rounds = |c: u32| serde_json::json!({"dklen": 32, "c": c, "prf": "hmac-sha256", "salt": "00"});
        let half = "00".repeat(15);
        let cases = [
            ("/version", 1.into(), "version is not 3"),
            ("/crypto/kdfparams", serde_json::json!({"dklen": 32}), "missing"),
            ("/crypto/cipher", "aes-256-ctr".into(), "cipher"),
            ("/crypto/cipherparams/iv", half.clone().into(), "not 16 bytes"),
            ("/crypto/ciphertext", half.into(), "encrypted key is not 32 bytes"),
            ("/crypto/kdfparams/dklen", 4.into(), "derived key is not 32 bytes"),
            ("/crypto/kdfparams/n", (1_u32 << 31).into(), "memory or work"),
            ("/crypto/kdfparams/n", 0.into(), "memory or work"),
            ("/crypto/kdfparams/p", (1_u32 << 20).into(), "memory or work"),
            ("/crypto/kdfparams", rounds(u32::MAX), "memory or work"),
        ];
        for (field, value, expected) in cases {
            let mut bad = good.clone();
            *bad.pointer_mut(field).unwrap() = value;
            fs::write(&path, bad.to_string()).unwrap();
            let error = Wallet::from_keystore(&path, &b"p"[..]).unwrap_err();
            assert!(error.to_string().contains(expected), "{field}: {error}");
        }
        fs::write(&path, "not json").unwrap();
        let error = Wallet::from_keystore(&path, &b"p"[..]).unwrap_err();
        assert!(error.to_string().contains("not JSON"), "{error}");
    }

    #[test]
    fn nothing_shows_the_key() {
        let wallet = Wallet::random();
        assert_eq!(format!("{wallet:?}"), format!("Wallet({})", wallet.address()));
        let error = Wallet::from_environment("POSTHUMAN_NO_SUCH_VARIABLE").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("POSTHUMAN_NO_SUCH_VARIABLE is not set")
        );
    }

    #[test]
    fn keys_of_the_environment_are_hexadecimal() {
        let key = alloy::hex::encode(crate::devnet::account(0).signer().to_bytes());
        for text in [key.to_owned(), format!("0x{key}\n")] {
            assert_eq!(
                Wallet::from_hex(&text).unwrap().address(),
                crate::devnet::account(0).address()
            );
        }
        for text in ["", "0x", "zz", &key[2..], &"00".repeat(32), &"ff".repeat(32)] {
            assert!(Wallet::from_hex(text).is_none(), "{text}");
        }
    }

    #[test]
    fn messages_recover_to_the_address() {
        let wallet = Wallet::random();
        let signature = wallet.sign_message(b"hello").unwrap();
        assert_eq!(
            signature.recover_address_from_msg(b"hello").unwrap(),
            wallet.address()
        );
    }
}
