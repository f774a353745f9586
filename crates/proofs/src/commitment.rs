//! Commitments to models: scheme `salted-merkle-keccak256/1`.
//!
//! A root binds the architecture (digest of `config.json`), the tokenizer (digest of `tokenizer.json`) and every
//! weight, in canonical order of tensors. `‖` is concatenation, integers are 8 bytes big-endian, H is Keccak-256:
//!
//! ```text
//! salt of leaf i  = H(0x04 ‖ the model's secret salt ‖ i)
//! leaf 0          = H(0x02 ‖ salt of leaf 0 ‖ config ‖ tokenizer)
//! leaf i ≥ 1      = H(0x00 ‖ salt of leaf i ‖ length of name ‖ name ‖ number of dimensions ‖ dimensions ‖ offset ‖ bytes)
//! node            = H(0x01 ‖ left ‖ right)
//! root            = H(0x03 ‖ number of leaves ‖ top node)
//! ```
//!
//! A tensor's values are little-endian f32, cut into leaves of [`LEAF_BYTES`]; a leaf never spans two tensors, and the
//! offset counts bytes from the tensor's start. A tensor without elements has one leaf without bytes, so that its name
//! and shape are bound too. A node without a partner rises to the next level unchanged; since the root binds the number
//! of leaves, the shape of the tree is fixed and no two lists of leaves share a root (first byte of every hash: domain
//! separation, as in RFC 6962).
//!
//! Without the salt a root would confirm a guess of the weights for ever. With it, a root neither confirms guesses nor
//! shows that two models are equal: comparing models means committing both under one salt.

use std::collections::HashSet;

use alloy_primitives::Keccak256;
use posthuman_types::{B256, Bytes, Commitment, Digest, keccak256};
use zeroize::Zeroizing;

use crate::opening::{LeafContent, Opening, verify_opening};
use crate::salt::Salt;

/// Name and version of the scheme.
pub const SCHEME: &str = "salted-merkle-keccak256/1";

/// Tensor bytes in one leaf (the last of a tensor may hold fewer): 4,096 values.
pub const LEAF_BYTES: usize = 16 * 1024;

const TENSOR_LEAF: u8 = 0x00;
const NODE: u8 = 0x01;
const HEADER_LEAF: u8 = 0x02;
const ROOT: u8 = 0x03;

/// What a commitment binds besides the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Keccak-256 of the model's `config.json`.
    pub config: Digest,
    /// Keccak-256 of the model's `tokenizer.json`, as statements and receipts name it.
    pub tokenizer: Digest,
}

impl Header {
    /// Hashes the two files.
    pub fn describe(config_json: &[u8], tokenizer_json: &[u8]) -> Self {
        Self {
            config: keccak256(config_json),
            tokenizer: keccak256(tokenizer_json),
        }
    }
}

/// A tensor that cannot be committed to, or a leaf that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitmentError {
    /// The bytes do not fill the shape.
    #[error("tensor `{name}` of shape {shape:?} holds {found} bytes, which is not 4 for each element")]
    Size {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that were given.
        found: usize,
    },
    /// A second tensor of the same name.
    #[error("tensor `{name}` comes twice: a model names each tensor once")]
    Duplicate {
        /// Name of the tensor.
        name: String,
    },
    /// No such leaf.
    #[error("leaf {index} does not exist: the commitment has {leaves} leaves")]
    NoLeaf {
        /// Index that was asked for.
        index: u64,
        /// Number of leaves.
        leaves: u64,
    },
    /// The bytes or the salt are not those that were committed to.
    #[error("leaf {index} was not made from these bytes and this salt")]
    OtherLeaf {
        /// Index of the leaf.
        index: u64,
    },
}

/// Computes a commitment tensor by tensor.
///
/// Order matters and is the caller's: the canonical order of tensors is the engine's. Holds 32 bytes for each leaf,
/// not the weights.
#[derive(Debug)]
pub struct CommitmentBuilder {
    salt: Salt,
    header: Header,
    leaves: Vec<Digest>,
    tensors: Vec<Span>,
    names: HashSet<String>,
}

