//! Signing in: one signature for many reads.

use alloy_primitives::{Address, Bytes};
use serde::{Deserialize, Serialize};

/// `GET /nonces/{address}`: the nonce that the address signs next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextNonce {
    /// One more than the last nonce that was used.
    pub nonce: u64,
}

/// `POST /sign-in`: proves that the caller holds the key of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The address.
    pub address: Address,
    /// A nonce larger than every one used before.
    pub nonce: u64,
    /// EIP-191 signature (or ERC-1271, for a contract) over [`SignIn::message`].
    pub signature: Bytes,
}

impl SignIn {
    /// The text that is signed, for a node's wallet on a chain.
    pub fn message(node: Address, chain_id: u64, address: Address, nonce: u64) -> String {
        format!("Sign in to the Posthuman node {node}\nchain: {chain_id}\naddress: {address}\nnonce: {nonce}")
    }
}

/// A token for the `Authorization: Bearer` header of requests that are private to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// The token.
    pub token: String,
    /// The address it stands for.
    pub address: Address,
    /// When it ends.
    pub expires_at: u64,
}
