//! A private chain for development: anvil, with Ocean's contracts deployed on it from the pinned packages.
//!
//! The chain id is 8996, which Ocean's own tools take for a devnet. Accounts and their keys are public knowledge.
//! The router takes a part of provider fees ([`PROVIDER_FEE_SHARE`]), so that gross and net differ as on real networks.

mod accounts;
mod anvil;
mod artifacts;
mod cache;
mod deploy;
mod error;
mod orphan;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::providers::Provider;
use posthuman_types::{Address, U256};

pub use accounts::{ALICE, BOB, CHARLIE, DEREK, ELENA, NODE, OWNER, account};
pub use artifacts::{Artifacts, Version, contracts_folder, find_anvil};
pub use error::DevnetError;

use crate::address_book::{AddressBook, DEVELOPMENT};
use crate::bindings::{IOceanToken, IRouter};
use crate::call::Call;
use crate::client::{Chain, ChainOptions};
use anvil::{Anvil, AnvilOptions};

/// The chain id of every devnet.
pub const CHAIN_ID: u64 = 8996;
/// The router's share of provider fees on a devnet, times 10^18: 0.1 %.
pub const PROVIDER_FEE_SHARE: u64 = 1_000_000_000_000_000;

/// How to start a devnet.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// The folder `contracts/` with its packages installed.
    pub contracts: PathBuf,
    /// The anvil binary; otherwise the one in the packages, or in `PATH`.
    pub anvil: Option<PathBuf>,
    /// The port of its RPC on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// Where the chain is kept; nothing for a chain that is forgotten.
    pub data: Option<PathBuf>,
    /// Seconds between blocks that are made without transactions; transactions get blocks at once in any case.
    ///
    /// Some clients (ethers) wait for a next block that would otherwise never come.
    pub mine_every: Option<u64>,
    /// Where deployed chains are kept for the next start; nothing to deploy anew.
    pub cache: Option<PathBuf>,
}

impl DevnetOptions {
    /// For tests: any free port, nothing kept, no idle blocks, and a cached deployment.
    pub fn ephemeral() -> Self {
        let contracts = contracts_folder();
        let cache = Some(cache_folder(&contracts));
        Self {
            contracts,
            anvil: None,
            port: 0,
            data: None,
            mine_every: None,
            cache,
        }
    }

    /// For people: kept in `data` across restarts, with a block every second for clients that wait for one.
    pub fn kept(data: PathBuf, port: u16) -> Self {
        Self {
            port,
            data: Some(data),
            mine_every: Some(1),
            ..Self::ephemeral()
        }
    }
}

/// A running devnet. Dropping it ends anvil, and anvil ends if this process is killed.
#[derive(Debug)]
pub struct Devnet {
    chain: Chain,
    url: String,
    address_file: PathBuf,
    // Fields drop in this order: anvil first, then the folder its log is in.
    anvil: Anvil,
    _scratch: Option<tempfile::TempDir>,
}

impl Devnet {
    /// Starts anvil and deploys the contracts, unless the kept chain has them.
    ///
    /// With `data`, the chain is in `DATA/devnet/` and the address file is `DATA/address.json`.
    ///
    /// # Errors
    /// Packages or anvil not installed, the port taken, files that cannot be written, or a failed deployment.
    pub async fn start(options: DevnetOptions) -> Result<Self, DevnetError> {
        let binary = match &options.anvil {
            Some(binary) if binary.is_file() => binary.clone(),
            Some(binary) => {
                return Err(DevnetError::AnvilMissing {
                    looked: binary.clone(),
                });
            }
            None => find_anvil(&options.contracts)?,
        };
        let place = Place::open(options.data.as_deref())?;
        let fresh = place.state.as_ref().is_none_or(|state| !state.exists());
        let cached = match &options.cache {
            Some(cache) if fresh => Some(cache::deployed(&options.contracts, cache, &binary).await?),
            _ => None,
        };
        if let (Some(cached), Some(state)) = (&cached, &place.state) {
            copy_whole(&cached.state, state)?;
        }
        let anvil = Anvil::start(AnvilOptions {
            binary,
            chain_id: CHAIN_ID,
            port: options.port,
            mine_every: options.mine_every,
            load: cached
                .as_ref()
                .filter(|_| place.state.is_none())
                .map(|cached| cached.state.clone()),
            state: place.state.clone(),
            log: place.log.clone(),
        })
        .await?;
        let url = format!("http://127.0.0.1:{}", anvil.port());
        let book = match cached {
            Some(cached) => cached.book,
            None => find_or_deploy(anvil.port(), &options.contracts, &place).await?,
        };
        book.write(&place.address_file)?;
        book.write(&place.address_copy)?;
        let chain = open(&url, book)?;
        Ok(Self {
            chain,
            url,
            address_file: place.address_file,
            anvil,
            _scratch: place.scratch,
        })
    }

    /// The address of its RPC.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of its RPC.
    pub fn port(&self) -> u16 {
        self.anvil.port()
    }

    /// A connection to it.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The file with the contracts' addresses.
    pub fn address_file(&self) -> &Path {
        &self.address_file
    }

    /// Whether anvil still runs.
    pub fn is_running(&self) -> bool {
        self.anvil.is_running()
    }

