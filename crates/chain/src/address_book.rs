//! Where the contracts of a network are: `address.json` in the shape Ocean's own clients read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use posthuman_types::{Address, ErrorClass};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ChainError;

/// The key under which a devnet stands in `address.json`.
pub const DEVELOPMENT: &str = "development";

/// The contracts of one network.
///
/// Keys are Ocean's; `Staking` and `poolTemplate` are its historical names for the contracts of pools, and
/// `FixedPriceResale` is ours for the 1.1.15 exchange on which holders sell. Keys that this type does not know are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBook {
    /// The network's name: the key in the file.
    #[serde(skip)]
    pub network: String,
    /// Chain id.
    #[serde(rename = "chainId")]
    pub chain_id: u64,
    /// The first block that can hold a log of these contracts.
    #[serde(rename = "startBlock", default)]
    pub start_block: u64,
    /// The OCEAN token.
    #[serde(rename = "Ocean")]
    pub ocean: Address,
    /// `FactoryRouter`.
    #[serde(rename = "Router")]
    pub router: Address,
    /// `FixedRateExchange`.
    #[serde(rename = "FixedPrice")]
    pub fixed_price: Address,
    /// `FixedRateExchange` of 1.1.15, on which any holder can sell from their own balance.
    #[serde(rename = "FixedPriceResale", default, skip_serializing_if = "Option::is_none")]
    pub fixed_price_resale: Option<Address>,
    /// `Dispenser`.
    #[serde(rename = "Dispenser")]
    pub dispenser: Address,
    /// `ERC721Factory`.
    #[serde(rename = "ERC721Factory")]
    pub nft_factory: Address,
    /// `SideStaking`, without which a network has no pools.
    #[serde(rename = "Staking", default, skip_serializing_if = "Option::is_none")]
    pub side_staking: Option<Address>,
    /// The `BPool` that pools are cloned from.
    #[serde(rename = "poolTemplate", default, skip_serializing_if = "Option::is_none")]
    pub pool_template: Option<Address>,
    /// `OPFCommunityFeeCollector`.
    #[serde(
        rename = "OPFCommunityFeeCollector",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub community_fee_collector: Option<Address>,
    /// Templates of data NFTs by index.
    #[serde(rename = "ERC721Template", default)]
    pub nft_templates: BTreeMap<String, Address>,
    /// Templates of datatokens by index.
    #[serde(rename = "ERC20Template", default)]
    pub datatoken_templates: BTreeMap<String, Address>,
    /// Everything else, as it stands in the file.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl AddressBook {
    /// Reads the network named `development`.
    ///
    /// # Errors
    /// An unreadable file, another shape, or no such network.
    pub fn read(path: &Path) -> Result<Self, AddressBookError> {
        Self::read_network(path, DEVELOPMENT)
    }

    /// Reads a network by name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_network(path: &Path, network: &str) -> Result<Self, AddressBookError> {
        let networks = read_networks(path)?;
        let Some(entry) = networks.get(network) else {
            let known = networks.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(AddressBookError::NoNetwork {
                path: path.to_owned(),
                wanted: network.to_owned(),
                known,
            });
        };
        parse(path, network, entry)
    }

    /// Reads the network of a chain id, whatever its name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_chain(path: &Path, chain_id: u64) -> Result<Self, AddressBookError> {
        let networks = read_networks(path)?;
        let Some((network, entry)) = networks.iter().find(|(_, entry)| entry["chainId"] == chain_id) else {
            let known = networks.keys().cloned().collect::<Vec<_>>().join(", ");
            let wanted = format!("chain {chain_id}");
            return Err(AddressBookError::NoNetwork {
                path: path.to_owned(),
                wanted,
                known,
            });
        };
        parse(path, network, entry)
    }

    /// Writes this network into the file and keeps the file's other networks. The file changes as a whole or not at all.
    ///
    /// # Errors
    /// A file that exists and is of another shape, or a folder that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AddressBookError> {
        let mut networks = if path.exists() {
            read_networks(path)?
        } else {
            Map::new()
        };
        let entry = serde_json::to_value(self).map_err(|source| self.shape_error(path, source))?;
        networks.insert(self.network.clone(), entry);
        let text =
            serde_json::to_string_pretty(&networks).map_err(|source| self.shape_error(path, source))?;
        write_whole(path, &(text + "\n")).map_err(|source| AddressBookError::File {
            path: path.to_owned(),
            source,
        })
    }

    /// The resale exchange.
    ///
    /// # Errors
    /// A network without it.
    pub fn resale(&self) -> Result<Address, ChainError> {
        self.fixed_price_resale
            .ok_or_else(|| self.lacks("FixedPriceResale"))
    }

    pub(crate) fn lacks(&self, contract: &'static str) -> ChainError {
        ChainError::NotOnThisNetwork {
            network: self.network.clone(),
            contract,
        }
    }

    fn shape_error(&self, path: &Path, source: serde_json::Error) -> AddressBookError {
        AddressBookError::Shape {
            path: path.to_owned(),
            network: self.network.clone(),
            source,
        }
    }
}

