//! Tensors in the types that they are stored in.

use std::ops::Range;

use half::{bf16, f16};

use super::matrix::{Part, StoredMatrix};
use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::layout::Layout;
use crate::tensor_type::TensorType;

/// The tensors of a model, matrices in their own types, all others in f32.
#[derive(Clone)]
pub(crate) struct Stored {
    /// By the entries of the layout.
    kinds: Vec<TensorType>,
    /// Tensors that are no matrices of products, one behind the other.
    vectors: Vec<f32>,
    /// Where the layout has them, in its order, and where they begin in `vectors`.
    vector_places: Vec<(Range<usize>, usize)>,
    /// Matrices, in the order of the layout.
    matrices: Vec<StoredMatrix>,
}

impl Stored {
    /// Room for tensors of these types, by the entries of the layout.
    ///
    /// # Errors
    /// A matrix whose rows are no whole blocks of its type, or a quantised tensor that is no matrix, by its name.
    fn room(layout: &Layout, kinds: Vec<TensorType>) -> Result<Self> {
        let linears = layout.linears();
        let matrices = linears
            .iter()
            .map(|linear| StoredMatrix::room(layout, linear, &kinds))
            .collect::<Result<_>>()?;
        let mut stored = Self {
            kinds,
            vectors: Vec::new(),
            vector_places: Vec::new(),
            matrices,
        };
        let mut total = 0;
        for (entry, kind) in layout.entries.iter().zip(&stored.kinds) {
            if stored.matrix_at(&entry.range).is_some() {
                continue;
            }
            if kind.is_quantised() {
                let problem = format!("is stored in {kind}: only the matrices of products may be quantised");
                return Err(Error::tensor(&entry.name, problem));
            }
            stored.vector_places.push((entry.range.clone(), total));
            total += entry.range.len();
        }
        stored.vectors = zeros(total);
        Ok(stored)
    }

    /// The type that an entry of the layout is stored in.
    pub fn kind(&self, entry: usize) -> TensorType {
        self.kinds[entry]
    }

    /// A tensor that is no matrix, or several that follow each other.
    pub fn vector(&self, range: &Range<usize>) -> &[f32] {
        let start = self.vector_start(range);
        &self.vectors[start..start + range.len()]
    }

    pub fn parts(&self, range: &Range<usize>) -> &[Part] {
        &self.matrix(range).parts
    }

    /// A row of a matrix that is stored by rows.
    pub fn row(&self, range: &Range<usize>, row: usize, target: &mut [f32]) {
        self.matrix(range).read(row, target);
    }

    /// The values of an entry in the order of the layout.
    pub fn values(&self, layout: &Layout, entry: usize, target: &mut [f32]) {
        let range = &layout.entries[entry].range;
        match self.matrix_at(range) {
            Some(index) => self.matrices[index].values(range, target),
            None => target.copy_from_slice(self.vector(range)),
        }
    }

    /// Calls `each` with the bytes of an entry, piece after piece: little-endian numbers in the order of the layout, or
    /// the blocks of one output after the other.
    pub fn bytes(&self, layout: &Layout, entry: usize, each: &mut dyn FnMut(&[u8])) {
        let (range, kind) = (&layout.entries[entry].range, self.kinds[entry]);
        match self.matrix_at(range) {
            Some(index) => self.matrices[index].bytes(range, kind, each),
            None => number_bytes(self.vector(range), kind, each),
        }
    }

    /// Whether two matrices of one type, with rows of `width` numbers, have the same bytes.
    pub fn equal_rows(
        &self,
        one: &Range<usize>,
        other: &Range<usize>,
        width: usize,
        kind: TensorType,
    ) -> bool {
        let row = |matrix: &Range<usize>, index: usize| {
            let start = matrix.start + index * width;
            let mut bytes = Vec::new();
            let mut take = |piece: &[u8]| bytes.extend_from_slice(piece);
            self.matrix(matrix)
                .bytes(&(start..start + width), kind, &mut take);
            bytes
        };
        (0..one.len() / width).all(|index| row(one, index) == row(other, index))
    }

    /// Removes the last tensor of the layout, a matrix: the head of a model whose head is not tied.
    pub fn remove_head(&mut self) {
        self.kinds.pop();
        self.matrices.pop();
    }

