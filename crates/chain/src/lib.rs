//! Ocean's contracts as typed calls, wallets, the chain's events, and a devnet to run it all on.
//!
//! - [`Chain`] is a connection to one chain with its [`AddressBook`]; typed handles hang on it ([`Nft`], [`Datatoken`],
//!   [`Token`], [`FixedRate`], [`GiveAway`], [`Pool`], [`Splitter`]). Reads are async methods; **every write is a
//!   [`Call`]**, a value that says what a transaction would do.
//! - [`Chain::send`] executes a call for a user: simulated first, so that a refusal costs nothing and comes as a
//!   sentence. [`Chain::prepare`], [`Chain::broadcast`] and [`Chain::receipt`] are its three steps for those who must
//!   store a signed transaction before it leaves.
//! - [`Wallet`] holds a key and never shows it.
//! - [`EventCursor`] reads logs in order.
//! - [`shares`] is the arithmetic of rewards, without a chain.
//! - [`devnet`] starts anvil and deploys the contracts from the pinned packages in `contracts/`.
//!
//! What this crate does not know: databases, HTTP, DDOs, jobs. It follows no reorganisation: it reads the newest block.
//!
//! Amounts are base units (`U256`), addresses and hashes are those of [`posthuman_types`].

pub mod address_book;
pub mod bindings;
pub mod call;
pub mod client;
pub mod datatoken;
pub mod devnet;
pub mod dispenser;
mod endpoint;
pub mod error;
pub mod events;
pub mod exchange;
pub mod fee;
mod keystore;
pub mod nft;
pub mod order;
pub mod pool;
pub mod publish;
pub mod renewal;
pub mod revert;
pub mod reward;
pub mod shares;
pub mod token;
pub mod transaction;
pub mod wallet;

pub use address_book::{AddressBook, AddressBookError};
pub use call::Call;
pub use client::{Chain, ChainOptions};
pub use datatoken::{Datatoken, DatatokenRoles, MarketFee};
pub use devnet::{Devnet, DevnetError, DevnetOptions};
pub use dispenser::{DispenserStatus, GiveAway};
pub use endpoint::is_loopback;
pub use error::ChainError;
pub use events::{Event, EventCursor, EventPage, EventQuery, EventRecord};
pub use exchange::{ConsumeMarket, Exchange, FixedRate, Quote};
pub use fee::{provider_fee_signer, sign_provider_fee};
pub use keystore::WalletError;
pub use nft::{AssetState, Metadata, Nft, NftRoles, store_key};
pub use order::{Execution, ExecutionRecord, OrderRecord};
pub use pool::{Pool, PoolQuote};
pub use publish::{DatatokenSpec, DispenserSpec, FixedRateSpec, NftSpec, PoolSpec, Published};
pub use renewal::Renewal;
pub use revert::Revert;
pub use reward::{Payment, Splitter, SplitterCode};
pub use shares::{Collector, ParentAtBirth, birth_mint, collector_shares};
pub use token::{Token, TokenAmount};
pub use transaction::{Receipt, SignedTransaction};
pub use wallet::Wallet;
