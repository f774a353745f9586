//! Opening one leaf of a commitment, for audits that look at part of a model.

use posthuman_types::{B256, Bytes, Commitment, Digest, ErrorClass};
use serde::{Deserialize, Serialize};

use crate::commitment::LEAF_BYTES;
use crate::hashes::{Part, header_leaf, node, root, stored_leaf, tensor_leaf};
use crate::scheme::Scheme;

/// Proof that a commitment holds this content at this leaf. It shows the content: give it only to who may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Index of the leaf.
    pub index: u64,
    /// Number of leaves of the commitment.
    pub leaves: u64,
    /// Salt of this leaf alone.
    pub salt: B256,
    /// What the leaf holds.
    pub content: LeafContent,
    /// The partner on each level that has one, from the leaf upwards.
    pub siblings: Vec<Digest>,
}

/// What a leaf holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeafContent {
    /// Leaf 0.
    Header {
        /// Digest of `config.json`.
        config: Digest,
        /// Digest of `tokenizer.json`.
        tokenizer: Digest,
    },
    /// Every other leaf, in scheme `/1`.
    Tensor {
        /// Name of the tensor.
        name: String,
        /// Elements along each axis.
        shape: Vec<u64>,
        /// Where the bytes begin in the tensor.
        offset: u64,
        /// Little-endian f32 values.
        bytes: Bytes,
    },
    /// Every other leaf, in scheme `/2`.
    Stored {
        /// Name of the tensor.
        name: String,
        /// Elements along each axis.
        shape: Vec<u64>,
        /// Name of the type that it is stored in.
        kind: String,
        /// Bytes of the whole tensor.
        length: u64,
        /// Where the bytes begin in the tensor.
        offset: u64,
        /// The bytes as they are stored.
        bytes: Bytes,
    },
}

impl LeafContent {
    fn hash(&self, salt: &B256) -> Digest {
        match self {
            Self::Header { config, tokenizer } => header_leaf(salt, config, tokenizer),
            Self::Tensor {
                name,
                shape,
                offset,
                bytes,
            } => tensor_leaf(salt, &part(name, shape, *offset), bytes),
            Self::Stored {
                name,
                shape,
                kind,
                length,
                offset,
                bytes,
            } => stored_leaf(salt, kind, *length, &part(name, shape, *offset), bytes),
        }
    }

    /// Whether leaves of that scheme hold such a thing.
    fn is_of(&self, scheme: Scheme) -> bool {
        match self {
            Self::Header { .. } => true,
            Self::Tensor { .. } => scheme == Scheme::Values,
            Self::Stored { .. } => scheme == Scheme::Stored,
        }
    }

    /// Whether a builder could have made such a leaf: a part of its tensor, cut where leaves are cut.
    fn is_cut_right(&self) -> bool {
        let (size, offset, bytes) = match self {
            Self::Header { .. } => return true,
            Self::Tensor {
                shape, offset, bytes, ..
            } => {
                let size = shape
                    .iter()
                    .try_fold(4_u64, |product, axis| product.checked_mul(*axis));
                let Some(size) = size else { return false };
                (size, *offset, bytes)
            }
            Self::Stored {
                length,
                offset,
                bytes,
                ..
            } => (*length, *offset, bytes),
        };
        let leaf = LEAF_BYTES as u64;
        offset % leaf == 0
            && (offset < size || size == 0 && offset == 0)
            && bytes.len() as u64 == (size - offset).min(leaf)
    }
}

fn part<'a>(name: &'a str, shape: &'a [u64], offset: u64) -> Part<'a> {
    Part { name, shape, offset }
}

/// An opening that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// A commitment by other rules.
    #[error(
        "the commitment is of scheme `{found}`, and openings of `{}` and `{}` are what can be checked",
        Scheme::Values.name(),
        Scheme::Stored.name()
    )]
    Scheme {
        /// The scheme it names.
        found: String,
    },
    /// A tensor as the other scheme has it.
    #[error(
        "the opening of leaf {index} holds a tensor in another form than commitments of `{}` have it",
        scheme.name()
    )]
    Form {
        /// Index of the leaf.
        index: u64,
        /// Scheme of the commitment.
        scheme: Scheme,
    },
    /// An index beyond the leaves it claims, or a part that no leaf holds.
    #[error("leaf {index} of {leaves} cannot hold what the opening says")]
    Place {
        /// Index of the leaf.
        index: u64,
        /// Number of leaves.
        leaves: u64,
    },
    /// Too few or too many siblings for a tree of that size.
    #[error("the opening has {found} siblings and its place in the tree needs {expected}")]
    Length {
        /// Siblings that the place needs.
        expected: usize,
        /// Siblings that came.
        found: usize,
    },
    /// It leads to another root.
    #[error("the opening leads to the root {found}, not to {expected} of the commitment")]
    Root {
        /// Root of the commitment.
        expected: Digest,
        /// Root that was computed.
        found: Digest,
    },
}

impl OpeningError {
    /// An opening is its bringer's to mend.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Checks that `commitment` holds what `opening` says. Never panics, whatever the opening holds.
///
/// It does not check that the bytes are the right weights for anything, nor who committed to them.
///
/// # Errors
/// The first thing that is wrong with the opening.
pub fn verify_opening(commitment: &Commitment, opening: &Opening) -> Result<(), OpeningError> {
    let Some(scheme) = Scheme::named(&commitment.scheme) else {
        return Err(OpeningError::Scheme {
            found: commitment.scheme.clone(),
        });
    };
    let Opening { index, leaves, .. } = *opening;
    if !opening.content.is_of(scheme) {
        return Err(OpeningError::Form { index, scheme });
    }
    let is_header = matches!(opening.content, LeafContent::Header { .. });
    if index >= leaves || is_header != (index == 0) || !opening.content.is_cut_right() {
        return Err(OpeningError::Place { index, leaves });
    }
    let expected = climb(index, leaves).filter(|step| *step != Step::Rise).count();
    if opening.siblings.len() != expected {
        return Err(OpeningError::Length {
            expected,
            found: opening.siblings.len(),
        });
    }
    let mut siblings = opening.siblings.iter();
    let top = climb(index, leaves).fold(opening.content.hash(&opening.salt), |below, step| match step {
        Step::Rise => below,
        Step::PartnerRight => siblings.next().map_or(below, |right| node(&below, right)),
        Step::PartnerLeft => siblings.next().map_or(below, |left| node(left, &below)),
    });
    let found = root(leaves, &top);
    if found == commitment.root {
        Ok(())
    } else {
        Err(OpeningError::Root {
            expected: commitment.root,
            found,
        })
    }
}

/// What happens to a node on its way from one level to the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    PartnerLeft,
    PartnerRight,
    Rise,
}

/// The way from a leaf to the top of a tree with `leaves` leaves: at most 64 steps, whatever the numbers are.
fn climb(index: u64, leaves: u64) -> impl Iterator<Item = Step> {
    let mut place = (index, leaves);
    std::iter::from_fn(move || {
        let (index, width) = place;
        if width <= 1 {
            return None;
        }
        place = (index / 2, width.div_ceil(2));
        Some(match (index % 2, index + 1 < width) {
            (1, _) => Step::PartnerLeft,
            (_, true) => Step::PartnerRight,
            (_, false) => Step::Rise,
        })
    })
}
