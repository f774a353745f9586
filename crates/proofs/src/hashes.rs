//! The hashes of the scheme; [`crate::commitment`] says what each binds.

use alloy_primitives::Keccak256;
use posthuman_types::{B256, Digest};

const TENSOR_LEAF: u8 = 0x00;
const NODE: u8 = 0x01;
const HEADER_LEAF: u8 = 0x02;
const ROOT: u8 = 0x03;
// 0x04 salts leaves.
const STORED_LEAF: u8 = 0x05;

pub(crate) fn header_leaf(leaf_salt: &B256, config: &Digest, tokenizer: &Digest) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([HEADER_LEAF]);
    hasher.update(leaf_salt);
    hasher.update(config);
    hasher.update(tokenizer);
    hasher.finalize()
}

/// Where a leaf stands in its tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [u64],
    pub(crate) offset: u64,
}

pub(crate) fn tensor_leaf(leaf_salt: &B256, part: &Part<'_>, bytes: &[u8]) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([TENSOR_LEAF]);
    hasher.update(leaf_salt);
    hash_part(&mut hasher, part, bytes);
    hasher.finalize()
}

pub(crate) fn stored_leaf(
    leaf_salt: &B256,
    kind: &str,
    length: u64,
    part: &Part<'_>,
    bytes: &[u8],
) -> Digest {
    let mut hasher = Keccak256::new();
    hasher.update([STORED_LEAF]);
    hasher.update(leaf_salt);
    hasher.update((kind.len() as u64).to_be_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(length.to_be_bytes());
    hash_part(&mut hasher, part, bytes);
    hasher.finalize()
}

fn hash_part(hasher: &mut Keccak256, part: &Part<'_>, bytes: &[u8]) {
    hasher.update((part.name.len() as u64).to_be_bytes());
    hasher.update(part.name.as_bytes());
    hasher.update((part.shape.len() as u64).to_be_bytes());
    for axis in part.shape {
        hasher.update(axis.to_be_bytes());
    }
    hasher.update(part.offset.to_be_bytes());
    hasher.update(bytes);
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
