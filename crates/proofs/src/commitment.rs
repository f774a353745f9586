//! Commitments to models: schemes `salted-merkle-keccak256/1` and `/2`.
//!
//! A root binds the architecture (digest of `config.json`), the tokenizer (digest of `tokenizer.json`) and every
//! weight, in canonical order of tensors. `‖` is concatenation, integers are 8 bytes big-endian, H is Keccak-256:
//!
//! ```text
//! salt of leaf i    = H(0x04 ‖ the model's secret salt ‖ i)
//! leaf 0            = H(0x02 ‖ salt of leaf 0 ‖ config ‖ tokenizer)
//! leaf i ≥ 1 in /1  = H(0x00 ‖ salt of leaf i ‖ part)
//! leaf i ≥ 1 in /2  = H(0x05 ‖ salt of leaf i ‖ length of type ‖ type ‖ bytes of the tensor ‖ part)
//! part              = length of name ‖ name ‖ number of dimensions ‖ dimensions ‖ offset ‖ bytes
//! node              = H(0x01 ‖ left ‖ right)
//! root              = H(0x03 ‖ number of leaves ‖ top node)
//! ```
//!
//! Scheme `/1` takes the values of all tensors as little-endian f32. Scheme `/2` is for models with quantised tensors: it
//! takes every tensor as it is stored, since blocks decide bits and not only the values that they stand for, and binds
//! the name of its type (`F32`, `BF16`, `Q4_1`) and how many bytes it has in all.
//!
//! Bytes are cut into leaves of [`LEAF_BYTES`]; a leaf never spans two tensors, and the offset counts bytes from the
//! tensor's start. A tensor without elements has one leaf without bytes, so that its name and shape are bound too. A node
//! without a partner rises to the next level unchanged; since the root binds the number of leaves, the shape of the tree
//! is fixed and no two lists of leaves share a root (first byte of every hash: domain separation, as in RFC 6962).
//!
//! Without the salt a root would confirm a guess of the weights for ever. With it, a root neither confirms guesses nor
//! shows that two models are equal: comparing models means committing both under one salt.

mod writer;

use std::collections::HashSet;

use posthuman_types::{Commitment, Digest, ErrorClass, keccak256};

use crate::hashes::header_leaf;
use crate::salt::Salt;
use crate::scheme::Scheme;
use crate::tree::{CommitmentTree, Span};

pub use writer::TensorWriter;

/// Tensor bytes in one leaf (the last of a tensor may hold fewer): 4,096 values in f32.
pub const LEAF_BYTES: usize = 16 * 1024;

/// The type of tensors in scheme `/1`.
const VALUES: &str = "F32";

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

/// A tensor, before its bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Elements along each axis.
    pub shape: &'a [usize],
    /// Name of the type that its bytes are in. Scheme `/1` takes `F32` alone and does not bind it.
    pub kind: &'a str,
    /// How many bytes it has.
    pub length: u64,
}

impl<'a> TensorFacts<'a> {
    /// A tensor that comes as little-endian f32.
    pub fn values(name: &'a str, shape: &'a [usize]) -> Self {
        Self {
            name,
            shape,
            kind: VALUES,
            // No bytes are as many, so that what follows is refused.
            length: bytes_of_values(shape).unwrap_or(u64::MAX),
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
        found: u64,
    },
    /// Stored bytes where the scheme takes values.
    #[error(
        "tensor `{name}` comes as {kind}, and a commitment of `{}` is to values in F32: widen it, or use `{}`",
        Scheme::Values.name(),
        Scheme::Stored.name()
    )]
    Kind {
        /// Name of the tensor.
        name: String,
        /// The type that it comes in.
        kind: String,
    },
    /// More or fewer bytes than were announced.
    #[error("tensor `{name}` has {found} bytes, and {expected} were announced")]
    Length {
        /// Name of the tensor.
        name: String,
        /// Bytes that were announced.
        expected: u64,
        /// Bytes that came.
        found: u64,
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
            Self::Size { .. } | Self::Kind { .. } | Self::Length { .. } | Self::Duplicate { .. } => {
                ErrorClass::Bug
            }
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
    scheme: Scheme,
    salt: Salt,
    header: Header,
    leaves: Vec<Digest>,
    tensors: Vec<Span>,
    names: HashSet<String>,
}

