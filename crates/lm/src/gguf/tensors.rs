//! The tensors of a GGUF file: where each lies, and its values as f32.

use std::collections::HashSet;
use std::ops::Range;

use super::cursor::{Cursor, Fault};
use super::metadata::shown;
use crate::error::{Error, Result};
use crate::kernels::quantised;
use crate::tensor_type::TensorType;

/// As in `ggml.h`.
const MAXIMUM_DIMENSIONS: u32 = 4;
/// Bytes of the smallest description: a name of one byte with its length, one dimension, type and offset.
const SMALLEST_DESCRIPTION: usize = 8 + 1 + 4 + 8 + 4 + 8;

/// A tensor of a file: checked to lie within it, aligned, and apart from all others.
#[derive(Clone, Debug)]
pub struct GgufTensor<'a> {
    name: &'a str,
    shape: Vec<usize>,
    kind: TensorType,
    /// Where its blocks lie in the file.
    place: Range<usize>,
    /// Nothing where only the head of a file was read, and it ends before.
    data: &'a [u8],
}

impl<'a> GgufTensor<'a> {
    /// Its name in the file, such as `blk.0.attn_q.weight`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its dimensions, the slowest first: `[rows, columns]` for a matrix. (The file has them the other way round.)
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How its values are stored.
    pub fn kind(&self) -> TensorType {
        self.kind
    }

    /// Its blocks as they are stored.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Where its blocks lie in the file.
    pub(super) fn place(&self) -> &Range<usize> {
        &self.place
    }

    /// The same tensor with its blocks, of a file whose head alone was read.
    pub(super) fn with_data<'b>(&self, data: &'b [u8]) -> GgufTensor<'b>
    where
        'a: 'b,
    {
        GgufTensor { data, ..self.clone() }
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        // Checked not to overflow when the file was read.
        self.shape.iter().product()
    }

    /// Never: dimensions of zero are refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values in a row: the last dimension, a multiple of the block's length.
    pub(super) fn row_length(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows: the product of all dimensions but the last.
    pub(super) fn rows(&self) -> usize {
        self.len() / self.row_length()
    }

    /// The blocks of one row.
    pub(super) fn row(&self, row: usize) -> &'a [u8] {
        let bytes = self.row_length() / self.kind.block_length() * self.kind.block_bytes();
        &self.data[row * bytes..(row + 1) * bytes]
    }

    /// Dequantises the whole tensor, with the bits of `ggml`'s reference.
    ///
    /// # Errors
    /// A target of another length than [`len`](Self::len), or a value that is not finite.
    pub fn dequantise(&self, target: &mut [f32]) -> Result<()> {
        self.check_target(target)?;
        quantised::dequantise(self.kind, self.data, target);
        self.check_finite(target)
    }

    /// Dequantises one row without a check of its values.
    pub(super) fn dequantise_row(&self, row: usize, target: &mut [f32]) {
        quantised::dequantise(self.kind, self.row(row), target);
    }

    pub(super) fn check_target(&self, target: &[f32]) -> Result<()> {
        if target.len() == self.len() {
            return Ok(());
        }
        let problem = format!("has {} values, where {} are asked for", self.len(), target.len());
        Err(Error::tensor(shown(self.name), problem))
    }

    pub(super) fn check_finite(&self, values: &[f32]) -> Result<()> {
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(index) => Err(Error::tensor(
                shown(self.name),
                format!("holds a value that is not finite, at index {index}"),
            )),
        }
    }
}

/// What the head of a file says of a tensor.
struct Description<'a> {
    name: &'a str,
    shape: Vec<usize>,
    kind: TensorType,
    bytes: usize,
    offset: u64,
}

