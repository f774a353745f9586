//! posthuman-chain
pub mod address_book;
pub mod bindings;
pub mod call;
pub mod client;
pub mod error;
pub mod revert;
pub mod transaction;
pub mod wallet;
pub use address_book::AddressBook;
pub use call::Call;
pub use client::{Chain, ChainOptions};
pub use error::ChainError;
pub use transaction::{Receipt, SignedTransaction};
pub use wallet::{Wallet, WalletError};
