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

use posthuman_types::{Commitment, Digest, ErrorClass, keccak256};
use zeroize::Zeroizing;

use crate::hashes::{header_leaf, tensor_leaf};
use crate::salt::Salt;
use crate::tree::{CommitmentTree, Span};

/// Name and version of the scheme.
pub const SCHEME: &str = "salted-merkle-keccak256/1";

/// Tensor bytes in one leaf (the last of a tensor may hold fewer): 4,096 values.
pub const LEAF_BYTES: usize = 16 * 1024;

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

impl CommitmentError {
    /// Tensors come from the engine, so that wrong ones are a fault of ours; openings are asked for by somebody.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Size { .. } | Self::Duplicate { .. } => ErrorClass::Bug,
            Self::NoLeaf { .. } => ErrorClass::NotFound,
            Self::OtherLeaf { .. } => ErrorClass::Caller,
        }
    }
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
        CommitmentTree::grow(self.header, self.tensors, self.leaves)
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
