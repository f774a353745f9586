//! The network as functions of flat parameters: forward, backward, and forward with a cache.
//!
//! There is one decoder for all families: what differs between them are options of `Config`, and the places of tensors
//! in `Layout`, which say which normalisation, bias and activation a block has.
//!
//! Activations are row-major `[tokens, width]`; queries, keys and values are head-major
//! `[sequences, heads, length, head width]`, so that one head of one sequence is contiguous.

mod activations;
mod attention;
mod backward;
mod block;
mod forward;
mod head;
mod heads;
mod session;

#[cfg(test)]
pub(crate) use activations::BlockActivations;
pub(crate) use activations::{Activations, Shape};
pub(crate) use backward::{BackwardBuffers, backward};
pub(crate) use forward::forward;
pub(crate) use head::{HEAD_ROWS, score_rows, score_rows_backward};
pub(crate) use session::Session;

#[cfg(test)]
mod tests;
