//! The pinned npm packages: where they are, and the creation code of their contracts.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::DevnetError;

/// The environment variable that names the folder with the pinned packages.
const VARIABLE: &str = "POSTHUMAN_CONTRACTS";
const CURRENT: &str = "node_modules/@oceanprotocol/contracts";
const EARLIER: &str = "node_modules/ocean-contracts-1.1.15";

/// A version of Ocean's contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.6.0: all but the two below.
    Current,
    /// 1.1.15: `SideStaking`, and the `FixedRateExchange` on which holders sell.
    Earlier,
}

/// The folder `contracts/` with its packages installed.
#[derive(Clone, Debug)]
pub struct Artifacts {
    folder: PathBuf,
}

#[derive(Deserialize)]
struct Artifact {
    bytecode: String,
}

impl Artifacts {
    /// Opens a folder.
    ///
    /// # Errors
    /// The packages are not in it.
    pub fn open(folder: &Path) -> Result<Self, DevnetError> {
        let complete = [CURRENT, EARLIER]
            .iter()
            .all(|package| folder.join(package).join("artifacts").is_dir());
        if !complete {
            return Err(DevnetError::ContractsMissing {
                path: folder.to_owned(),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The file of a contract, named by its source (`df/Splitter.sol`) and its own name.
    pub fn path(&self, version: Version, source: &str, contract: &str) -> PathBuf {
        let package = match version {
            Version::Current => CURRENT,
            Version::Earlier => EARLIER,
        };
        self.folder
            .join(package)
            .join("artifacts/contracts")
            .join(source)
            .join(format!("{contract}.json"))
    }

    /// Creation code of a contract, without arguments.
    ///
    /// # Errors
    /// A missing file, or one of another shape.
    pub fn creation_code(
        &self,
        version: Version,
        source: &str,
        contract: &str,
    ) -> Result<Vec<u8>, DevnetError> {
        let path = self.path(version, source, contract);
        let text = fs::read(&path).map_err(|source| DevnetError::File {
            path: path.clone(),
            source,
        })?;
        let artifact: Option<Artifact> = serde_json::from_slice(&text).ok();
        let code = artifact.and_then(|artifact| alloy::hex::decode(artifact.bytecode).ok());
        code.filter(|code| !code.is_empty())
            .ok_or(DevnetError::BadArtifact { path })
    }
}

/// The folder of the pinned packages: what `POSTHUMAN_CONTRACTS` names, or `contracts/` of the repository that the
/// current folder is in.
pub fn contracts_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        return folder.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let found = here
        .ancestors()
        .map(|folder| folder.join("contracts"))
        .find(|folder| folder.join("package-lock.json").is_file());
    found.unwrap_or_else(|| here.join("contracts"))
}

/// The anvil binary: in the packages, or in `PATH`.
///
/// # Errors
/// It is in neither.
pub fn find_anvil(contracts: &Path) -> Result<PathBuf, DevnetError> {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let installed = contracts.join(format!(
        "node_modules/@foundry-rs/anvil-{system}-{machine}/bin/anvil"
    ));
    if installed.is_file() {
        return Ok(installed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("anvil"))
        .find(|file| file.is_file());
    found.ok_or(DevnetError::AnvilMissing { looked: installed })
}
