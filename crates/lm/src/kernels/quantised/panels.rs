//! Quantised matrices in the order in which products read them.

use half::f16;

use super::kind::Form;
use super::stored::Parts;
use super::values::dequantise;
use super::{GROUP, LANES};
use crate::kernels::memory::zeros;
use crate::tensor_type::TensorType;

/// A matrix `[rows, columns]` of quantised rows: panels of [`LANES`] rows, the last filled up with rows of zeros. Nothing
/// is rounded on the way in, and the blocks as they were stored can be had back.
#[derive(Clone)]
pub(crate) struct QuantisedMatrix {
    kind: TensorType,
    form: Form,
    rows: usize,
    columns: usize,
    panels: Vec<u8>,
}

impl QuantisedMatrix {
    /// A matrix of zeros; `None` where the type has no blocks, or columns are no whole blocks of it.
    pub fn zeros(kind: TensorType, rows: usize, columns: usize) -> Option<Self> {
        let form = Form::of(kind).filter(|form| columns.is_multiple_of(form.span))?;
        let bytes = rows.div_ceil(LANES) * (columns / form.span) * form.span_bytes();
        Some(Self {
            kind,
            form,
            rows,
            columns,
            panels: zeros(bytes),
        })
    }

    pub fn kind(&self) -> TensorType {
        self.kind
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of a row as it is stored.
    pub fn row_bytes(&self) -> usize {
        self.columns / self.kind.block_length() * self.kind.block_bytes()
    }

    /// Takes in the blocks of a row; says whether all of their scales and minima are finite.
    pub fn set_row(&mut self, row: usize, blocks: &[u8]) -> bool {
        assert!(
            row < self.rows && blocks.len() == self.row_bytes(),
            "{} bytes as row {row} of {}",
            blocks.len(),
            self.rows
        );
        let mut finite = true;
        for (index, block) in blocks.chunks_exact(self.kind.block_bytes()).enumerate() {
            let (form, span) = (self.form, self.span(row, index));
            let parts = Parts::read(self.kind, block);
            finite &= parts.halves[..form.halves]
                .iter()
                .all(|&half| f16::from_bits(half).is_finite());
            each_byte(form, row % LANES, &parts, |place, byte| {
                self.panels[span + place] = byte;
            });
        }
        finite
    }

    /// The blocks of a row as they were stored.
    pub fn stored_row(&self, row: usize, blocks: &mut [u8]) {
        for (index, block) in blocks.chunks_exact_mut(self.kind.block_bytes()).enumerate() {
            let span = &self.panels[self.span(row, index)..][..self.form.span_bytes()];
            parts(self.form, row % LANES, span).write(self.kind, block);
        }
    }

    /// The values of a row.
    pub fn dequantise_row(&self, row: usize, values: &mut [f32]) {
        let mut blocks = vec![0; self.row_bytes()];
        self.stored_row(row, &mut blocks);
        dequantise(self.kind, &blocks, values);
    }

    /// The panels one after the other: rows that begin at a multiple of [`LANES`].
    pub(super) fn panel(&self, index: usize) -> &[u8] {
        let bytes = self.columns / self.form.span * self.form.span_bytes();
        &self.panels[index * bytes..(index + 1) * bytes]
    }

    /// Where the span that holds a block of a row begins.
    fn span(&self, row: usize, block: usize) -> usize {
        let spans = self.columns / self.form.span;
        (row / LANES * spans + block) * self.form.span_bytes()
    }
}

/// Calls `put` with the place in a span and the byte of all that a block of one lane consists of.
fn each_byte(form: Form, lane: usize, parts: &Parts, mut put: impl FnMut(usize, u8)) {
    for (index, half) in parts.halves.iter().enumerate().take(form.halves) {
        for (byte, value) in half.to_le_bytes().into_iter().enumerate() {
            put(half_place(index, lane) + byte, value);
        }
    }
    for group in 0..form.span / GROUP {
        let place = form.head_bytes() + group * form.group_bytes();
        for step in 0..form.steps {
            put(place + step * LANES + lane, parts.steps[group][step]);
        }
        let (place, levels) = (
            place + form.steps * LANES,
            &parts.levels[group * GROUP..][..GROUP],
        );
        if form.nibbles {
            for index in 0..GROUP / 2 {
                put(
                    place + level_place(index, lane),
                    levels[index] & 15 | levels[index + GROUP / 2] << 4,
                );
            }
        } else {
            for (index, &level) in levels.iter().enumerate() {
                put(place + level_place(index, lane), level);
            }
        }
    }
}

/// The block of one lane of a span: the inverse of [`each_byte`].
fn parts(form: Form, lane: usize, span: &[u8]) -> Parts {
    let mut parts = Parts {
        halves: [0; 2],
        steps: [[0; 2]; 8],
        levels: [0; 256],
    };
    for (index, half) in parts.halves.iter_mut().enumerate().take(form.halves) {
        let place = half_place(index, lane);
        *half = u16::from_le_bytes([span[place], span[place + 1]]);
    }
    for group in 0..form.span / GROUP {
        let place = form.head_bytes() + group * form.group_bytes();
        for step in 0..form.steps {
            parts.steps[group][step] = span[place + step * LANES + lane];
        }
        let place = place + form.steps * LANES;
        let levels = &mut parts.levels[group * GROUP..][..GROUP];
        if form.nibbles {
            for index in 0..GROUP / 2 {
                let byte = span[place + level_place(index, lane)];
                levels[index] = byte & 15;
                levels[index + GROUP / 2] = byte >> 4;
            }
        } else {
            for (index, level) in levels.iter_mut().enumerate() {
                *level = span[place + level_place(index, lane)];
            }
        }
    }
    parts
}

fn half_place(index: usize, lane: usize) -> usize {
    2 * (index * LANES + lane)
}

/// Four consecutive values of each lane lie side by side.
fn level_place(index: usize, lane: usize) -> usize {
    (index / 4 * LANES + lane) * 4 + index % 4
}

impl std::fmt::Debug for QuantisedMatrix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} [{}, {}]", self.kind, self.rows, self.columns)
    }
}
