//! `posthuman vault`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use posthuman_jobs::vault::{MasterKey, Password, Vault, VaultError};
use posthuman_types::ObjectId;
use serde::Serialize;

use super::Wrong;
use super::context::Context;
use super::keys::{self, KeyFiles, Pair};
use super::output::{Report, facts, table};
use super::settings::Settings;

/// The vault of a node's data folder, where weights lie sealed, and its master key.
/// The key is DATA/keys/vault.json with DATA/keys/vault.password, unless --master-key names another.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new master key and keep it in a keystore file.
    #[command(after_help = "Example:\n  posthuman vault key vault.json --password-file vault.password")]
    Key {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Read every sealed object and say which are damaged. Also while a node uses the vault.
    #[command(
        after_help = "Example:\n  posthuman vault check --data backup --master-key vault.json --master-key-password-file vault.password"
    )]
    Check,
    /// Wrap all keys in the vault by another master key; no weights are rewritten. The node must not run. If this is
    /// cut off, the same command carries on.
    #[command(
        after_help = "Example:\n  posthuman vault rotate new.json --new-password-file new.password --data data --master-key vault.json --master-key-password-file vault.password"
    )]
    Rotate {
        /// Keystore file of the new master key.
        new: PathBuf,
        /// File with its password.
        #[arg(long, value_name = "FILE")]
        new_password_file: PathBuf,
    },
}

#[derive(Serialize)]
struct Object {
    object: ObjectId,
    kind: String,
    bytes: u64,
    /// What is wrong with it.
    damage: Option<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        match self.command {
            Command::Key { file } => {
                let password = context.password(&file)?;
                let path = file.clone();
                let make = move || MasterKey::create(&path, &Password::from_reader(password)?);
                let key = tokio::task::spawn_blocking(make).await??;
                let text = facts(&[
                    ("master key", key.id().to_string()),
                    ("keystore", file.display().to_string()),
                ]);
                Report::new(text, &serde_json::json!({ "id": key.id(), "keystore": file }))
            }
            Command::Check => {
                let (vault, key) = place(&context.settings)?;
                let key = keys::open_master_key(key.keystore, key.password).await?;
                let objects = tokio::task::spawn_blocking(move || check(&vault, key)).await??;
                checked(context, &objects)
            }
            Command::Rotate {
                new,
                new_password_file,
            } => {
                let (vault, key) = place(&context.settings)?;
                let old = keys::open_master_key(key.keystore, key.password).await?;
                let new = keys::open_master_key(new, new_password_file).await?;
                let lines = [
                    ("wrapped by", new.id().to_string()),
                    ("before by", old.id().to_string()),
                ];
                let json = serde_json::json!({ "id": new.id(), "retired": old.id() });
                // Opened by the new key with the old one as the retired, a vault is where a cut-off rotation left it.
                tokio::task::spawn_blocking(move || Vault::open(&vault, new, Some(old))).await??;
                Report::new(facts(&lines), &json)
            }
        }
    }
}

/// The vault's folder, which must be there, and its key.
fn place(settings: &Settings) -> anyhow::Result<(PathBuf, Pair)> {
    let data: PathBuf = settings.require("data", "the data folder")?;
    let vault = data.join("vault");
    if !vault.is_dir() {
        let message = format!(
            "{} holds no vault; give the data folder of a node with --data DIR",
            data.display()
        );
        return Err(Wrong(message).into());
    }
    let kept = KeyFiles::of(&data).master_key;
    let keystore = settings.path("master-key").unwrap_or(kept.keystore);
    let password = settings.path("master-key-password-file").unwrap_or(kept.password);
    Ok((vault, Pair { keystore, password }))
}

/// Damage is a finding; a key that is not the vault's is an error.
fn check(vault: &Path, key: MasterKey) -> Result<Vec<Object>, VaultError> {
    let vault = Vault::open_read_only(vault, key)?;
    let mut objects = Vec::new();
    for object in vault.ids()? {
        let verified = vault.verify(object);
        let (kind, bytes, damage) = match (vault.describe(object), verified) {
            // The node that uses the vault has just taken it away.
            (Err(VaultError::NotFound { .. }), _) => continue,
            (_, Err(error @ VaultError::UnknownMasterKey { .. })) => return Err(error),
            (Err(error), _) => ("unknown".to_owned(), 0, Some(error.to_string())),
            (Ok(facts), verified) => (
                format!("{:?}", facts.kind).to_lowercase(),
                facts.bytes,
                verified.err().map(|error| error.to_string()),
            ),
        };
        objects.push(Object {
            object,
            kind,
            bytes,
            damage,
        });
    }
    Ok(objects)
}

fn checked(context: &Context, objects: &[Object]) -> anyhow::Result<Report> {
    let rows = objects.iter().map(|object| {
        let state = object.damage.clone().unwrap_or_else(|| "ok".to_owned());
        vec![
            object.object.to_string(),
            object.kind.clone(),
            object.bytes.to_string(),
            state,
        ]
    });
    let report = Report::new(table(&["object", "kind", "bytes", "state"], rows), &objects)?;
    let damaged = objects.iter().filter(|object| object.damage.is_some()).count();
    if damaged == 0 {
        return Ok(report);
    }
    // The table is the result also where it is bad news.
    report.write(context.json)?;
    let message = format!(
        "{damaged} of {} objects are damaged; restore their files from a backup",
        objects.len()
    );
    Err(Wrong(message).into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use posthuman_jobs::vault::ObjectKind;

    use super::*;

    fn key(folder: &Path, name: &str) -> MasterKey {
        MasterKey::create(
            &folder.join(name),
            &Password::from_text("secret".to_owned()).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn a_check_names_what_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (root, key) = (folder.path().join("vault"), key(folder.path(), "key.json"));
        let vault = Vault::open(&root, key.clone(), None).unwrap();
        let mut writer = vault.writer(ObjectKind::Upload).unwrap();
        writer.write_all(&[7; 1000]).unwrap();
        let object = writer.finish().unwrap();
        let found = check(&root, key.clone()).unwrap();
        assert_eq!((found.len(), found[0].object, found[0].bytes), (1, object, 1000));
        assert!(found[0].damage.is_none());
        let shelf = std::fs::read_dir(root.join("chunks"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let chunk = std::fs::read_dir(shelf).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&chunk).unwrap();
        bytes[10] ^= 1;
        std::fs::write(&chunk, bytes).unwrap();
        let damage = check(&root, key.clone()).unwrap().remove(0).damage.unwrap();
        assert!(damage.contains("corrupted"), "{damage}");
        std::fs::write(root.join("objects").join(format!("{object}.json")), "{").unwrap();
        let found = check(&root, key).unwrap().remove(0);
        let damage = found.damage.unwrap();
        assert!(found.object == object && damage.contains("manifest"), "{damage}");
    }

    #[test]
    fn another_key_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("vault");
        let vault = Vault::open(&root, key(folder.path(), "key.json"), None).unwrap();
        vault.writer(ObjectKind::Upload).unwrap().finish().unwrap();
        let error = check(&root, key(folder.path(), "other.json"))
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, VaultError::UnknownMasterKey { .. }), "{error}");
    }

    #[test]
    fn a_folder_without_a_vault_is_refused_in_words() {
        let settings = Settings::default();
        let error = place(&settings).map(drop).unwrap_err().to_string();
        assert!(
            error.contains("holds no vault") && error.contains("--data"),
            "{error}"
        );
    }
}
