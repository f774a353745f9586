//! What an asset says about itself: DDOs and their services, the facts of models in them, the record in the data NFT's
//! store, and the sealing of what must not be public.
//!
//! - [`did`]: how a DID follows from a data NFT and a chain.
//! - [`ddo`]: Ocean's DDO, version 4, read from anybody and written by [`listing`].
//! - [`published`]: a DDO as the chain carries it.
//! - [`facts`]: what Posthuman adds to a DDO: architecture, commitment, allowances, lineage.
//! - [`lineage`]: keys and values of the data NFT's ERC-725Y store.
//! - [`encrypt`]: sealing of the files objects of services.
//!
//! This room is pure: it knows neither SQL nor chain nor engine, and fetches nothing.

mod checksummed;
pub mod ddo;
pub mod did;
pub mod encrypt;
pub mod facts;
pub mod lineage;
pub mod listing;
pub mod published;
mod rules;
pub mod timestamp;

pub use ddo::{
    Algorithm, Compute, Container, Ddo, DdoError, MAX_DDO_BYTES, Metadata, Service, TrustedAlgorithm, VERSION,
};
pub use did::did_for;
pub use encrypt::{DocumentsKey, EncryptError, FileObject, FilesObject, open_files, seal_files};
pub use facts::{
    ArchitectureFacts, AssetFacts, Baseline, BlankFacts, Lineage, ModelFacts, OperationFacts, Origin, Parent,
};
pub use lineage::{
    LineageError, LineageRecord, commitment_key, decode_address, decode_commitment, decode_digest,
    encode_address, encode_commitment, encode_digest, key, lineage_key, node_key, publication_key,
    receipt_key, receipt_name, receipt_signer_key,
};
pub use listing::{Listing, TrustedOperation, blank_ddo, model_ddo, operation_ddo};
pub use posthuman_types::api::Allowances;
pub use published::{Published, read_published};
pub use timestamp::timestamp;
