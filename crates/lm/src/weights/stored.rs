//! Tensors in the types that they are stored in.

use std::ops::Range;

use half::{bf16, f16};

use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::kernels::number::Number;
use crate::kernels::quantised::QuantisedMatrix;
use crate::layout::{Layout, Linear, Order};
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

/// One matrix, or several that read the same input.
#[derive(Clone)]
struct StoredMatrix {
    range: Range<usize>,
    inner: usize,
    order: Order,
    parts: Vec<Part>,
}

/// Outputs of a matrix that follow each other and are of one type.
#[derive(Clone)]
pub(crate) struct Part {
    /// The first output, and how many there are.
    pub first: usize,
    pub outer: usize,
    pub numbers: Numbers,
}

/// The numbers of a part: as the layout orders them, or in blocks along the inputs of each output.
#[derive(Clone)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
    Quantised(QuantisedMatrix),
}

impl Numbers {
    fn zeros(kind: TensorType, outer: usize, inner: usize) -> Option<Self> {
        let count = outer * inner;
        Some(match kind {
            TensorType::F32 => Self::F32(zeros(count)),
            TensorType::BF16 => Self::Bf16(zeros(count)),
            TensorType::F16 => Self::F16(zeros(count)),
            _ => Self::Quantised(QuantisedMatrix::zeros(kind, outer, inner)?),
        })
    }

    /// Some values, in the order of the layout; of blocks, one whole row.
    fn read(&self, range: Range<usize>, target: &mut [f32]) {
        match self {
            Self::F32(values) => target.copy_from_slice(&values[range]),
            Self::Bf16(values) => widen(&values[range], target),
            Self::F16(values) => widen(&values[range], target),
            Self::Quantised(matrix) => matrix.dequantise_row(range.start / matrix.columns(), target),
        }
    }
}

fn widen<N: Number>(values: &[N], target: &mut [f32]) {
    for (target, value) in target.iter_mut().zip(values) {
        *target = value.widen();
    }
}

impl Stored {
    /// The type that an entry of the layout is stored in.
    pub fn kind(&self, entry: usize) -> TensorType {
        self.kinds[entry]
    }

    pub fn vector(&self, range: &Range<usize>) -> &[f32] {
        let after = self
            .vector_places
            .partition_point(|(place, _)| place.start <= range.start);
        let (place, start) = &self.vector_places[after - 1];
        let start = start + range.start - place.start;
        &self.vectors[start..start + range.len()]
    }

    pub fn parts(&self, range: &Range<usize>) -> &[Part] {
        &self.matrix(range).parts
    }

    /// A row of a matrix that is stored by rows.
    pub fn row(&self, range: &Range<usize>, row: usize, target: &mut [f32]) {
        let matrix = self.matrix(range);
        matrix.read(row, target);
    }

    /// The values of an entry in the order of the layout.
    pub fn values(&self, layout: &Layout, entry: usize, target: &mut [f32]) {
        let range = &layout.entries[entry].range;
        match self.matrix_of(range) {
            Some(matrix) => matrix.values(range, target),
            None => target.copy_from_slice(self.vector(range)),
        }
    }

    /// Calls `each` with the bytes of an entry, piece after piece: little-endian numbers in the order of the layout, or
    /// the blocks of one output after the other.
    pub fn bytes(&self, layout: &Layout, entry: usize, each: &mut dyn FnMut(&[u8])) {
        let (range, kind) = (&layout.entries[entry].range, self.kinds[entry]);
        match self.matrix_of(range) {
            Some(matrix) => matrix.bytes(range, kind, each),
            None => number_bytes(self.vector(range), kind, each),
        }
    }

    fn matrix(&self, range: &Range<usize>) -> &StoredMatrix {
        self.matrix_of(range)
            .expect("the layout's matrices are stored as such")
    }

    /// The matrix that holds a range, unless it is a vector's.
    fn matrix_of(&self, range: &Range<usize>) -> Option<&StoredMatrix> {
        let after = self
            .matrices
            .partition_point(|matrix| matrix.range.start <= range.start);
        let matrix = self.matrices.get(after.checked_sub(1)?)?;
        (range.end <= matrix.range.end).then_some(matrix)
    }
}

impl StoredMatrix {
    /// The outputs that a part of the range holds, as a range of them.
    fn outputs(&self, range: &Range<usize>) -> Range<usize> {
        let start = (range.start - self.range.start) / self.inner;
        start..start + range.len() / self.inner
    }

