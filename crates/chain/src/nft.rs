//! A data NFT: metadata on chain, its key-value store (ERC-725Y), its roles.

use posthuman_types::{Address, B256, Bytes, U256, keccak256};

use crate::bindings::INft;
use crate::call::Call;
use crate::client::Chain;
use crate::error::ChainError;
use crate::publish::{DatatokenSpec, ercs};

/// The only token of each data NFT contract.
const TOKEN_ID: U256 = U256::ONE;

/// A data NFT of Ocean's template: one contract per asset.
#[derive(Clone, Debug)]
pub struct Nft {
    chain: Chain,
    address: Address,
}

/// Whether an asset is offered. The numbers are Ocean's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AssetState {
    /// Offered.
    Active = 0,
    /// At the end of its life.
    EndOfLife = 1,
    /// Replaced by another asset.
    Deprecated = 2,
    /// Withdrawn by its publisher.
    Revoked = 3,
    /// Orders are switched off, until the state changes.
    OrderingDisabled = 4,
    /// Not listed.
    Unlisted = 5,
}

/// Metadata (a DDO) as it is written on chain. It lives in the event alone; contracts cannot read it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Whether the asset is offered.
    pub state: AssetState,
    /// The node that can decrypt `data`.
    pub decryptor_url: String,
    /// That node's address, as text.
    pub decryptor_address: String,
    /// Ocean's flags: bit 0 compressed (LZMA), bit 1 encrypted.
    pub flags: Bytes,
    /// The document.
    pub data: Bytes,
    /// A SHA-256 that Ocean's indexers compare: of the document, or of its text in hex, as the tool that wrote it has it.
    pub hash: B256,
}

/// Who may do what with a data NFT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NftRoles {
    /// Gives roles to others.
    pub manager: bool,
    /// Creates and administers datatokens.
    pub deployer: bool,
    /// Writes metadata.
    pub metadata: bool,
    /// Writes the store.
    pub store: bool,
}

/// The key of the store under which a name's value stands, as Ocean's own client derives it: Keccak-256 of the name.
pub fn store_key(name: &str) -> B256 {
    keccak256(name)
}

impl Chain {
    /// The data NFT at an address. Asks nothing; see [`is_nft`](Self::is_nft).
    pub fn nft(&self, address: Address) -> Nft {
        Nft {
            chain: self.clone(),
            address,
        }
    }
}

/// Reads fail if the chain does not answer or the address is no data NFT.
impl Nft {
    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its name.
    ///
    /// # Errors
    /// See above.
    pub async fn name(&self) -> Result<String, ChainError> {
        self.chain.read(self.address, &INft::nameCall {}).await
    }

    /// Its symbol.
    ///
    /// # Errors
    /// See above.
    pub async fn symbol(&self) -> Result<String, ChainError> {
        self.chain.read(self.address, &INft::symbolCall {}).await
    }

    /// Who owns it.
    ///
    /// # Errors
    /// See above.
    pub async fn owner(&self) -> Result<Address, ChainError> {
        self.chain
            .read(self.address, &INft::ownerOfCall { tokenId: TOKEN_ID })
            .await
    }

    /// Whether it can change hands.
    ///
    /// # Errors
    /// See above.
    pub async fn transferable(&self) -> Result<bool, ChainError> {
        self.chain.read(self.address, &INft::transferableCall {}).await
    }

    /// Its datatokens.
    ///
    /// # Errors
    /// See above.
    pub async fn datatokens(&self) -> Result<Vec<Address>, ChainError> {
        self.chain.read(self.address, &INft::getTokensListCall {}).await
    }

    /// The number of its state, and whether metadata was ever written.
    ///
    /// # Errors
    /// See above.
    pub async fn state(&self) -> Result<(u8, bool), ChainError> {
        let metadata = self.chain.read(self.address, &INft::getMetaDataCall {}).await?;
        Ok((metadata._2, metadata._3))
    }

    /// The store's value under a name; empty if there is none.
    ///
    /// # Errors
    /// See above.
    pub async fn data(&self, name: &str) -> Result<Bytes, ChainError> {
        self.data_at(store_key(name)).await
    }

    /// The store's value under a key; empty if there is none.
    ///
    /// # Errors
    /// See above.
    pub async fn data_at(&self, key: B256) -> Result<Bytes, ChainError> {
        self.chain
            .read(self.address, &INft::getDataCall { _key: key })
            .await
    }

    /// What an account may do.
    ///
    /// # Errors
    /// See above.
    pub async fn roles(&self, user: Address) -> Result<NftRoles, ChainError> {
        let roles = self
            .chain
            .read(self.address, &INft::getPermissionsCall { user })
            .await?;
        Ok(NftRoles {
            manager: roles.manager,
            deployer: roles.deployERC20,
            metadata: roles.updateMetadata,
            store: roles.store,
        })
    }

