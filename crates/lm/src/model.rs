//! A model: its shape and all of its parameters in one flat f32 allocation.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::layout::Layout;
use crate::random::Random;
use crate::{import, tensor_file};

/// Standard deviation of a fresh model's weights.
const INITIAL_DEVIATION: f64 = 0.02;

/// A language model with its weights.
///
/// `Debug` shows the shape and never a weight.
#[derive(Clone)]
pub struct Model {
    config: Config,
    layout: Layout,
    parameters: Vec<f32>,
}

/// One named tensor of a model, row-major.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    /// Name as in Hugging Face's files of the family; GPT-2's without the `transformer.` prefix.
    pub name: &'a str,
    /// Its dimensions; matrices are `[in, out]` in GPT-2 and `[out, in]` in all others, as in those files.
    pub shape: &'a [usize],
    /// Its values.
    pub values: &'a [f32],
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
        Ok(Self {
            config,
            layout,
            parameters,
        })
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
        Ok(Self {
            config,
            layout,
            parameters,
        })
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All tensors in canonical order. A head that is tied to the embedding is not listed.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        self.layout.entries.iter().map(|entry| Tensor {
            name: &entry.name,
            shape: &entry.shape,
            values: &self.parameters[entry.range.clone()],
        })
    }

    /// The weights as a safetensors file that `transformers` reads too (f32, canonical order, no metadata of ours).
    ///
    /// # Errors
    /// None for a model that was made or read by this crate, short of a header beyond 100 MB.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        tensor_file::write(&[("format", "pt")], self.tensors())
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
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
            let count = tensor.values.len() as f64;
            let deviation = (tensor
                .values
                .iter()
                .map(|&v| f64::from(v) * f64::from(v))
                .sum::<f64>()
                / count)
                .sqrt();
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
    fn debug_shows_no_weight() {
        let model = Model::random(Config::gpt2(5, 4, 2, 1, 1).unwrap(), 1).unwrap();
        assert!(!format!("{model:?}").contains("parameters"));
    }
}
