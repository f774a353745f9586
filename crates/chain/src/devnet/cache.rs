//! A deployed chain, kept so that the next devnet starts from it in a tenth of a second.
//!
//! The cache lies in the folder of the installed packages, so a new installation starts without one. Several processes
//! may ask at once: one deploys under a lock on a file, the others wait.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use posthuman_types::keccak256;

use super::anvil::{Anvil, AnvilOptions};
use super::artifacts::Artifacts;
use super::error::DevnetError;
use super::{CHAIN_ID, OWNER, account, bare_chain, deploy};
use crate::address_book::AddressBook;

const STATE: &str = "state.json";
const ADDRESSES: &str = "address.json";

/// A chain's state after deployment, and where the contracts are on it.
#[derive(Clone, Debug)]
pub(super) struct Deployed {
    pub state: PathBuf,
    pub book: AddressBook,
}

/// The deployed state of these packages, made now if there is none.
pub(super) async fn deployed(
    contracts: &Path,
    folder: &Path,
    binary: &Path,
) -> Result<Deployed, DevnetError> {
    let home = folder.join(key(contracts)?);
    if let Some(found) = look(&home) {
        return Ok(found);
    }
    let artifacts = Artifacts::open(contracts)?;
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let lock_path = folder.join("lock");
    let lock = File::create(&lock_path).map_err(file_error(&lock_path))?;
    // Waiting for a lock blocks its thread. The lock ends when the file is dropped.
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
    let _lock = lock
        .map_err(std::io::Error::other)
        .and_then(|lock| lock)
        .map_err(file_error(&lock_path))?;
    if let Some(found) = look(&home) {
        return Ok(found);
    }
    make(&artifacts, folder, &home, binary).await
}

async fn make(
    artifacts: &Artifacts,
    folder: &Path,
    home: &Path,
    binary: &Path,
) -> Result<Deployed, DevnetError> {
    let scratch = tempfile::Builder::new()
        .prefix("deploying-")
        .tempdir_in(folder)
        .map_err(file_error(folder))?;
    let state = scratch.path().join(STATE);
    let anvil = Anvil::start(AnvilOptions {
        binary: binary.to_owned(),
        chain_id: CHAIN_ID,
        port: 0,
        mine_every: None,
        state: Some(state.clone()),
        load: None,
        log: scratch.path().join("anvil.log"),
    })
    .await?;
    let chain = bare_chain(anvil.port())?;
    let book = deploy::deploy(&chain, &account(OWNER), artifacts).await?;
    // Its end writes the state.
    drop(anvil);
    fs::metadata(&state).map_err(file_error(&state))?;
    book.write(&scratch.path().join(ADDRESSES))?;
    // A folder that is there but not whole, as a full disk may leave it, would be in the way for ever.
    match fs::remove_dir_all(home) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_error(home)(error)),
        _ => {}
    }
    fs::rename(scratch.path(), home).map_err(file_error(home))?;
    Ok(Deployed {
        state: home.join(STATE),
        book,
    })
}

/// A finished folder appears as a whole, by a rename.
fn look(home: &Path) -> Option<Deployed> {
    let book = AddressBook::read(&home.join(ADDRESSES)).ok()?;
    let state = home.join(STATE);
    let whole = fs::metadata(&state).is_ok_and(|found| found.is_file() && found.len() > 0);
    whole.then_some(Deployed { state, book })
}

/// Whatever changes the deployed chain changes the key: the pinned versions, and the code that deploys.
fn key(contracts: &Path) -> Result<String, DevnetError> {
    let lock = contracts.join("package-lock.json");
    let pinned = fs::read(&lock).map_err(|_| DevnetError::ContractsMissing {
        path: contracts.to_owned(),
    })?;
    let code = [
        include_str!("deploy.rs"),
        include_str!("anvil.rs"),
        include_str!("mod.rs"),
    ]
    .concat();
    let digest = keccak256([pinned.as_slice(), code.as_bytes()].concat());
    Ok(alloy::hex::encode(&digest[..8]))
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> DevnetError {
    move |source| DevnetError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::artifacts::{contracts_folder, find_anvil};
    use super::*;

    #[tokio::test]
    async fn an_entry_that_is_not_whole_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let contracts = contracts_folder();
        let home = folder.path().join(key(&contracts).unwrap());
        fs::create_dir(&home).unwrap();
        for name in [STATE, ADDRESSES] {
            fs::write(home.join(name), "").unwrap();
        }
        assert!(look(&home).is_none());
        let binary = find_anvil(&contracts).unwrap();
        let made = deployed(&contracts, folder.path(), &binary).await.unwrap();
        let found = look(&home).unwrap();
        assert_eq!((found.state, found.book), (made.state, made.book));
    }
}