    /// Writes metadata. For holders of that role. The first time emits `MetadataCreated`, later ones `MetadataUpdated`.
    pub fn set_metadata(&self, metadata: &Metadata) -> Call {
        let call = INft::setMetaDataCall {
            _metaDataState: metadata.state as u8,
            _metaDataDecryptorUrl: metadata.decryptor_url.clone(),
            _metaDataDecryptorAddress: metadata.decryptor_address.clone(),
            flags: metadata.flags.clone(),
            data: metadata.data.clone(),
            _metaDataHash: metadata.hash,
            _metadataProofs: Vec::new(),
        };
        self.call(
            &call,
            format!("writing the metadata of data NFT {}", self.address),
        )
    }

    /// Changes whether the asset is offered. For holders of the metadata role.
    pub fn set_state(&self, state: AssetState) -> Call {
        let label = format!("making the asset of data NFT {} {state:?}", self.address);
        self.call(
            &INft::setMetaDataStateCall {
                _metaDataState: state as u8,
            },
            label,
        )
    }

    /// Writes into the store under a name. For holders of the store role.
    pub fn set_data(&self, name: &str, value: Bytes) -> Call {
        let call = INft::setNewDataCall {
            _key: store_key(name),
            _value: value,
        };
        self.call(&call, format!("storing `{name}` in data NFT {}", self.address))
    }

    /// Creates a further datatoken. For holders of the deployer role. Its address is in the receipt's `TokenCreated`.
    pub fn create_datatoken(&self, datatoken: &DatatokenSpec) -> Call {
        let spec = ercs(datatoken);
        let call = INft::createERC20Call {
            _templateIndex: spec.templateIndex,
            strings: spec.strings,
            addresses: spec.addresses,
            uints: spec.uints,
            bytess: spec.bytess,
        };
        self.call(
            &call,
            format!(
                "creating datatoken {} for data NFT {}",
                datatoken.symbol, self.address
            ),
        )
    }

    /// Makes an account a manager. For the owner.
    pub fn add_manager(&self, account: Address) -> Call {
        let call = INft::addManagerCall {
            _managerAddress: account,
        };
        self.call(&call, self.role_label(account, "a manager"))
    }

    /// Ends that. For the owner.
    pub fn remove_manager(&self, account: Address) -> Call {
        let call = INft::removeManagerCall {
            _managerAddress: account,
        };
        self.call(&call, self.role_label(account, "no manager"))
    }

    /// Lets an account create and administer datatokens. For managers.
    pub fn add_deployer(&self, account: Address) -> Call {
        let call = INft::addToCreateERC20ListCall {
            _allowedAddress: account,
        };
        self.call(&call, self.role_label(account, "a deployer"))
    }

    /// Ends that. For managers, and for the account itself.
    pub fn remove_deployer(&self, account: Address) -> Call {
        let call = INft::removeFromCreateERC20ListCall {
            _allowedAddress: account,
        };
        self.call(&call, self.role_label(account, "no deployer"))
    }

    /// Lets an account write metadata. For managers.
    pub fn add_metadata_updater(&self, account: Address) -> Call {
        let call = INft::addToMetadataListCall {
            _allowedAddress: account,
        };
        self.call(&call, self.role_label(account, "a metadata updater"))
    }

    /// Ends that. For managers, and for the account itself.
    pub fn remove_metadata_updater(&self, account: Address) -> Call {
        let call = INft::removeFromMetadataListCall {
            _allowedAddress: account,
        };
        self.call(&call, self.role_label(account, "no metadata updater"))
    }

    /// Lets an account write the store. For managers.
    pub fn add_store_updater(&self, account: Address) -> Call {
        let call = INft::addTo725StoreListCall {
            _allowedAddress: account,
        };
        self.call(&call, self.role_label(account, "a store updater"))
    }

    /// Ends that. For managers, and for the account itself.
    pub fn remove_store_updater(&self, account: Address) -> Call {
        let call = INft::removeFrom725StoreListCall {
            _allowedAddress: account,
        };
        self.call(&call, self.role_label(account, "no store updater"))
    }

    /// Gives the data NFT to another. **Wipes every role and every minter, and makes the new owner the payment
    /// collector of every datatoken**, so agreed royalties end.
    pub fn transfer(&self, from: Address, to: Address) -> Call {
        let call = INft::transferFromCall {
            from,
            to,
            tokenId: TOKEN_ID,
        };
        self.call(&call, format!("giving data NFT {} to {to}", self.address))
    }

    fn role_label(&self, account: Address, role: &str) -> String {
        format!("making {account} {role} of data NFT {}", self.address)
    }

    fn call<C: alloy::sol_types::SolCall>(&self, call: &C, label: String) -> Call {
        Call::contract(self.address, call, label)
    }
}
