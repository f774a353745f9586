//! Solidity interfaces of the Ocean contracts, written by hand: what is used and no more.
//!
//! Names, types, indexing and mutability are those of `@oceanprotocol/contracts` 2.6.0 (and of 1.1.15 for side staking
//! and the resale exchange); a test compares every one of them with the installed artifacts. Building needs neither.
//! The typed handles of this crate are the intended way to use them.
#![allow(missing_docs)] // The items are named by Solidity; what they mean stands at the handles that use them.
#![allow(clippy::too_many_arguments)] // The macro makes constructors of events and structs with as many as Solidity has.

mod datatoken;
mod dispenser;
mod enterprise;
mod erc1271;
mod erc20;
mod factory;
mod fixed_rate;
mod nft;
mod pool;
mod router;
mod side_staking;
mod splitter;

pub use datatoken::IDatatoken;
pub use dispenser::IDispenser;
pub use enterprise::IEnterpriseFeeCollector;
pub use erc20::{IErc20, IOceanToken};
pub use erc1271::IErc1271;
pub use factory::INftFactory;
pub use fixed_rate::IFixedRate;
pub use nft::INft;
pub use pool::IPool;
pub use router::IRouter;
pub use side_staking::ISideStaking;
pub use splitter::ISplitter;
