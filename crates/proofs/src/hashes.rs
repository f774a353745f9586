//! The hashes of the scheme; [`crate::commitment`] says what each binds.

use alloy_primitives::Keccak256;
use posthuman_types::{B256, Digest};

const TENSOR_LEAF: u8 = 0x00;
const NODE: u8 = 0x01;
const HEADER_LEAF: u8 = 0x02;
const ROOT: u8 = 0x03;

pub(crate) fn header_leaf(leaf_salt: &B256, config: &Digest, tokenizer: &Digest) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([HEADER_LEAF]);
    hasher.update(leaf_salt);
    hasher.update(config);
    hasher.update(tokenizer);
    hasher.finalize()
}

pub(crate) fn tensor_leaf(leaf_salt: &B256, name: &str, shape: &[u64], offset: u64, bytes: &[u8]) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([TENSOR_LEAF]);
    hasher.update(leaf_salt);
    hasher.update((name.len() as u64).to_be_bytes());
    hasher.update(name.as_bytes());
    hasher.update((shape.len() as u64).to_be_bytes());
    for axis in shape {
        hasher.update(axis.to_be_bytes());
    }
    hasher.update(offset.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([NODE]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize()
}

pub(crate) fn root(leaves: u64, top: &Digest) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([ROOT]);
    hasher.update(leaves.to_be_bytes());
    hasher.update(top);
    hasher.finalize()
}