/// Reads the descriptions and finds the data of each tensor in a file of `length` bytes.
pub(super) fn read<'a>(
    cursor: &mut Cursor<'a>,
    count: u64,
    alignment: usize,
    length: usize,
) -> Result<Vec<GgufTensor<'a>>> {
    if count > (cursor.rest().len() / SMALLEST_DESCRIPTION) as u64 {
        return Err(Error::gguf(format!(
            "claims {count} tensors, more than its bytes can hold: fetch it again"
        )));
    }
    let (mut names, mut descriptions) = (HashSet::new(), Vec::new());
    for index in 0..count {
        let name = cursor.string().map_err(|fault| {
            Error::gguf(format!(
                "has a tensor, number {index}, whose name {}",
                fault.problem()
            ))
        })?;
        if name.is_empty() {
            return Err(Error::gguf(format!(
                "has a tensor, number {index}, without a name"
            )));
        }
        let description = describe(cursor, name).map_err(|problem| Error::tensor(shown(name), problem))?;
        if !names.insert(name) {
            return Err(Error::tensor(shown(name), "is there twice"));
        }
        descriptions.push(description);
    }
    // The data begin at the next multiple of the alignment; a file without tensors may end before it.
    let data = cursor.position().next_multiple_of(alignment)..length;
    place(descriptions, cursor, &data, alignment)
}

fn describe<'a>(cursor: &mut Cursor<'a>, name: &'a str) -> std::result::Result<Description<'a>, String> {
    let broken = |fault: Fault| fault.problem();
    let dimensions = cursor.u32().map_err(broken)?;
    if !(1..=MAXIMUM_DIMENSIONS).contains(&dimensions) {
        return Err(format!(
            "has {dimensions} dimensions: 1 to {MAXIMUM_DIMENSIONS} are possible"
        ));
    }
    let mut shape = Vec::with_capacity(dimensions as usize);
    for _ in 0..dimensions {
        let length = cursor.u64().map_err(broken)?;
        let length = usize::try_from(length).map_err(|_| format!("has a dimension of {length}"))?;
        if length == 0 {
            return Err("has a dimension of 0".to_owned());
        }
        shape.push(length);
    }
    let kind = TensorType::from_id(cursor.u32().map_err(broken)?)?;
    let offset = cursor.u64().map_err(broken)?;
    if !shape[0].is_multiple_of(kind.block_length()) {
        return Err(format!(
            "has rows of {} values, which do not fill the blocks of {} values that {kind} has",
            shape[0],
            kind.block_length()
        ));
    }
    let bytes = shape
        .iter()
        .try_fold(1_usize, |product, &length| product.checked_mul(length))
        .and_then(|values| (values / kind.block_length()).checked_mul(kind.block_bytes()));
    let bytes =
        bytes.ok_or_else(|| format!("has dimensions {shape:?}, whose product no machine can hold"))?;
    shape.reverse();
    Ok(Description {
        name,
        shape,
        kind,
        bytes,
        offset,
    })
}

fn place<'a>(
    descriptions: Vec<Description<'a>>,
    cursor: &Cursor<'a>,
    data: &Range<usize>,
    alignment: usize,
) -> Result<Vec<GgufTensor<'a>>> {
    let mut places: Vec<(Range<usize>, &str)> = Vec::with_capacity(descriptions.len());
    let mut tensors = Vec::with_capacity(descriptions.len());
    for description in descriptions {
        let place = find(&description, data, alignment)
            .map_err(|problem| Error::tensor(shown(description.name), problem))?;
        places.push((place.clone(), description.name));
        tensors.push(GgufTensor {
            name: description.name,
            shape: description.shape,
            kind: description.kind,
            data: cursor.range(place.clone()),
            place,
        });
    }
    places.sort_by_key(|(range, _)| range.start);
    for pair in places.windows(2) {
        let [(before, other), (range, name)] = pair else {
            continue;
        };
        if before.end > range.start {
            let problem = format!("overlaps tensor `{}`", shown(other));
            return Err(Error::tensor(shown(name), problem));
        }
    }
    Ok(tensors)
}

/// Where a tensor lies in the file, whose data are in `data`.
fn find(
    description: &Description<'_>,
    data: &Range<usize>,
    alignment: usize,
) -> std::result::Result<Range<usize>, String> {
    let offset = description.offset;
    if !offset.is_multiple_of(alignment as u64) {
        return Err(format!(
            "begins at offset {offset}, which is no multiple of the alignment of {alignment}"
        ));
    }
    let start = usize::try_from(offset)
        .ok()
        .and_then(|offset| data.start.checked_add(offset));
    let place = start.and_then(|start| Some(start..start.checked_add(description.bytes)?));
    place.filter(|place| place.end <= data.end).ok_or_else(|| {
        format!(
            "takes {} bytes from offset {offset}, but the file has {} bytes of data: fetch it again",
            description.bytes,
            data.len()
        )
    })
}
