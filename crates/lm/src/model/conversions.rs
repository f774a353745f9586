//! The same model, held otherwise.

use super::{Model, Parameters};
use crate::config::Rotary;
use crate::error::Result;
use crate::kernels::memory::zeros;
use crate::layout::Layout;
use crate::tensor_type::TensorType;
use crate::weights::StoredBuilder;

impl Model {
    /// The same model with all tensors in f32, as training needs it. Nothing is rounded.
    pub fn into_f32(self) -> Self {
        let Parameters::Stored(stored) = &self.parameters else {
            return self;
        };
        let mut parameters = zeros(self.layout.total);
        for (index, entry) in self.layout.entries.iter().enumerate() {
            stored.values(&self.layout, index, &mut parameters[entry.range.clone()]);
        }
        Self {
            parameters: Parameters::Flat(parameters),
            ..self
        }
    }

    /// The same model with other rotary positions.
    pub(crate) fn with_rotary(mut self, rotary: Option<Rotary>) -> Self {
        self.config.rotary = rotary;
        self
    }

    /// The same model, its head tied to the embedding if the two are stored alike and equal.
    pub(crate) fn with_equal_head_tied(mut self) -> Self {
        let (embedding, head) = (&self.layout.embedding, &self.layout.head);
        let last = self.layout.entries.len() - 1;
        let equal = match &self.parameters {
            _ if embedding == head || self.kind(0) != self.kind(last) => false,
            Parameters::Flat(parameters) => {
                let pairs = parameters[embedding.clone()]
                    .iter()
                    .zip(&parameters[head.clone()]);
                pairs
                    .into_iter()
                    .all(|(one, other)| one.to_bits() == other.to_bits())
            }
            Parameters::Stored(stored) => stored.equal_rows(embedding, head, self.config.width, self.kind(0)),
        };
        if !equal {
            return self;
        }
        self.config.tied_head = true;
        self.layout = Layout::new(&self.config);
        match &mut self.parameters {
            Parameters::Flat(parameters) => {
                parameters.truncate(self.layout.total);
                parameters.shrink_to_fit();
            }
            Parameters::Stored(stored) => stored.remove_head(),
        }
        self
    }

    /// The same model with its matrices rounded to bf16: half the bytes, and other bits unless they were bf16 before.
    ///
    /// Numbers beyond 3.39e38 become infinite.
    ///
    /// # Errors
    /// None in practice.
    pub fn rounded_to_bf16(self) -> Result<Self> {
        let model = self.into_f32();
        let kinds = model.layout.entries.iter().map(|entry| {
            if entry.shape.len() == 2 {
                TensorType::BF16
            } else {
                TensorType::F32
            }
        });
        let mut builder = StoredBuilder::new(&model.layout, kinds.collect())?;
        let Parameters::Flat(parameters) = &model.parameters else {
            return Ok(model);
        };
        for (index, entry) in model.layout.entries.iter().enumerate() {
            builder.set_values(index, &parameters[entry.range.clone()]);
        }
        let stored = builder.finish();
        Ok(Self {
            parameters: Parameters::Stored(stored),
            ..model
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_head_that_equals_the_embedding_is_tied_and_no_other() {
        let config = Config::llama(37, 16, 8, 2, 2, 2, 16).unwrap();
        let model = Model::random(config, 1).unwrap();
        let head = model.layout.head.start;
        for change in [0, 36 * 8, 37 * 8 - 1] {
            let (mut same, mut other) = (model.clone(), model.clone());
            for (changed, difference) in [(&mut same, 0.0), (&mut other, 1.0)] {
                let Parameters::Flat(parameters) = &mut changed.parameters else {
                    unreachable!("a random model is flat");
                };
                parameters.copy_within(0..37 * 8, head);
                parameters[head + change] += difference;
            }
            for round in [false, true] {
                let held = |model: &Model| match round {
                    true => model.clone().rounded_to_bf16().unwrap(),
                    false => model.clone(),
                };
                assert!(!held(&other).with_equal_head_tied().config.tied_head);
                let tied = held(&same).with_equal_head_tied();
                assert!(tied.config.tied_head && tied.layout.head == tied.layout.embedding);
                let names = |model: &Model| {
                    model
                        .tensors()
                        .map(|tensor| tensor.name.to_owned())
                        .collect::<Vec<_>>()
                };
                let untied = held(&same);
                assert_eq!(names(&tied)[..], names(&untied)[..names(&untied).len() - 1]);
                for (one, before) in tied.tensors().zip(untied.tensors()) {
                    assert_eq!(one.values(), before.values(), "{}", one.name);
                }
            }
        }
    }
}
