//! What the integration tests start: the worker, as the product's binary has it, and a process that uses a vault and may
//! be killed at a break point.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use posthuman_jobs::vault::{MasterKey, ObjectKind, Password, Vault, VaultError};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(command) if command == "worker" => posthuman_jobs::worker::worker_main(arguments.collect()),
        Some(command) if command == "vault" => match use_vault(&arguments.collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => ExitCode::from(2),
    }
}

/// `vault ACTION FOLDER`: the vault is `FOLDER/vault`, its keystore `FOLDER/key`, the next one `FOLDER/next`.
fn use_vault(arguments: &[OsString]) -> Result<(), VaultError> {
    let [action, folder] = arguments else {
        panic!("an action and a folder")
    };
    let folder = Path::new(folder);
    let key = |name: &str| MasterKey::open(&folder.join(name), &Password::from_text("p".to_owned())?);
    let vault = Vault::open(&folder.join("vault"), key("key")?, None)?;
    match action.to_str() {
        Some("write") => {
            let mut writer = vault.writer(ObjectKind::Upload)?;
            writer
                .write_all(&vec![7; (2 << 20) + 5])
                .expect("writing to the vault");
            writer.finish().map(drop)
        }
        Some("remove") => vault
            .list()?
            .iter()
            .try_for_each(|facts| vault.remove(facts.object)),
        Some("commit") => vault
            .pending()?
            .into_iter()
            .try_for_each(|object| vault.commit(object)),
        Some("rotate") => vault.rotate(key("next")?),
        Some("backup") => vault.backup(&folder.join("backup")),
        _ => panic!("an action"),
    }
}