impl CommitmentBuilder {
    /// Begins with the header leaf.
    pub fn new(scheme: Scheme, salt: &Salt, header: &Header) -> Self {
        Self {
            scheme,
            salt: salt.clone(),
            header: *header,
            leaves: vec![header_leaf(&salt.leaf(0), &header.config, &header.tokenizer)],
            tensors: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Begins a tensor, whose bytes then come in pieces of any length.
    ///
    /// # Errors
    /// A name that came before; in scheme `/1` another type than f32, or a length that does not fill the shape. The
    /// builder is unchanged then.
    pub fn begin(&mut self, tensor: &TensorFacts<'_>) -> Result<TensorWriter<'_>, CommitmentError> {
        if self.scheme == Scheme::Values {
            check_values(tensor)?;
        }
        if self.names.contains(tensor.name) {
            return Err(CommitmentError::Duplicate {
                name: tensor.name.to_owned(),
            });
        }
        Ok(TensorWriter::new(self, tensor))
    }

    /// Adds a tensor. `shape` counts elements along each axis; `bytes` are its values in row-major order, little-endian
    /// f32.
    ///
    /// # Errors
    /// Bytes that do not fill the shape, or a name that came before. The builder is unchanged then.
    pub fn tensor(&mut self, name: &str, shape: &[usize], bytes: &[u8]) -> Result<(), CommitmentError> {
        let mut writer = self.begin(&TensorFacts {
            length: bytes.len() as u64,
            ..TensorFacts::values(name, shape)
        })?;
        writer.push(bytes);
        writer.finish()
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
        let mut writer = self.begin(&TensorFacts {
            length: 4 * values.len() as u64,
            ..TensorFacts::values(name, shape)
        })?;
        writer.push_values(values);
        writer.finish()
    }

    /// Builds the tree over all leaves.
    pub fn finish(self) -> CommitmentTree {
        CommitmentTree::grow(self.scheme, self.header, self.tensors, self.leaves)
    }

    /// Takes in a tensor that is whole.
    fn end(&mut self, span: Span, leaves: Vec<Digest>) {
        self.leaves.extend(leaves);
        self.names.insert(span.name.clone());
        self.tensors.push(span);
    }
}

fn check_values(tensor: &TensorFacts<'_>) -> Result<(), CommitmentError> {
    let TensorFacts {
        name,
        shape,
        kind,
        length,
    } = *tensor;
    if kind != VALUES {
        return Err(CommitmentError::Kind {
            name: name.to_owned(),
            kind: kind.to_owned(),
        });
    }
    if bytes_of_values(shape) == Some(length) {
        return Ok(());
    }
    Err(CommitmentError::Size {
        name: name.to_owned(),
        shape: shape.to_vec(),
        found: length,
    })
}

/// Bytes of a tensor's values in f32, if they can be counted.
fn bytes_of_values(shape: &[usize]) -> Option<u64> {
    shape
        .iter()
        .try_fold(4_u64, |product, axis| product.checked_mul(*axis as u64))
}

/// Commits to the values of a whole model at once: `tensors` gives name, shape and values in canonical order.
///
/// # Errors
/// As [`CommitmentBuilder::tensor_values`].
pub fn commit<'a>(
    salt: &Salt,
    header: &Header,
    tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>,
) -> Result<Commitment, CommitmentError> {
    let mut builder = CommitmentBuilder::new(Scheme::Values, salt, header);
    for (name, shape, values) in tensors {
        builder.tensor_values(name, shape, values)?;
    }
    Ok(builder.finish().commitment())
}
