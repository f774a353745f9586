//! The three keys of a node, each in a keystore file of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use posthuman_chain::{Wallet, devnet};
use posthuman_jobs::vault::{MasterKey, Password};

/// The files of a node's keys, under `DATA/keys` as `posthuman dev` and `posthuman demo` lay them.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The wallet: the devnet's node account.
    pub wallet: Key,
    /// The receipt signer.
    pub receipt_signer: Key,
    /// The vault's master key.
    pub master_key: Key,
}

/// A keystore and the file with its password.
#[derive(Clone, Debug)]
pub struct Key {
    /// Web3 Secret Storage, version 3.
    pub keystore: PathBuf,
    /// One line.
    pub password: PathBuf,
}

impl Keys {
    /// The files of a data folder.
    pub fn of(data: &Path) -> Self {
        let key = |name: &str| Key {
            keystore: data.join(format!("keys/{name}.json")),
            password: data.join(format!("keys/{name}.password")),
        };
        Self {
            wallet: key("wallet"),
            receipt_signer: key("receipt-signer"),
            master_key: key("vault"),
        }
    }

    /// Makes those of a data folder: the devnet's node account and two random keys.
    ///
    /// # Errors
    /// They exist, or the folder cannot be written to.
    pub fn create(data: &Path) -> anyhow::Result<Self> {
        let keys = Self::of(data);
        fs::create_dir_all(data.join("keys")).context("cannot create the folder of keys")?;
        for key in [&keys.wallet, &keys.receipt_signer, &keys.master_key] {
            fs::write(&key.password, "a password of a test\n").context("cannot write a password")?;
        }
        let wallet = devnet::account(devnet::NODE);
        wallet.save_keystore(&keys.wallet.keystore, fs::File::open(&keys.wallet.password)?)?;
        let signer = &keys.receipt_signer;
        Wallet::random().save_keystore(&signer.keystore, fs::File::open(&signer.password)?)?;
        MasterKey::create(
            &keys.master_key.keystore,
            &Password::from_file(&keys.master_key.password)?,
        )?;
        Ok(keys)
    }

    /// Opens the vault's master key.
    ///
    /// # Errors
    /// No such keystore, or another password.
    pub fn master_key(&self) -> anyhow::Result<MasterKey> {
        Ok(MasterKey::open(
            &self.master_key.keystore,
            &Password::from_file(&self.master_key.password)?,
        )?)
    }

    /// Opens the receipt signer's key.
    ///
    /// # Errors
    /// No such keystore, or another password.
    pub fn receipt_signer(&self) -> anyhow::Result<Wallet> {
        Ok(Wallet::from_keystore_file(
            &self.receipt_signer.keystore,
            &self.receipt_signer.password,
        )?)
    }
}
