//! Activations in 8 bits, for products in whole numbers.

use half::f16;
use rayon::prelude::*;

use super::GROUP;
use crate::kernels::instructions::vectorise;

/// Numbers that one task quantises, in whole rows.
const PIECE: usize = 8192;
/// Adding and subtracting this rounds an f32 below 2^22 to the nearest whole number, and leaves it in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Rows of activations, every [`GROUP`] consecutive values of a row with a scale of their own.
#[derive(Default)]
pub(crate) struct Activations {
    columns: usize,
    /// `[rows, columns]`
    levels: Vec<i8>,
    /// `[rows, columns / 32]`
    scales: Vec<Scale>,
}

/// What belongs to 32 activations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Scale {
    /// The factor of the levels, a 16-bit number.
    pub factor: f32,
    /// The sum of the levels.
    pub count: i32,
    /// The sum of the values, rounded to 16 bits: the factor before it was rounded, times the sum of the levels.
    pub sum: f32,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub levels: &'a [i8],
    pub scales: &'a [Scale],
}

impl Activations {
    /// Quantises rows `[rows, columns]` in place of what was here before. A number that is not finite, or beyond 8.3 million,
    /// makes the factor of its group not finite, and so all that is computed with it.
    pub fn quantise(&mut self, values: &[f32], columns: usize) {
        assert!(
            columns.is_multiple_of(GROUP) && values.len().is_multiple_of(columns),
            "{} activations in rows of {columns}",
            values.len()
        );
        self.columns = columns;
        self.levels.resize(values.len(), 0);
        self.scales.resize(values.len() / GROUP, Scale::default());
        let piece = (PIECE / columns).max(1) * columns;
        let pieces = self
            .levels
            .par_chunks_mut(piece)
            .zip(self.scales.par_chunks_mut(piece / GROUP));
        pieces
            .zip(values.par_chunks(piece))
            .for_each(|((levels, scales), values)| {
                vectorise!({
                    let groups = levels
                        .as_chunks_mut::<GROUP>()
                        .0
                        .iter_mut()
                        .zip(values.as_chunks::<GROUP>().0);
                    for ((levels, values), scale) in groups.zip(scales) {
                        *scale = quantise(values, levels);
                    }
                });
            });
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.levels.len() / self.columns
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn row(&self, row: usize) -> Row<'_> {
        let groups = self.columns / GROUP;
        Row {
            levels: &self.levels[row * self.columns..(row + 1) * self.columns],
            scales: &self.scales[row * groups..(row + 1) * groups],
        }
    }
}

/// Levels are `value × 127 / largest`, rounded to the nearest whole number, halves to even.
#[inline(always)]
fn quantise(values: &[f32; GROUP], levels: &mut [i8; GROUP]) -> Scale {
    // As whole numbers, so that what is not finite is larger than all else.
    let mut largest = 0;
    for value in values {
        largest = largest.max(value.to_bits() & 0x7fff_ffff);
    }
    let largest = f32::from_bits(largest);
    let inverse = 127.0 / largest;
    // Of numbers so small that their factor is 0 in 16 bits.
    let inverse = if inverse == f32::INFINITY { 0.0 } else { inverse };
    let mut count = 0;
    for (level, value) in levels.iter_mut().zip(values) {
        let rounded = (value * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i8;
        *level = rounded;
        count += i32::from(rounded);
    }
    let factor = largest / 127.0;
    Scale {
        factor: f16::from_f32(factor).to_f32(),
        count,
        sum: f16::from_f32(factor * count as f32).to_f32(),
    }
}
