//! A model: its shape and its parameters.

mod conversions;

use std::borrow::Cow;

use crate::arithmetic::Arithmetic;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::kernels::quantised::dequantise;
use crate::layout::Layout;
use crate::random::Random;
use crate::tensor_file::FileTensor;
use crate::tensor_type::TensorType;
use crate::weights::{Stored, Weights};
use crate::{import, tensor_file};

/// Standard deviation of a fresh model's weights.
const INITIAL_DEVIATION: f64 = 0.02;

/// A language model with its weights.
///
/// Weights are held in the types that they were stored in. `Debug` shows the shape and never a weight.
#[derive(Clone)]
pub struct Model {
    config: Config,
    layout: Layout,
    parameters: Parameters,
    arithmetic: Arithmetic,
}

#[derive(Clone)]
enum Parameters {
    /// All in f32, in one allocation: what training works on.
    Flat(Vec<f32>),
    /// Each in its own type.
    Stored(Stored),
}

/// One named tensor of a model.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    /// Name as in Hugging Face's files of the family; GPT-2's without the `transformer.` prefix.
    pub name: &'a str,
    /// Its dimensions; matrices are `[in, out]` in GPT-2 and `[out, in]` in all others, as in those files.
    pub shape: &'a [usize],
    /// How its values are stored.
    pub kind: TensorType,
    model: &'a Model,
    index: usize,
}

impl Model {
    /// A fresh model, initialised as its family is: normal weights of deviation 0.02, biases 0, normalisations 1; in
    /// GPT-2, the two projections back into the residual stream are scaled by 1/√(2 × layers).
    ///
    /// # Errors
    /// A shape outside the engine's limits.
    pub fn random(config: Config, seed: u64) -> Result<Self> {
        config.check()?;
        let layout = Layout::new(&config);
        let mut parameters = zeros(layout.total);
        let residual = INITIAL_DEVIATION / libm::sqrt(2.0 * config.layers as f64);
        for (index, entry) in layout.entries.iter().enumerate() {
            let values = &mut parameters[entry.range.clone()];
            if entry.decays() {
                let deviation = if entry.name.ends_with("c_proj.weight") {
                    residual
                } else {
                    INITIAL_DEVIATION
                };
                fill_normal(
                    values,
                    deviation,
                    &mut Random::new("initial weights", seed, index as u64),
                );
            } else if !entry.name.ends_with("bias") {
                values.fill(1.0);
            }
        }
        Ok(Self::flat(config, layout, parameters))
    }

    /// Reads the tensors of a safetensors file (f32, f16 or bf16) as a model of this shape; names and types as
    /// in [`import_folder`](crate::import_folder).
    ///
    /// # Errors
    /// A file that is not safetensors, or a tensor that is missing, unknown, misshapen or not finite, by its name.
    pub fn from_safetensors(config: Config, bytes: &[u8]) -> Result<Self> {
        config.check()?;
        import::model(config, bytes)
    }

    pub(crate) fn from_parameters(config: Config, parameters: Vec<f32>) -> Result<Self> {
        let layout = Layout::new(&config);
        if parameters.len() != layout.total {
            let problem = format!(
                "a model of {} numbers was given {}",
                layout.total,
                parameters.len()
            );
            return Err(Error::Bug { problem });
        }
        Ok(Self::flat(config, layout, parameters))
    }

    /// A model of tensors in their own types. One that is all f32 is better made by
    /// [`from_parameters`](Self::from_parameters): what is trained is flat.
    pub(crate) fn from_stored(config: Config, layout: Layout, stored: Stored) -> Self {
        Self {
            config,
            layout,
            parameters: Parameters::Stored(stored),
            arithmetic: Arithmetic::F32,
        }
    }

    fn flat(config: Config, layout: Layout, parameters: Vec<f32>) -> Self {
        Self {
            config,
            layout,
            parameters: Parameters::Flat(parameters),
            arithmetic: Arithmetic::F32,
        }
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All tensors in canonical order. A head that is tied to the embedding is not listed.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        self.layout
            .entries
            .iter()
            .enumerate()
            .map(|(index, entry)| Tensor {
                name: &entry.name,
                shape: &entry.shape,
                kind: self.kind(index),
                model: self,
                index,
            })
    }

    /// The weights as a safetensors file that `transformers` reads too (f32, canonical order, no metadata of ours).
    ///
    /// # Errors
    /// None for a model that was made or read by this crate, short of a header beyond 100 MB.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let tensors: Vec<FileTensor<'_>> = self
            .tensors()
            .map(|tensor| FileTensor::f32(tensor.name, tensor.shape))
            .collect();
        let mut bytes = tensor_file::head(&[("format", "pt")], &tensors);
        for tensor in self.tensors() {
            tensor_file::push_values(&mut bytes, &tensor.values());
        }
        Ok(bytes)
    }

    /// In what its products are computed.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The same model, its products computed in another arithmetic. It decides the bits of all results, and is no part of
    /// a bundle.
    ///
    /// # Errors
    /// [`Error::Options`] for a model with quantised matrices, whose products are in whole numbers, and for instructions
    /// that this machine lacks.
    pub fn with_arithmetic(mut self, arithmetic: Arithmetic) -> Result<Self> {
        arithmetic.check(self.tensors().map(|tensor| (tensor.name, tensor.kind)))?;
        self.arithmetic = arithmetic;
        Ok(self)
    }

    /// Bytes of its tensors as they are stored. In memory levels of 5 and 6 bits take 8.
    pub fn parameter_bytes(&self) -> u64 {
        self.tensors().map(|tensor| tensor.stored_bytes()).sum()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the network reads.
    pub(crate) fn weights(&self) -> Weights<'_> {
        match &self.parameters {
            Parameters::Flat(parameters) => Weights::flat(parameters, self.arithmetic),
            Parameters::Stored(stored) => Weights::stored(stored, self.arithmetic),
        }
    }

    /// All parameters in f32. Panics for a model that was not made so by [`into_f32`](Self::into_f32).
    pub(crate) fn parameters(&self) -> &[f32] {
        match &self.parameters {
            Parameters::Flat(parameters) => parameters,
            Parameters::Stored(_) => panic!("parameters of a model that is not all f32"),
        }
    }

    /// As [`parameters`](Self::parameters).
    pub(crate) fn parameters_mut(&mut self) -> &mut [f32] {
        match &mut self.parameters {
            Parameters::Flat(parameters) => parameters,
            Parameters::Stored(_) => panic!("parameters of a model that is not all f32"),
        }
    }

    fn kind(&self, entry: usize) -> TensorType {
        match &self.parameters {
            Parameters::Flat(_) => TensorType::F32,
            Parameters::Stored(stored) => stored.kind(entry),
        }
    }
}

