//! Jobs: the state machine and its queue, the vault with the sealed weights, the worker process and the engine that
//! runs it, and re-runs.
//!
//! A job is a directory and a worker is a pure function of it: `job.json` and `inputs/` go in, `outputs/`,
//! `progress.jsonl` and `statement.json` come out. Weights reach a worker sealed, through an inherited descriptor, and
//! leave it sealed; between them they exist only in the worker's memory. This crate never talks to the chain.

pub mod break_point;
pub mod engine;
pub mod error;
mod handover;
mod launcher;
pub mod machine;
mod numerics;
mod protocol;
pub mod queue;
pub mod rerun;
pub mod sandbox;
pub mod stage;
mod task;
pub mod vault;
pub mod worker;

pub use error::JobsError;
pub use numerics::EngineError;
/// Name of the engine and its numerics in f32, for those who may not name the engine's crate.
pub use posthuman_lm::engine_version;
