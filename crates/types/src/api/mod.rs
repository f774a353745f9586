//! Bodies of the market's HTTP dialect, shared by node and client.
//!
//! All paths start with `/api/v1`. JSON fields are in snake case; amounts are decimal strings of base units, times are
//! seconds since 1970 (Unix time), digests and addresses are `0x` hexadecimal. Field order carries no meaning.
//! Only additions are made within a version; a client ignores fields it does not know.

mod asset;
mod error;
mod job;
mod model;
mod node;
mod quote;
mod sale;
mod session;
mod upload;

pub use asset::{
    Allowances, Asset, AssetKind, AssetPage, AssetQuery, BirthMint, Lineage, LineageStep, Payee, Price,
    Royalties,
};
pub use error::{ErrorBody, ErrorDetail};
pub use job::{InputReference, Job, JobEvent, JobFailure, JobPage, Order, OrderState, OutputFile, StartJob};
pub use model::{GGUF_FILE, ImportModel, ImportedModel, MODEL_FILES, WEIGHTS_FILE};
pub use node::{Contracts, Fees, Health, NodeInfo, NodeLimits, Operations};
pub use quote::{ProviderFee, Quote, QuoteRequest};
pub use sale::{OpenSale, Sale};
pub use session::{AccessToken, NextNonce, SignIn};
pub use upload::{CreateUpload, Upload};