impl<'a> Tensor<'a> {
    /// Its values in f32, row-major.
    pub fn values(&self) -> Cow<'a, [f32]> {
        let entry = &self.model.layout.entries[self.index];
        match &self.model.parameters {
            Parameters::Flat(parameters) => Cow::Borrowed(&parameters[entry.range.clone()]),
            Parameters::Stored(stored) => {
                let mut values = vec![0.0; entry.range.len()];
                stored.values(&self.model.layout, self.index, &mut values);
                Cow::Owned(values)
            }
        }
    }

    /// Calls `each` with its values in f32, row-major, piece after piece; those of blocks come in one.
    pub fn value_pieces(&self, each: &mut dyn FnMut(&[f32])) {
        if self.kind == TensorType::F32 || self.kind.is_quantised() {
            return each(&self.values());
        }
        let mut values = Vec::new();
        self.bytes(&mut |bytes| {
            values.resize(bytes.len() / self.kind.block_bytes(), 0.0);
            dequantise(self.kind, bytes, &mut values);
            each(&values);
        });
    }

    /// Calls `each` with the bytes that it is stored as, piece after piece: little-endian numbers, row-major, or blocks,
    /// those of one output of a matrix after the other.
    pub fn bytes(&self, each: &mut dyn FnMut(&[u8])) {
        match &self.model.parameters {
            Parameters::Flat(_) => {
                const PIECE: usize = 4096;
                for values in self.values().chunks(PIECE) {
                    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    each(&bytes);
                }
            }
            Parameters::Stored(stored) => stored.bytes(&self.model.layout, self.index, each),
        }
    }

    /// How many bytes those are.
    pub fn stored_bytes(&self) -> u64 {
        self.kind.bytes_of(self.shape.iter().product())
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Model")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tensor<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tensor")
            .field("name", &self.name)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

fn fill_normal(values: &mut [f32], deviation: f64, random: &mut Random) {
    for pair in values.chunks_mut(2) {
        for (value, normal) in pair.iter_mut().zip(random.normal_pair()) {
            *value = (normal * deviation) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_weights_repeat_by_seed_and_have_the_right_spread() {
        let config = Config::gpt2(500, 16, 32, 2, 4).unwrap();
        let model = Model::random(config.clone(), 1).unwrap();
        assert_eq!(
            model.parameters(),
            Model::random(config.clone(), 1).unwrap().parameters()
        );
        assert_ne!(model.parameters(), Model::random(config, 2).unwrap().parameters());
        for tensor in model.tensors() {
            let values = tensor.values();
            let count = values.len() as f64;
            let deviation = (values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / count).sqrt();
            let expected = match tensor.name {
                name if name.ends_with("c_proj.weight") => 0.01,
                name if name.ends_with("bias") => 0.0,
                name if name.contains("ln_") => 1.0,
                _ => 0.02,
            };
            assert!(
                (deviation - expected).abs() < 0.002,
                "{}: {deviation}",
                tensor.name
            );
        }
    }

    #[test]
    fn what_is_rounded_is_held_as_it_would_be_written() {
        let model = Model::random(Config::gpt2(30, 6, 8, 2, 2).unwrap(), 1).unwrap();
        let rounded = model.clone().rounded_to_bf16().unwrap();
        for (tensor, before) in rounded.tensors().zip(model.tensors()) {
            let is_matrix = tensor.shape.len() == 2;
            assert_eq!(tensor.kind == TensorType::BF16, is_matrix, "{}", tensor.name);
            let mut bytes = Vec::new();
            tensor.bytes(&mut |piece| bytes.extend_from_slice(piece));
            let mut written = vec![0.0; tensor.values().len()];
            crate::kernels::quantised::dequantise(tensor.kind, &bytes, &mut written);
            assert_eq!(*tensor.values(), written, "{}", tensor.name);
            let before = before.values();
            let mut pairs = written.iter().zip(before.iter());
            assert!(pairs.all(|(one, other)| (one - other).abs() <= other.abs() / 256.0));
        }
        assert_eq!(
            rounded.clone().into_f32().tensors().len(),
            rounded.tensors().len()
        );
    }

    #[test]
    fn debug_shows_no_weight() {
        let model = Model::random(Config::gpt2(5, 4, 2, 1, 1).unwrap(), 1).unwrap();
        assert!(!format!("{model:?}").contains("parameters"));
    }
}