    fn matrix(&self, range: &Range<usize>) -> &StoredMatrix {
        let index = self.matrix_at(range);
        &self.matrices[index.expect("the layout's matrices are stored as such")]
    }

    /// The matrix that holds a range, unless it is a vector's.
    fn matrix_at(&self, range: &Range<usize>) -> Option<usize> {
        let after = self
            .matrices
            .partition_point(|matrix| matrix.range.start <= range.start);
        let index = after.checked_sub(1)?;
        (range.end <= self.matrices[index].range.end).then_some(index)
    }

    /// Where a vector begins in `vectors`. Panics for a matrix: what follows a vector there is another.
    fn vector_start(&self, range: &Range<usize>) -> usize {
        assert!(self.matrix_at(range).is_none(), "a matrix as a vector");
        let after = self
            .vector_places
            .partition_point(|(place, _)| place.start <= range.start);
        let (place, start) = &self.vector_places[after - 1];
        start + range.start - place.start
    }
}

/// Numbers of a type that holds them exactly, as little-endian bytes.
pub(super) fn number_bytes(values: &[f32], kind: TensorType, each: &mut dyn FnMut(&[u8])) {
    let bytes: Vec<u8> = match kind {
        TensorType::BF16 => values
            .iter()
            .flat_map(|&value| bf16::from_f32(value).to_le_bytes())
            .collect(),
        TensorType::F16 => values
            .iter()
            .flat_map(|&value| f16::from_f32(value).to_le_bytes())
            .collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    each(&bytes);
}

/// Takes in the tensors of a model one after the other.
pub(crate) struct StoredBuilder<'a> {
    layout: &'a Layout,
    stored: Stored,
}

impl<'a> StoredBuilder<'a> {
    /// Room for tensors of these types, by the entries of the layout.
    ///
    /// # Errors
    /// A matrix whose rows are no whole blocks of its type, or a quantised tensor that is no matrix, by its name.
    pub fn new(layout: &'a Layout, kinds: Vec<TensorType>) -> Result<Self> {
        let stored = Stored::room(layout, kinds)?;
        Ok(Self { layout, stored })
    }

    /// Takes in an entry: its values in the order of the layout, or, where it is quantised, the blocks of one output after
    /// the other.
    ///
    /// # Errors
    /// What the readers say; numbers, scales or minima that are not finite, by the name that the tensor comes under.
    pub fn read(
        &mut self,
        entry: usize,
        name: &str,
        values: impl FnOnce(&mut [f32]) -> Result<()>,
        mut blocks: impl FnMut(usize, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let kind = self.stored.kinds[entry];
        if !kind.is_quantised() {
            let mut numbers = vec![0.0; self.layout.entries[entry].range.len()];
            values(&mut numbers)?;
            self.set_values(entry, &numbers);
            return Ok(());
        }
        let range = &self.layout.entries[entry].range;
        let index = self.stored.matrix_at(range).expect("only matrices are quantised");
        let matrix = &mut self.stored.matrices[index];
        let mut row = vec![0; matrix.inner / kind.block_length() * kind.block_bytes()];
        for output in 0..range.len() / matrix.inner {
            blocks(output, &mut row)?;
            if !matrix.set_blocks(range, output, &row) {
                let problem = format!("holds a scale or a minimum that is not finite, in row {output}");
                return Err(Error::tensor(name, problem));
            }
        }
        Ok(())
    }

    /// Takes in the values of an entry that is not quantised, in the order of the layout; what its type cannot hold is
    /// rounded.
    pub fn set_values(&mut self, entry: usize, values: &[f32]) {
        let range = self.layout.entries[entry].range.clone();
        if let Some(index) = self.stored.matrix_at(&range) {
            self.stored.matrices[index].set_values(&range, values);
            return;
        }
        let start = self.stored.vector_start(&range);
        let target = &mut self.stored.vectors[start..start + range.len()];
        let round: fn(f32) -> f32 = match self.stored.kinds[entry] {
            // What is held is what would be written.
            TensorType::BF16 => |value| bf16::from_f32(value).to_f32(),
            TensorType::F16 => |value| f16::from_f32(value).to_f32(),
            _ => |value| value,
        };
        for (target, &value) in target.iter_mut().zip(values) {
            *target = round(value);
        }
    }

    pub fn finish(self) -> Stored {
        self.stored
    }
}
