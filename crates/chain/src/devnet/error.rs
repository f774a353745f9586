//! What can go wrong with a devnet.

use std::path::PathBuf;

use posthuman_types::ErrorClass;

use crate::address_book::AddressBookError;
use crate::error::ChainError;

/// A devnet that does not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// The pinned packages are not installed.
    #[error(
        "the pinned contracts are not installed in {}; run `make contracts` in the repository, \
         or set POSTHUMAN_CONTRACTS to the folder that holds their node_modules", path.display()
    )]
    ContractsMissing {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// A package without a contract, or with something else in its place.
    #[error("{} is not the artifact of a contract; run `make contracts` to install the pinned packages again", path.display())]
    BadArtifact {
        /// The file.
        path: PathBuf,
    },
    /// No anvil.
    #[error(
        "anvil, the program that runs the devnet, is neither in {} nor in PATH; run `make contracts` in the repository, \
         which installs it", looked.display()
    )]
    AnvilMissing {
        /// Where it was looked for.
        looked: PathBuf,
    },
    /// The port is in use.
    #[error("port {port} is taken; stop what uses it, or choose another with --rpc-port")]
    PortTaken {
        /// Which.
        port: u16,
    },
    /// Anvil ended at once or said nothing.
    #[error("anvil did not start: {why}; its log is {}", log.display())]
    AnvilFailed {
        /// Its last words.
        why: String,
        /// Its log.
        log: PathBuf,
    },
    /// A file of the devnet.
    #[error("the devnet cannot use {}; check the path, its rights and the space left", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address file.
    #[error("the devnet's address file cannot be used")]
    AddressBook(#[from] AddressBookError),
    /// The chain did not do what deployment needs.
    #[error("the contracts could not be deployed ({step})")]
    Deployment {
        /// Which step.
        step: String,
        /// Why.
        #[source]
        source: Box<ChainError>,
    },
    /// Funding on a chain that is no devnet.
    #[error("chain {chain_id} is no devnet, so nobody can be funded there; get tokens as on any chain")]
    NotADevnet {
        /// The chain.
        chain_id: u64,
    },
    /// Funding failed.
    #[error("the devnet did not fund the wallet")]
    Funding(#[source] Box<ChainError>),
}

impl DevnetError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Deployment { .. } | Self::AnvilFailed { .. } => ErrorClass::Unavailable,
            Self::PortTaken { .. } => ErrorClass::Conflict,
            Self::Funding(source) => source.class(),
            _ => ErrorClass::Caller,
        }
    }
}
