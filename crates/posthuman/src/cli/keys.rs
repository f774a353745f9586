//! The three keys of a node, each in a keystore file of its own: wallet, receipt signer, the vault's master key.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use posthuman_chain::{Wallet, devnet};
use posthuman_jobs::vault::{MasterKey, Password};
use rand::Rng;

use super::Wrong;
use super::context::Context;
use super::settings::Settings;
use crate::MarketError;

/// A node's keys, opened.
pub(crate) struct NodeKeys {
    pub wallet: Wallet,
    /// The wallet's keystore file, which workers must not be able to read.
    pub keystore: PathBuf,
    pub receipt_signer: Wallet,
    pub former_receipt_signers: Vec<Wallet>,
    pub master_key: MasterKey,
}

/// Opens the keys that the settings name.
pub(crate) async fn open(context: &Context, chain_id: u64) -> anyhow::Result<NodeKeys> {
    let settings = &context.settings;
    let keystore: PathBuf = settings.require("wallet", "the node's wallet")?;
    if !keystore.is_file() {
        let message = format!(
            "the wallet of a node is a keystore file, and {} is none",
            keystore.display()
        );
        return Err(Wrong(message).into());
    }
    let signer: PathBuf = settings.require("receipt-signer", "the receipt signer's keystore")?;
    let signer_password: PathBuf = settings.require(
        "receipt-signer-password-file",
        "the password of the receipt signer",
    )?;
    let master: PathBuf = settings.require("master-key", "the keystore of the vault's master key")?;
    let master_password: PathBuf =
        settings.require("master-key-password-file", "the password of the master key")?;
    let wallet = context.wallet(chain_id).await?;
    let receipt_signer =
        tokio::task::spawn_blocking(move || Wallet::from_keystore_file(&signer, &signer_password)).await??;
    let former = former_signers(settings)?;
    let open = move || {
        let opened = former
            .iter()
            .map(|pair| Wallet::from_keystore_file(&pair.keystore, &pair.password));
        opened.collect::<Result<Vec<_>, _>>()
    };
    let former_receipt_signers = tokio::task::spawn_blocking(open).await??;
    let master_key = open_master_key(master, master_password).await?;
    Ok(NodeKeys {
        wallet,
        keystore,
        receipt_signer,
        former_receipt_signers,
        master_key,
    })
}

/// The keystores of keys that signed receipts before, each with the password file at the same place of its list.
fn former_signers(settings: &Settings) -> Result<Vec<Pair>, Wrong> {
    let list = |name: &str| -> Vec<PathBuf> {
        let text = settings.text(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(PathBuf::from).collect()
    };
    let keystores = list("former-receipt-signer");
    let passwords = list("former-receipt-signer-password-file");
    if keystores.len() != passwords.len() {
        let message = format!(
            "--former-receipt-signer names {} files and --former-receipt-signer-password-file {}: give a password file \
             for each keystore, in the same order",
            keystores.len(),
            passwords.len()
        );
        return Err(Wrong(message));
    }
    let pairs = keystores.into_iter().zip(passwords);
    Ok(pairs
        .map(|(keystore, password)| Pair { keystore, password })
        .collect())
}

/// Opens a vault's master key.
pub(crate) async fn open_master_key(keystore: PathBuf, password: PathBuf) -> anyhow::Result<MasterKey> {
    let open = move || MasterKey::open(&keystore, &Password::from_file(&password)?);
    Ok(tokio::task::spawn_blocking(open).await??)
}

/// The files of a node on a devnet.
pub(crate) struct KeyFiles {
    pub wallet: Pair,
    pub receipt_signer: Pair,
    pub master_key: Pair,
}

/// A keystore and the file with its password.
pub(crate) struct Pair {
    pub keystore: PathBuf,
    pub password: PathBuf,
}

impl KeyFiles {
    /// The files under a data folder, `DATA/keys`.
    pub(crate) fn of(data: &Path) -> Self {
        let pair = |name: &str| Pair {
            keystore: data.join(format!("keys/{name}.json")),
            password: data.join(format!("keys/{name}.password")),
        };
        Self {
            wallet: pair("wallet"),
            receipt_signer: pair("receipt-signer"),
            master_key: pair("vault"),
        }
    }

    /// Makes what is missing: the devnet's node account, and two random keys. Passwords are random too, in files that
    /// only their owner can read. Blocks.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.wallet.keystore.parent() {
            let error = |source| MarketError::File {
                path: folder.to_owned(),
                source,
            };
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(error)?;
        }
        self.wallet.keep(&devnet::account(devnet::NODE))?;
        self.receipt_signer.keep(&Wallet::random())?;
        let master = &self.master_key;
        master.create_password()?;
        if !master.keystore.exists() {
            MasterKey::create(&master.keystore, &Password::from_file(&master.password)?)?;
        }
        Ok(())
    }

    /// Opens them. Blocks.
    pub(crate) fn open(&self) -> anyhow::Result<NodeKeys> {
        Ok(NodeKeys {
            wallet: Wallet::from_keystore_file(&self.wallet.keystore, &self.wallet.password)?,
            keystore: self.wallet.keystore.clone(),
            receipt_signer: Wallet::from_keystore_file(
                &self.receipt_signer.keystore,
                &self.receipt_signer.password,
            )?,
            former_receipt_signers: Vec::new(),
            master_key: MasterKey::open(
                &self.master_key.keystore,
                &Password::from_file(&self.master_key.password)?,
            )?,
        })
    }
}

impl Pair {
    fn keep(&self, wallet: &Wallet) -> anyhow::Result<()> {
        self.create_password()?;
        if !self.keystore.exists() {
            let error = |source| MarketError::File {
                path: self.password.clone(),
                source,
            };
            let password = std::fs::File::open(&self.password).map_err(error)?;
            wallet.save_keystore(&self.keystore, password)?;
        }
        Ok(())
    }

    fn create_password(&self) -> Result<(), MarketError> {
        let error = |source| MarketError::File {
            path: self.password.clone(),
            source,
        };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.password);
        match file {
            Ok(mut file) => {
                let mut bytes = [0_u8; 32];
                rand::rng().fill_bytes(&mut bytes);
                let text = alloy_primitives::hex::encode(bytes);
                file.write_all(text.as_bytes())
                    .and_then(|()| file.sync_all())
                    .map_err(error)
            }
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(error(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(folder.path());
        files.create().unwrap();
        let first = files.open().unwrap();
        files.create().unwrap();
        let second = files.open().unwrap();
        assert_eq!(first.wallet.address(), devnet::account(devnet::NODE).address());
        assert_eq!(first.receipt_signer.address(), second.receipt_signer.address());
        assert_ne!(first.receipt_signer.address(), first.wallet.address());
        assert_eq!(first.master_key.id(), second.master_key.id());
        for pair in [&files.wallet, &files.receipt_signer, &files.master_key] {
            for path in [&pair.keystore, &pair.password] {
                assert_eq!(
                    std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{path:?}"
                );
            }
        }
    }
}
