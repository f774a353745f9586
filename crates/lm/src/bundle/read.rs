//! Reading a bundle piece by piece.

use std::io::{self, Read};

use super::head::{BundleHeader, HeaderRead};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::kernels::quantised::dequantise;
use crate::layout::Layout;
use crate::model::Model;
use crate::tensor_type::TensorType;
use crate::weights::StoredBuilder;

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

/// The head of a bundle, as it is and what it says.
pub(super) fn header(from: &mut dyn Read) -> Result<(Vec<u8>, BundleHeader)> {
    let (mut head, mut needed) = (Vec::new(), 8);
    loop {
        // Piece by piece: the length is a claim of eight bytes.
        while head.len() < needed {
            let filled = head.len();
            head.resize(needed.min(filled + PIECE), 0);
            fill(from, &mut head, filled)?;
        }
        match BundleHeader::read(&head)? {
            HeaderRead::Complete(header) => return Ok((head, *header)),
            HeaderRead::NeedBytes(more) => needed = more,
        }
    }
}

/// The model whose tensors follow.
pub(super) fn model(
    from: &mut dyn Read,
    config: Config,
    layout: Layout,
    kinds: Vec<TensorType>,
) -> Result<Model> {
    if kinds.iter().any(|&kind| kind != TensorType::F32) {
        return stored_model(from, config, layout, kinds);
    }
    let mut parameters = zeros(layout.total);
    for entry in &layout.entries {
        values(
            from,
            TensorType::F32,
            &entry.name,
            &mut parameters[entry.range.clone()],
        )?;
    }
    Model::from_parameters(config, parameters)
}

fn stored_model(
    from: &mut dyn Read,
    config: Config,
    layout: Layout,
    kinds: Vec<TensorType>,
) -> Result<Model> {
    let mut builder = StoredBuilder::new(&layout, kinds.clone())?;
    for (index, (entry, kind)) in layout.entries.iter().zip(kinds).enumerate() {
        // One after the other out of one stream: only one of the two is called.
        let stream = std::cell::RefCell::new(&mut *from);
        builder.read(
            index,
            &entry.name,
            |target| values(*stream.borrow_mut(), kind, &entry.name, target),
            |_, target| fill(*stream.borrow_mut(), target, 0),
        )?;
    }
    let stored = builder.finish();
    Ok(Model::from_stored(config, layout, stored))
}

/// Refuses bytes after the last tensor.
pub(super) fn end(from: &mut dyn Read) -> Result<()> {
    match from.read_exact(&mut [0]) {
        Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(source) => Err(Error::BundleAccess { source }),
        Ok(()) => {
            let problem = "goes on after its last tensor: it is damaged".to_owned();
            Err(Error::Bundle { problem })
        }
    }
}

/// Fills a buffer from a place on.
fn fill(from: &mut dyn Read, buffer: &mut [u8], filled: usize) -> Result<()> {
    from.read_exact(&mut buffer[filled..]).map_err(|source| {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            let problem = "breaks off: it is truncated".to_owned();
            Error::Bundle { problem }
        } else {
            Error::BundleAccess { source }
        }
    })
}

fn values(from: &mut dyn Read, kind: TensorType, name: &str, values: &mut [f32]) -> Result<()> {
    let mut bytes = vec![0; PIECE];
    for (piece, values) in values.chunks_mut(PIECE / kind.block_bytes()).enumerate() {
        let bytes = &mut bytes[..values.len() * kind.block_bytes()];
        fill(from, bytes, 0)?;
        dequantise(kind, bytes, values);
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let index = piece * (PIECE / kind.block_bytes()) + index;
            return Err(Error::tensor(
                name,
                format!("holds a value that is not finite, at index {index}"),
            ));
        }
    }
    Ok(())
}
