//! One matrix in the types of its parts.

use std::ops::Range;

use half::vec::HalfBitsVecExt;
use half::{bf16, f16};

use super::stored::number_bytes;
use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::kernels::number::Number;
use crate::kernels::quantised::QuantisedMatrix;
use crate::layout::{Layout, Linear, Order};
use crate::tensor_type::TensorType;

/// Numbers that are turned into bytes at once.
const PIECE: usize = 4096;

/// One matrix, or several that read the same input.
#[derive(Clone)]
pub(super) struct StoredMatrix {
    /// Where the layout has it.
    pub range: Range<usize>,
    pub inner: usize,
    order: Order,
    pub parts: Vec<Part>,
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
    fn zeros(kind: TensorType, linear: &Linear, outer: usize) -> Option<Self> {
        let count = outer * linear.inner;
        Some(match (kind, linear.order) {
            (TensorType::F32, _) => Self::F32(zeros(count)),
            // As whole numbers, whose zeros come untouched from the system.
            (TensorType::BF16, _) => Self::Bf16(zeros::<u16>(count).reinterpret_into()),
            (TensorType::F16, Order::OutIn) => Self::F16(zeros::<u16>(count).reinterpret_into()),
            // Read in this order f16 is widened number by number, which takes longer than reading f32.
            (TensorType::F16, Order::InOut) => Self::F32(zeros(count)),
            _ => Self::Quantised(QuantisedMatrix::zeros(kind, outer, linear.inner)?),
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

    fn write(&mut self, first: usize, values: &[f32]) {
        let range = first..first + values.len();
        match self {
            Self::F32(numbers) => numbers[range].copy_from_slice(values),
            Self::Bf16(numbers) => narrow(&mut numbers[range], values, bf16::from_f32),
            Self::F16(numbers) => narrow(&mut numbers[range], values, f16::from_f32),
            Self::Quantised(_) => unreachable!("blocks come by outputs"),
        }
    }

    /// The bytes of some numbers, some thousand at a time.
    fn bytes(&self, range: Range<usize>, kind: TensorType, each: &mut dyn FnMut(&[u8])) {
        let mut values = [0.0; PIECE];
        for start in range.clone().step_by(PIECE) {
            let values = &mut values[..PIECE.min(range.end - start)];
            self.read(start..start + values.len(), values);
            number_bytes(values, kind, each);
        }
    }
}

impl StoredMatrix {
    /// Room for a matrix: tensors that follow each other in one type are one part.
    pub fn room(layout: &Layout, linear: &Linear, kinds: &[TensorType]) -> Result<Self> {
        let mut runs: Vec<(TensorType, usize, &str)> = Vec::new();
        let inside = layout.entries.iter().zip(kinds).filter(|(entry, _)| {
            linear.weight.start <= entry.range.start && entry.range.end <= linear.weight.end
        });
        for (entry, &kind) in inside {
            let outer = entry.range.len() / linear.inner;
            match runs.last_mut() {
                Some((last, count, _)) if *last == kind => *count += outer,
                _ => runs.push((kind, outer, &entry.name)),
            }
        }
        let (mut parts, mut first) = (Vec::new(), 0);
        for (kind, outer, name) in runs {
            let numbers = Numbers::zeros(kind, linear, outer).ok_or_else(|| {
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
        Ok(Self {
            range: linear.weight.clone(),
            inner: linear.inner,
            order: linear.order,
            parts,
        })
    }

    /// The factors of the inputs for one output, of a matrix by outputs.
    pub fn read(&self, output: usize, target: &mut [f32]) {
        let part = &self.parts[self.part_at(output)];
        let start = (output - part.first) * self.inner;
        part.numbers.read(start..start + self.inner, target);
    }

    /// The values of a tensor of the matrix in the order of the layout.
    pub fn values(&self, range: &Range<usize>, target: &mut [f32]) {
        match (self.order, &self.parts[0].numbers) {
            (Order::OutIn, _) => {
                let rows = target.chunks_exact_mut(self.inner);
                self.outputs(range)
                    .zip(rows)
                    .for_each(|(output, target)| self.read(output, target));
            }
            (Order::InOut, Numbers::Quantised(matrix)) => {
                // Blocks lie along the inputs of each output, where the layout has them side by side.
                let mut row = vec![0.0; self.inner];
                for output in 0..matrix.rows() {
                    matrix.dequantise_row(output, &mut row);
                    for (target, &value) in target.chunks_exact_mut(matrix.rows()).zip(&row) {
                        target[output] = value;
                    }
                }
            }
            (Order::InOut, numbers) => numbers.read(0..target.len(), target),
        }
    }

    /// The bytes of a tensor of the matrix, piece after piece: of blocks, output by output.
    pub fn bytes(&self, range: &Range<usize>, kind: TensorType, each: &mut dyn FnMut(&[u8])) {
        if self.order == Order::InOut && !kind.is_quantised() {
            return self.parts[0].numbers.bytes(0..range.len(), kind, each);
        }
        for output in self.outputs(range) {
            let part = &self.parts[self.part_at(output)];
            match &part.numbers {
                Numbers::Quantised(matrix) => {
                    let mut blocks = vec![0; matrix.row_bytes()];
                    matrix.stored_row(output - part.first, &mut blocks);
                    each(&blocks);
                }
                numbers => {
                    let start = (output - part.first) * self.inner;
                    numbers.bytes(start..start + self.inner, kind, each);
                }
            }
        }
    }

    /// Takes in the values of a tensor of the matrix, in the order of the layout.
    pub fn set_values(&mut self, range: &Range<usize>, values: &[f32]) {
        // Of a matrix by inputs there is one tensor.
        let first = self.outputs(range).start;
        let index = self.part_at(first);
        let part = &mut self.parts[index];
        part.numbers.write((first - part.first) * self.inner, values);
    }

    /// Takes in the blocks of one output of a tensor of the matrix; says whether their scales and minima are finite.
    pub fn set_blocks(&mut self, range: &Range<usize>, output: usize, blocks: &[u8]) -> bool {
        let output = self.outputs(range).start + output;
        let index = self.part_at(output);
        let part = &mut self.parts[index];
        match &mut part.numbers {
            Numbers::Quantised(matrix) => matrix.set_row(output - part.first, blocks),
            _ => unreachable!("numbers come by their values"),
        }
    }

    /// The outputs of a tensor of the matrix.
    fn outputs(&self, range: &Range<usize>) -> Range<usize> {
        let start = (range.start - self.range.start) / self.inner;
        start..start + range.len() / self.inner
    }

    fn part_at(&self, output: usize) -> usize {
        self.parts.partition_point(|part| part.first <= output) - 1
    }
}

fn widen<N: Number>(values: &[N], target: &mut [f32]) {
    for (target, value) in target.iter_mut().zip(values) {
        *target = value.widen();
    }
}

fn narrow<N>(target: &mut [N], values: &[f32], convert: impl Fn(f32) -> N) {
    for (target, &value) in target.iter_mut().zip(values) {
        *target = convert(value);
    }
}