    /// Ends anvil and waits until its state is written, without blocking the caller's thread.
    pub async fn stop(self) {
        // A panic in there is reported by the thread itself.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// Gives an address OCEAN (minted by the contracts' owner) and ether (added to what it has), on a devnet only.
///
/// # Errors
/// Another chain than a devnet, or no answer.
pub async fn fund(chain: &Chain, to: Address, ocean: U256, ether: U256) -> Result<(), DevnetError> {
    if chain.id() != CHAIN_ID {
        return Err(DevnetError::NotADevnet { chain_id: chain.id() });
    }
    let failed = |source| DevnetError::Funding(Box::new(source));
    if !ether.is_zero() {
        let balance = chain.balance(to).await.map_err(failed)?.saturating_add(ether);
        let set = || {
            chain
                .provider()
                .raw_request::<_, ()>("anvil_setBalance".into(), (to, balance))
        };
        chain.ask("setting a balance", set).await.map_err(failed)?;
    }
    if !ocean.is_zero() {
        let label = format!("minting {ocean} OCEAN units for {to}");
        let mint = Call::contract(
            chain.address_book().ocean,
            &IOceanToken::mintCall { to, amount: ocean },
            label,
        );
        chain.send(&account(OWNER), mint).await.map_err(failed)?;
    }
    Ok(())
}

/// Where a devnet's files are.
struct Place {
    state: Option<PathBuf>,
    log: PathBuf,
    address_file: PathBuf,
    /// Stays beside the state when somebody takes the address file away or writes another over it.
    address_copy: PathBuf,
    scratch: Option<tempfile::TempDir>,
}

impl Place {
    fn open(data: Option<&Path>) -> Result<Self, DevnetError> {
        let Some(data) = data else {
            let scratch = tempfile::tempdir().map_err(|source| file_error(&std::env::temp_dir(), source))?;
            let file = |name: &str| scratch.path().join(name);
            let (log, address_file) = (file("anvil.log"), file("address.json"));
            return Ok(Self {
                state: None,
                log,
                address_file,
                address_copy: file("copy.json"),
                scratch: Some(scratch),
            });
        };
        let folder = data.join("devnet");
        fs::create_dir_all(&folder).map_err(|source| file_error(&folder, source))?;
        Ok(Self {
            state: Some(folder.join("state.json")),
            log: folder.join("anvil.log"),
            address_file: data.join("address.json"),
            address_copy: folder.join("address.json"),
            scratch: None,
        })
    }
}

/// The contracts of an address file if they are on this chain; otherwise new ones.
async fn find_or_deploy(port: u16, contracts: &Path, place: &Place) -> Result<AddressBook, DevnetError> {
    for file in [&place.address_file, &place.address_copy] {
        let Ok(book) = AddressBook::read_network(file, DEVELOPMENT) else {
            continue;
        };
        if stands(port, &book).await? {
            return Ok(book);
        }
    }
    let artifacts = Artifacts::open(contracts)?;
    deploy::deploy(&bare_chain(port)?, &account(OWNER), &artifacts).await
}

/// Whether the router of an address book is on this chain and knows the book's factory.
async fn stands(port: u16, book: &AddressBook) -> Result<bool, DevnetError> {
    let failed = |source| DevnetError::Deployment {
        step: "looking for the contracts".into(),
        source: Box::new(source),
    };
    let chain = open(&format!("http://127.0.0.1:{port}"), book.clone())?;
    if !chain.is_contract(book.router).await.map_err(failed)? {
        return Ok(false);
    }
    Ok(chain
        .read(book.router, &IRouter::factoryCall {})
        .await
        .is_ok_and(|factory| factory == book.nft_factory))
}

/// A chain without contracts yet.
fn bare_chain(port: u16) -> Result<Chain, DevnetError> {
    let nowhere = AddressBook {
        network: DEVELOPMENT.to_owned(),
        chain_id: CHAIN_ID,
        start_block: 0,
        ocean: Address::ZERO,
        router: Address::ZERO,
        fixed_price: Address::ZERO,
        fixed_price_resale: None,
        dispenser: Address::ZERO,
        nft_factory: Address::ZERO,
        side_staking: None,
        pool_template: None,
        community_fee_collector: None,
        nft_templates: Default::default(),
        datatoken_templates: Default::default(),
        others: Default::default(),
    };
    open(&format!("http://127.0.0.1:{port}"), nowhere)
}

/// Blocks come at once on a devnet, so receipts are looked for often.
fn open(url: &str, book: AddressBook) -> Result<Chain, DevnetError> {
    let options = ChainOptions {
        receipt_deadline: Duration::from_secs(60),
        poll_interval: Duration::from_millis(5),
    };
    Chain::open(url, book, options).map_err(|source| DevnetError::Deployment {
        step: "connecting".into(),
        source: Box::new(source),
    })
}

fn cache_folder(contracts: &Path) -> PathBuf {
    contracts.join("node_modules/.cache/posthuman-devnet")
}

fn copy_whole(from: &Path, to: &Path) -> Result<(), DevnetError> {
    let unfinished = to.with_extension("unfinished");
    fs::copy(from, &unfinished).map_err(|source| file_error(&unfinished, source))?;
    fs::rename(&unfinished, to).map_err(|source| file_error(to, source))
}

fn file_error(path: &Path, source: std::io::Error) -> DevnetError {
    DevnetError::File {
        path: path.to_owned(),
        source,
    }
}
