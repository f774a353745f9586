//! Models of a few tensors, and commitments to them.

use posthuman_proofs::{CommitmentBuilder, CommitmentTree, Header, Salt, Scheme, TensorFacts};
use posthuman_types::Commitment;
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Nothing for values in f32.
    pub kind: Option<&'static str>,
    pub bytes: Vec<u8>,
}

impl Tensor {
    pub fn facts(&self) -> TensorFacts<'_> {
        TensorFacts {
            kind: self.kind.unwrap_or("F32"),
            length: self.bytes.len() as u64,
            ..TensorFacts::values(&self.name, &self.shape)
        }
    }
}

pub fn header() -> Header {
    Header::describe(b"{\"n_layer\":1}", b"{\"model\":{}}")
}

pub fn salt() -> Salt {
    Salt::from_bytes([7; 32])
}

/// In the scheme that the tensors are for, as an engine chooses it.
fn scheme(tensors: &[Tensor]) -> Scheme {
    if tensors.iter().any(|tensor| tensor.kind.is_some()) {
        Scheme::Stored
    } else {
        Scheme::Values
    }
}

pub fn tree(salt: &Salt, header: &Header, tensors: &[Tensor]) -> CommitmentTree {
    tree_of_pieces(salt, header, tensors, usize::MAX)
}

/// The same with bytes that come in pieces of this length.
pub fn tree_of_pieces(salt: &Salt, header: &Header, tensors: &[Tensor], length: usize) -> CommitmentTree {
    let mut builder = CommitmentBuilder::new(scheme(tensors), salt, header);
    for tensor in tensors {
        let mut writer = builder.begin(&tensor.facts()).unwrap();
        tensor.bytes.chunks(length).for_each(|piece| writer.push(piece));
        writer.finish().unwrap();
    }
    builder.finish()
}

pub fn root(tensors: &[Tensor]) -> Commitment {
    tree(&salt(), &header(), tensors).commitment()
}

fn bytes(size: usize, fill: u8) -> Vec<u8> {
    (0..size)
        .map(|index| fill.wrapping_add((index % 251) as u8))
        .collect()
}

pub fn tensor(name: &str, shape: &[usize], fill: u8) -> Tensor {
    Tensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        kind: None,
        bytes: bytes(4 * shape.iter().product::<usize>(), fill),
    }
}

/// A tensor of blocks of 18 bytes for 32 values.
pub fn quantised(name: &str, shape: &[usize], fill: u8) -> Tensor {
    Tensor {
        kind: Some("Q4_0"),
        bytes: bytes(shape.iter().product::<usize>() / 32 * 18, fill),
        ..tensor(name, shape, fill)
    }
}

/// Models of one to four tensors of zero to 40,000 bytes each: up to three leaves. In half of them some are quantised.
pub fn model() -> impl Strategy<Value = Vec<Tensor>> {
    let sizes = prop::collection::vec((0_usize..4, 0_usize..2250, any::<u8>()), 1..5);
    (sizes, any::<bool>()).prop_map(|(sizes, stored)| {
        let named = sizes.into_iter().enumerate();
        named
            .map(|(index, (rows, columns, fill))| {
                let name = format!("h.{index}");
                if stored && index % 2 == 0 {
                    quantised(&name, &[rows, columns * 8], fill)
                } else {
                    tensor(&name, &[rows, columns], fill)
                }
            })
            .collect()
    })
}
