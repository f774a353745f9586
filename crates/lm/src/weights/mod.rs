//! A model's tensors as the network reads them: all in f32, or each in the type that it is stored in.

mod matrix;
mod stored;

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use matrix::{Numbers, Part};
pub(crate) use stored::{Stored, StoredBuilder};

use crate::arithmetic::Arithmetic;
use crate::kernels::number::Number;
use crate::kernels::quantised::activations::Activations;
use crate::kernels::{Matrix, Start, Work, gather, quantised};
use crate::layout::{Linear, Order};

thread_local! {
    /// Activations in 8 bits, kept from one product to the next. A product that runs inside another's wait finds them
    /// gone and makes its own.
    static ACTIVATIONS: Cell<Activations> = Cell::default();
}

/// A view of all tensors, with the arithmetic of products.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    tensors: Tensors<'a>,
    pub arithmetic: Arithmetic,
}

#[derive(Clone, Copy)]
enum Tensors<'a> {
    Flat(&'a [f32]),
    Stored(&'a Stored),
}

impl<'a> Weights<'a> {
    /// f32 tensors, one behind the other as the layout says.
    pub fn flat(parameters: &'a [f32], arithmetic: Arithmetic) -> Self {
        Self {
            tensors: Tensors::Flat(parameters),
            arithmetic,
        }
    }

    pub fn stored(stored: &'a Stored, arithmetic: Arithmetic) -> Self {
        Self {
            tensors: Tensors::Stored(stored),
            arithmetic,
        }
    }

    /// A tensor that is no matrix of a product, or several that follow each other; of flat weights, any.
    pub fn vector(self, range: &Range<usize>) -> &'a [f32] {
        match self.tensors {
            Tensors::Flat(parameters) => &parameters[range.clone()],
            Tensors::Stored(stored) => stored.vector(range),
        }
    }

    /// target = input · matrix, row by row; the bias is left to who reads the target.
    pub fn project(self, target: &mut [f32], input: &[f32], linear: &Linear) {
        match self.tensors {
            Tensors::Flat(parameters) => {
                self.float(target, input, &parameters[linear.weight.clone()], linear);
            }
            Tensors::Stored(stored) => self.parts(target, input, stored.parts(&linear.weight), linear),
        }
    }

    /// Each token's row of a matrix.
    pub fn gather(self, target: &mut [f32], tokens: &[u32], range: &Range<usize>) {
        match self.tensors {
            Tensors::Flat(parameters) => gather::gather(target, tokens, &parameters[range.clone()]),
            Tensors::Stored(stored) => {
                let width = target.len() / tokens.len();
                let rows = target.par_chunks_mut(width).zip(tokens).with_min_len(32);
                rows.for_each(|(target, &token)| stored.row(range, token as usize, target));
            }
        }
    }

    fn float<N: Number>(self, target: &mut [f32], input: &[f32], weight: &[N], linear: &Linear) {
        let rows = input.len() / linear.inner;
        self.arithmetic.multiply(
            target,
            Start::Zero,
            Matrix::new(input, rows, linear.inner),
            matrix(weight, linear),
            Work::Shared,
        );
    }

    fn parts(self, target: &mut [f32], input: &[f32], parts: &[Part], linear: &Linear) {
        if let [part] = parts {
            match &part.numbers {
                Numbers::F32(weight) => return self.float(target, input, weight, linear),
                Numbers::Bf16(weight) => return self.float(target, input, weight, linear),
                Numbers::F16(weight) => return self.float(target, input, weight, linear),
                Numbers::Quantised(_) => {}
            }
        }
        let mut activations = ACTIVATIONS.take();
        if parts
            .iter()
            .any(|part| matches!(part.numbers, Numbers::Quantised(_)))
        {
            activations.quantise(input, linear.inner);
        }
        for part in parts {
            self.part(target, input, &activations, part, linear);
        }
        ACTIVATIONS.set(activations);
    }

    /// One of the matrices that read the same input, into its own columns.
    fn part(
        self,
        target: &mut [f32],
        input: &[f32],
        activations: &Activations,
        part: &Part,
        linear: &Linear,
    ) {
        let own = Linear {
            outer: part.outer,
            ..linear.clone()
        };
        let mut columns = Vec::new();
        if !matches!(part.numbers, Numbers::Quantised(_)) {
            columns.resize(input.len() / linear.inner * part.outer, 0.0);
        }
        match &part.numbers {
            Numbers::F32(weight) => self.float(&mut columns, input, weight, &own),
            Numbers::Bf16(weight) => self.float(&mut columns, input, weight, &own),
            Numbers::F16(weight) => self.float(&mut columns, input, weight, &own),
            Numbers::Quantised(matrix) => {
                return quantised::multiply(
                    target,
                    linear.outer,
                    part.first,
                    activations,
                    matrix,
                    Work::Shared,
                );
            }
        }
        for (target, columns) in target
            .chunks_exact_mut(linear.outer)
            .zip(columns.chunks_exact(part.outer))
        {
            target[part.first..part.first + part.outer].copy_from_slice(columns);
        }
    }
}

/// The matrix of a projection as `[inner, outer]`, however it is stored.
pub(crate) fn matrix<'a, N: Number>(weight: &'a [N], linear: &Linear) -> Matrix<'a, N> {
    match linear.order {
        Order::InOut => Matrix::new(weight, linear.inner, linear.outer),
        Order::OutIn => Matrix::new(weight, linear.outer, linear.inner).transposed(),
    }
}