    fn part_of(&self, output: usize) -> &Part {
        let after = self.parts.partition_point(|part| part.first <= output);
        &self.parts[after - 1]
    }

    /// Inputs' factors of one output, of a matrix by outputs.
    fn read(&self, output: usize, target: &mut [f32]) {
        let part = self.part_of(output);
        let start = (output - part.first) * self.inner;
        part.numbers.read(start..start + self.inner, target);
    }

    fn values(&self, range: &Range<usize>, target: &mut [f32]) {
        match (self.order, self.parts.as_slice()) {
            (Order::OutIn, _) => {
                let rows = target.chunks_exact_mut(self.inner);
                self.outputs(range)
                    .zip(rows)
                    .for_each(|(output, target)| self.read(output, target));
            }
            (
                Order::InOut,
                [
                    Part {
                        numbers: Numbers::Quantised(matrix),
                        ..
                    },
                ],
            ) => {
                // Blocks lie along the inputs of each output, where the layout has them side by side.
                let mut row = vec![0.0; self.inner];
                for output in 0..matrix.rows() {
                    matrix.dequantise_row(output, &mut row);
                    for (target, &value) in target.chunks_exact_mut(matrix.rows()).zip(&row) {
                        target[output] = value;
                    }
                }
            }
            (Order::InOut, parts) => parts[0].numbers.read(0..target.len(), target),
        }
    }

    fn bytes(&self, range: &Range<usize>, kind: TensorType, each: &mut dyn FnMut(&[u8])) {
        if let (Order::InOut, [part]) = (self.order, self.parts.as_slice())
            && !matches!(part.numbers, Numbers::Quantised(_))
        {
            return piece_by_piece(&part.numbers, 0..range.len(), kind, each);
        }
        for output in self.outputs(range) {
            let part = self.part_of(output);
            let start = (output - part.first) * self.inner;
            match &part.numbers {
                Numbers::Quantised(matrix) => {
                    let mut blocks = vec![0; matrix.row_bytes()];
                    matrix.stored_row(output - part.first, &mut blocks);
                    each(&blocks);
                }
                numbers => piece_by_piece(numbers, start..start + self.inner, kind, each),
            }
        }
    }
}

/// Numbers as bytes, some thousand at a time.
fn piece_by_piece(numbers: &Numbers, range: Range<usize>, kind: TensorType, each: &mut dyn FnMut(&[u8])) {
    const PIECE: usize = 4096;
    let mut values = [0.0; PIECE];
    for start in range.clone().step_by(PIECE) {
        let values = &mut values[..PIECE.min(range.end - start)];
        numbers.read(start..start + values.len(), values);
        number_bytes(values, kind, each);
    }
}

