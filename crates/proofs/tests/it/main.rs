//! Integration tests of the room `proofs`.

mod commitments;
mod fixtures;
mod receipts;
mod statements;
mod vectors;