/// An address file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressBookError {
    /// A file that cannot be read or written.
    #[error("cannot use the address file {}; name one with --address-file, or start a devnet, which writes one", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of another shape.
    #[error("the entry `{network}` of {} is not an address book as Ocean writes it", path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// Which network in it.
        network: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A file without the network wanted.
    #[error("{} has no {wanted}; it has: {known}", path.display())]
    NoNetwork {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// What is there.
        known: String,
    },
}

impl AddressBookError {
    /// Who can mend it: always the caller.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

fn read_networks(path: &Path) -> Result<Map<String, Value>, AddressBookError> {
    let text = fs::read_to_string(path).map_err(|source| AddressBookError::File {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| AddressBookError::Shape {
        path: path.to_owned(),
        network: "*".into(),
        source,
    })
}

fn parse(path: &Path, network: &str, entry: &Value) -> Result<AddressBook, AddressBookError> {
    let mut book: AddressBook =
        serde_json::from_value(entry.clone()).map_err(|source| AddressBookError::Shape {
            path: path.to_owned(),
            network: network.to_owned(),
            source,
        })?;
    book.network = network.to_owned();
    Ok(book)
}

fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    // Other tools of other users read this file; a temporary file is private.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "mainnet": {"chainId": 1, "Ocean": "0x967da4048cD07aB37855c090aAF366e4ce1b9F48", "veOCEAN": "x"},
        "development": {
            "chainId": 8996, "startBlock": 5,
            "Ocean": "0x0000000000000000000000000000000000000001",
            "Router": "0x0000000000000000000000000000000000000002",
            "FixedPrice": "0x0000000000000000000000000000000000000003",
            "Dispenser": "0x0000000000000000000000000000000000000004",
            "ERC721Factory": "0x0000000000000000000000000000000000000005",
            "ERC20Template": {"1": "0x0000000000000000000000000000000000000006"},
            "MockDAI": "0x0000000000000000000000000000000000000007"
        }
    }"#;

    #[test]
    fn other_networks_and_unknown_keys_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address.json");
        fs::write(&path, FILE).unwrap();
        let mut book = AddressBook::read(&path).unwrap();
        assert_eq!((book.chain_id, book.start_block), (8996, 5));
        assert_eq!(
            book.others["MockDAI"],
            "0x0000000000000000000000000000000000000007"
        );
        assert!(
            book.resale()
                .unwrap_err()
                .to_string()
                .contains("FixedPriceResale")
        );
        book.fixed_price_resale = Some(Address::repeat_byte(9));
        book.write(&path).unwrap();
        assert_eq!(AddressBook::read_chain(&path, 8996).unwrap(), book);
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(file["mainnet"]["veOCEAN"], "x");
        assert_eq!(file["development"]["chainId"], 8996);
    }

    #[test]
    fn faults_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address.json");
        assert!(matches!(
            AddressBook::read(&path),
            Err(AddressBookError::File { .. })
        ));
        fs::write(&path, FILE).unwrap();
        let error = AddressBook::read_chain(&path, 137).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has no chain 137; it has: development, mainnet"),
            "{error}"
        );
        let error = AddressBook::read_network(&path, "mainnet").unwrap_err();
        assert!(matches!(error, AddressBookError::Shape { .. }), "{error}");
    }
}
