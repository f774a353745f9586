//! The tree under a commitment.

use posthuman_types::{Bytes, Commitment, Digest};

use crate::commitment::{CommitmentError, Header, LEAF_BYTES};
use crate::hashes::{node, root};
use crate::opening::{LeafContent, Opening, verify_opening};
use crate::salt::Salt;
use crate::scheme::Scheme;

/// The leaves of one tensor.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    /// Name of the type of its bytes.
    pub(crate) kind: String,
    pub(crate) bytes: u64,
    pub(crate) first_leaf: u64,
}

/// The finished tree: it gives the commitment and opens leaves.
#[derive(Debug)]
pub struct CommitmentTree {
    scheme: Scheme,
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
    /// Builds the tree over all leaves, of which there is at least the header's.
    pub(crate) fn grow(scheme: Scheme, header: Header, tensors: Vec<Span>, leaves: Vec<Digest>) -> Self {
        let count = leaves.len() as u64;
        let mut levels = Vec::new();
        let mut level = leaves;
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
        Self {
            scheme,
            header,
            tensors,
            root: root(count, &level[0]),
            levels,
        }
    }

    /// The commitment.
    pub fn commitment(&self) -> Commitment {
        Commitment {
            scheme: self.scheme.name().to_owned(),
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
            Some((span, offset)) => self.content(span, offset, bytes),
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

    fn content(&self, span: &Span, offset: u64, bytes: &[u8]) -> LeafContent {
        let (name, shape) = (span.name.clone(), span.shape.clone());
        let bytes = Bytes::copy_from_slice(bytes);
        match self.scheme {
            Scheme::Values => LeafContent::Tensor {
                name,
                shape,
                offset,
                bytes,
            },
            Scheme::Stored => LeafContent::Stored {
                name,
                shape,
                kind: span.kind.clone(),
                length: span.bytes,
                offset,
                bytes,
            },
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