/// The leaves of one tensor.
#[derive(Debug)]
struct Span {
    name: String,
    shape: Vec<u64>,
    bytes: u64,
    first_leaf: u64,
}

impl CommitmentBuilder {
    /// Begins with the header leaf.
    pub fn new(salt: &Salt, header: &Header) -> Self {
        Self {
            salt: salt.clone(),
            header: *header,
            leaves: vec![header_leaf(&salt.leaf(0), &header.config, &header.tokenizer)],
            tensors: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Adds a tensor. `shape` counts elements along each axis; `bytes` are its values in row-major order, little-endian
    /// f32.
    ///
    /// # Errors
    /// Bytes that do not fill the shape, or a name that came before. The builder is unchanged then.
    pub fn tensor(&mut self, name: &str, shape: &[usize], bytes: &[u8]) -> Result<(), CommitmentError> {
        let mut span = self.span(name, shape, bytes.len())?;
        for chunk in bytes.chunks(LEAF_BYTES) {
            self.leaf(&mut span, chunk);
        }
        self.end(span);
        Ok(())
    }

    /// Adds a tensor by its values; the same as [`CommitmentBuilder::tensor`] of their little-endian bytes.
    ///
    /// # Errors
    /// Values that do not fill the shape, or a name that came before. The builder is unchanged then.
    pub fn tensor_values(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<(), CommitmentError> {
        let mut span = self.span(name, shape, values.len().saturating_mul(4))?;
        let mut buffer = Zeroizing::new(vec![0; LEAF_BYTES.min(values.len() * 4)]);
        for chunk in values.chunks(LEAF_BYTES / 4) {
            for (place, value) in buffer.chunks_exact_mut(4).zip(chunk) {
                place.copy_from_slice(&value.to_le_bytes());
            }
            self.leaf(&mut span, &buffer[..chunk.len() * 4]);
        }
        self.end(span);
        Ok(())
    }

    /// Builds the tree over all leaves.
    pub fn finish(self) -> CommitmentTree {
        let leaves = self.leaves.len() as u64;
        let mut levels = Vec::new();
        let mut level = self.leaves;
        while level.len() > 1 {
            let above = level.chunks(2).map(|pair| {
                if let [left, right] = pair {
                    node(left, right)
                } else {
                    pair[0]
                }
            });
            let above = above.collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        CommitmentTree {
            header: self.header,
            tensors: self.tensors,
            root: root(leaves, &level[0]),
            levels,
        }
    }

    fn span(&self, name: &str, shape: &[usize], found: usize) -> Result<Span, CommitmentError> {
        let expected = shape
            .iter()
            .try_fold(4_usize, |product, axis| product.checked_mul(*axis));
        if expected != Some(found) {
            return Err(CommitmentError::Size {
                name: name.to_owned(),
                shape: shape.to_vec(),
                found,
            });
        }
        if self.names.contains(name) {
            return Err(CommitmentError::Duplicate {
                name: name.to_owned(),
            });
        }
        let shape = shape.iter().map(|axis| *axis as u64).collect();
        Ok(Span {
            name: name.to_owned(),
            shape,
            bytes: 0,
            first_leaf: self.leaves.len() as u64,
        })
    }

    fn leaf(&mut self, span: &mut Span, chunk: &[u8]) {
        let leaf_salt = self.salt.leaf(self.leaves.len() as u64);
        self.leaves.push(tensor_leaf(
            &leaf_salt,
            &span.name,
            &span.shape,
            span.bytes,
            chunk,
        ));
        span.bytes += chunk.len() as u64;
    }

    fn end(&mut self, mut span: Span) {
        if span.bytes == 0 {
            self.leaf(&mut span, &[]);
        }
        self.names.insert(span.name.clone());
        self.tensors.push(span);
    }
}

/// Commits to a whole model at once: `tensors` gives name, shape and values in canonical order.
///
/// # Errors
/// As [`CommitmentBuilder::tensor_values`].
pub fn commit<'a>(
    salt: &Salt,
    header: &Header,
    tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>,
) -> Result<Commitment, CommitmentError> {
    let mut builder = CommitmentBuilder::new(salt, header);
    for (name, shape, values) in tensors {
        builder.tensor_values(name, shape, values)?;
    }
    Ok(builder.finish().commitment())
}

/// The finished tree: it gives the commitment and opens leaves.
#[derive(Debug)]
pub struct CommitmentTree {
    header: Header,
    tensors: Vec<Span>,
    root: Digest,
    /// Leaves first; without the top node. Empty for a tree of one leaf, whose top is the leaf.
    levels: Vec<Vec<Digest>>,
}

/// What a leaf holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafLocation<'tree> {
    /// The digests of configuration and tokenizer.
    Header,
    /// Part of a tensor.
    Tensor {
        /// Name of the tensor.
        name: &'tree str,
        /// Where the part begins, in bytes from the tensor's start.
        offset: u64,
        /// How many bytes it has.
        length: u64,
    },
}

impl CommitmentTree {
    /// The commitment.
    pub fn commitment(&self) -> Commitment {
        Commitment {
            scheme: SCHEME.to_owned(),
            root: self.root,
        }
    }

    /// Number of leaves, the header leaf among them.
    pub fn leaf_count(&self) -> u64 {
        self.levels.first().map_or(1, |leaves| leaves.len() as u64)
    }

    /// What leaf `index` holds; nothing beyond the last.
    pub fn locate(&self, index: u64) -> Option<LeafLocation<'_>> {
        if index >= self.leaf_count() {
            return None;
        }
        Some(
            self.span_of(index)
                .map_or(LeafLocation::Header, |(span, offset)| LeafLocation::Tensor {
                    name: &span.name,
                    offset,
                    length: (span.bytes - offset).min(LEAF_BYTES as u64),
                }),
        )
    }

    /// Opens leaf `index`: proves to a holder of the commitment what it holds. `bytes` are those that
    /// [`CommitmentTree::locate`] names (none for the header).
    ///
    /// An opening shows that part of the weights and its leaf's salt, and nothing else of either.
    ///
    /// # Errors
    /// An index beyond the last leaf; bytes or a salt that the leaf was not made from.
    pub fn open(&self, salt: &Salt, index: u64, bytes: &[u8]) -> Result<Opening, CommitmentError> {
        let leaves = self.leaf_count();
        if index >= leaves {
            return Err(CommitmentError::NoLeaf { index, leaves });
        }
        let content = match self.span_of(index) {
            None => LeafContent::Header {
                config: self.header.config,
                tokenizer: self.header.tokenizer,
            },
            Some((span, offset)) => LeafContent::Tensor {
                name: span.name.clone(),
                shape: span.shape.clone(),
                offset,
                bytes: Bytes::copy_from_slice(bytes),
            },
        };
        let siblings = self.siblings(index);
        let opening = Opening {
            index,
            leaves,
            salt: salt.leaf(index),
            content,
            siblings,
        };
        match verify_opening(&self.commitment(), &opening) {
            Ok(()) => Ok(opening),
            Err(_) => Err(CommitmentError::OtherLeaf { index }),
        }
    }

    fn span_of(&self, index: u64) -> Option<(&Span, u64)> {
        let after = self.tensors.partition_point(|span| span.first_leaf <= index);
        let span = &self.tensors[after.checked_sub(1)?];
        Some((span, (index - span.first_leaf) * LEAF_BYTES as u64))
    }

    fn siblings(&self, index: u64) -> Vec<Digest> {
        let place = |depth: usize| (index >> depth) as usize ^ 1;
        self.levels
            .iter()
            .enumerate()
            .filter_map(|(depth, level)| level.get(place(depth)).copied())
            .collect()
    }
}

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
