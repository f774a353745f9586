//! One tensor on its way into a commitment.

use posthuman_types::Digest;
use zeroize::Zeroizing;

use super::{CommitmentBuilder, CommitmentError, LEAF_BYTES, TensorFacts};
use crate::hashes::{Part, stored_leaf, tensor_leaf};
use crate::scheme::Scheme;
use crate::tree::Span;

/// Values that are turned into bytes at once.
const VALUES_AT_ONCE: usize = LEAF_BYTES / 4;

/// Takes the bytes of one tensor in pieces, whose lengths change nothing, and holds no more than a leaf of them.
///
/// A tensor that is not finished is no part of the commitment.
#[derive(Debug)]
#[must_use = "a tensor is committed to when it is finished"]
pub struct TensorWriter<'builder> {
    builder: &'builder mut CommitmentBuilder,
    span: Span,
    /// Bytes that came.
    found: u64,
    leaves: Vec<Digest>,
    /// The beginning of the next leaf.
    leaf: Zeroizing<Vec<u8>>,
}

impl<'builder> TensorWriter<'builder> {
    pub(super) fn new(builder: &'builder mut CommitmentBuilder, tensor: &TensorFacts<'_>) -> Self {
        let span = Span {
            name: tensor.name.to_owned(),
            shape: tensor.shape.iter().map(|axis| *axis as u64).collect(),
            kind: tensor.kind.to_owned(),
            bytes: tensor.length,
            first_leaf: builder.leaves.len() as u64,
        };
        Self {
            builder,
            span,
            found: 0,
            leaves: Vec::new(),
            leaf: Zeroizing::new(Vec::with_capacity(LEAF_BYTES)),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.found = self.found.saturating_add(bytes.len() as u64);
        // What is too much is counted and not hashed: `finish` refuses it.
        while !bytes.is_empty() && self.found <= self.span.bytes {
            if self.leaf.is_empty() && bytes.len() >= LEAF_BYTES {
                let (whole, rest) = bytes.split_at(LEAF_BYTES);
                self.seal(whole);
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(LEAF_BYTES - self.leaf.len()));
            self.leaf.extend_from_slice(part);
            bytes = rest;
            if self.leaf.len() == LEAF_BYTES {
                self.seal_begun();
            }
        }
    }

    /// Takes the next values; the same as [`TensorWriter::push`] of their little-endian bytes.
    pub fn push_values(&mut self, values: &[f32]) {
        let mut buffer = Zeroizing::new(vec![0; 4 * VALUES_AT_ONCE.min(values.len())]);
        for chunk in values.chunks(VALUES_AT_ONCE) {
            for (place, value) in buffer.chunks_exact_mut(4).zip(chunk) {
                place.copy_from_slice(&value.to_le_bytes());
            }
            self.push(&buffer[..chunk.len() * 4]);
        }
    }

    /// Ends the tensor.
    ///
    /// # Errors
    /// Another number of bytes than was announced: then the builder is as it was before the tensor.
    pub fn finish(mut self) -> Result<(), CommitmentError> {
        if self.found != self.span.bytes {
            return Err(CommitmentError::Length {
                name: self.span.name,
                expected: self.span.bytes,
                found: self.found,
            });
        }
        if !self.leaf.is_empty() || self.leaves.is_empty() {
            self.seal_begun();
        }
        self.builder.end(self.span, self.leaves);
        Ok(())
    }

    fn seal_begun(&mut self) {
        let leaf = std::mem::take(&mut self.leaf);
        self.seal(&leaf);
        self.leaf = leaf;
        self.leaf.clear();
    }

    fn seal(&mut self, bytes: &[u8]) {
        let Span {
            name,
            shape,
            kind,
            bytes: length,
            first_leaf,
        } = &self.span;
        let index = self.leaves.len() as u64;
        let part = Part {
            name,
            shape,
            offset: index * LEAF_BYTES as u64,
        };
        let salt = self.builder.salt.leaf(first_leaf + index);
        let leaf = match self.builder.scheme {
            Scheme::Values => tensor_leaf(&salt, &part, bytes),
            Scheme::Stored => stored_leaf(&salt, kind, *length, &part, bytes),
        };
        self.leaves.push(leaf);
    }
}