/// Numbers of a type that holds them exactly, as little-endian bytes.
fn number_bytes(values: &[f32], kind: TensorType, each: &mut dyn FnMut(&[u8])) {
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
    /// Room for tensors of these types, by the entries of the layout. A vector may not be quantised.
    ///
    /// # Errors
    /// A matrix whose rows are no whole blocks of its type, by its name.
    pub fn new(layout: &'a Layout, kinds: Vec<TensorType>) -> Result<Self> {
        let mut stored = Stored {
            vectors: Vec::new(),
            vector_places: Vec::new(),
            matrices: Vec::new(),
            kinds,
        };
        for linear in layout.linears() {
            let matrix = room(layout, &linear, &stored.kinds)?;
            stored.matrices.push(matrix);
        }
        for entry in &layout.entries {
            if stored.matrix_of(&entry.range).is_none() {
                let start = stored.vectors.len();
                stored.vector_places.push((entry.range.clone(), start));
                stored.vectors.resize(start + entry.range.len(), 0.0);
            }
        }
        Ok(Self { layout, stored })
    }

    /// Of an entry that is read by its blocks, how many outputs it has, and the bytes of each.
    pub fn blocks_of(&self, entry: usize) -> (usize, usize) {
        let (range, kind) = (&self.layout.entries[entry].range, self.stored.kinds[entry]);
        match self.stored.matrix_of(range) {
            Some(matrix) if kind.is_quantised() => (
                range.len() / matrix.inner,
                matrix.inner / kind.block_length() * kind.block_bytes(),
            ),
            _ => (0, 0),
        }
    }

    /// Takes in the values of an entry, in the order of the layout; what its type cannot hold is rounded.
    pub fn set_values(&mut self, entry: usize, values: &[f32]) {
        let range = self.layout.entries[entry].range.clone();
        let matrices = &mut self.stored.matrices;
        let after = matrices.partition_point(|matrix| matrix.range.start <= range.start);
        match after.checked_sub(1).map(|index| &mut matrices[index]) {
            Some(matrix) if range.end <= matrix.range.end => matrix.set_values(&range, values),
            _ => {
                let after = self
                    .stored
                    .vector_places
                    .partition_point(|(place, _)| place.start <= range.start);
                let start = self.stored.vector_places[after - 1].1;
                let target = &mut self.stored.vectors[start..start + range.len()];
                // What is held is what would be written.
                match self.stored.kinds[entry] {
                    TensorType::BF16 => narrow(target, values, |value| bf16::from_f32(value).to_f32()),
                    TensorType::F16 => narrow(target, values, |value| f16::from_f32(value).to_f32()),
                    _ => target.copy_from_slice(values),
                }
            }
        }
    }

    /// Takes in the blocks of one output of an entry; says whether all of their scales are finite.
    pub fn set_blocks(&mut self, entry: usize, output: usize, blocks: &[u8]) -> bool {
        let range = &self.layout.entries[entry].range;
        let matrices = &mut self.stored.matrices;
        let after = matrices.partition_point(|matrix| matrix.range.start <= range.start);
        let matrix = &mut matrices[after - 1];
        let output = match matrix.order {
            Order::OutIn => matrix.outputs(range).start + output,
            Order::InOut => output,
        };
        let after = matrix.parts.partition_point(|part| part.first <= output);
        let part = &mut matrix.parts[after - 1];
        match &mut part.numbers {
            Numbers::Quantised(matrix) => matrix.set_row(output - part.first, blocks),
            _ => unreachable!("numbers come by their values"),
        }
    }

    pub fn finish(self) -> Stored {
        self.stored
    }
}

impl StoredMatrix {
    fn set_values(&mut self, range: &Range<usize>, values: &[f32]) {
        let start = range.start - self.range.start;
        let first = start / self.inner;
        let after = self.parts.partition_point(|part| part.first <= first);
        let part = &mut self.parts[after - 1];
        let start = start - part.first * self.inner;
        let target = start..start + values.len();
        match &mut part.numbers {
            Numbers::F32(numbers) => numbers[target].copy_from_slice(values),
            Numbers::Bf16(numbers) => narrow(&mut numbers[target], values, bf16::from_f32),
            Numbers::F16(numbers) => narrow(&mut numbers[target], values, f16::from_f32),
            Numbers::Quantised(_) => unreachable!("blocks come by outputs"),
        }
    }
}

fn narrow<N>(target: &mut [N], values: &[f32], convert: impl Fn(f32) -> N) {
    for (target, &value) in target.iter_mut().zip(values) {
        *target = convert(value);
    }
}

/// Room for a matrix: tensors that follow each other in one type are one part.
fn room(layout: &Layout, linear: &Linear, kinds: &[TensorType]) -> Result<StoredMatrix> {
    let mut runs: Vec<(TensorType, usize)> = Vec::new();
    let mut names = Vec::new();
    for (entry, &kind) in layout.entries.iter().zip(kinds) {
        if entry.range.start < linear.weight.start || entry.range.end > linear.weight.end {
            continue;
        }
        let outer = entry.range.len() / linear.inner;
        match runs.last_mut() {
            Some((last, count)) if *last == kind => *count += outer,
            _ => {
                runs.push((kind, outer));
                names.push(&entry.name);
            }
        }
    }
    let (mut parts, mut first) = (Vec::new(), 0);
    for ((kind, outer), name) in runs.into_iter().zip(names) {
        let numbers = Numbers::zeros(kind, outer, linear.inner).ok_or_else(|| {
            let problem = format!(
                "has rows of {} values, which do not fill the blocks of {} values that {kind} has",
                linear.inner,
                kind.block_length()
            );
            Error::tensor(name, problem)
        })?;
        parts.push(Part {
            first,
            outer,
            numbers,
        });
        first += outer;
    }
    Ok(StoredMatrix {
        range: linear.weight.clone(),
        inner: linear.inner,
        order: linear.order,
        parts,
    })
}
