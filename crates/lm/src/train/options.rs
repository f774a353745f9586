//! What a training is asked to do.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Error, Result};

/// Most tokens in one micro-batch.
const MAXIMUM_ROWS: usize = 1 << 22;

/// How to train. The defaults suit a model of about a million parameters; everything but `threads` decides bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// Sequences in one micro-batch.
    pub batch: usize,
    /// Tokens in one sequence, at most the model's context; a text shorter than that shortens it.
    pub sequence: usize,
    /// Micro-batches whose gradients are added up in one step.
    pub accumulate: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f64,
    /// Learning rate at the last step.
    pub minimum_learning_rate: f64,
    /// Steps over which the learning rate rises from zero, linearly.
    pub warmup_steps: u64,
    /// Decoupled weight decay of matrices (embeddings too), not of biases and normalisations.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the deviation in the update.
    pub epsilon: f64,
    /// Largest global norm of the gradient; what is longer is scaled down.
    pub clip: f64,
    /// Steps between two looks at the held-out loss; 0 looks only after the last step.
    pub evaluate_every: u64,
    /// Most held-out windows of `sequence` tokens that one look reads.
    pub evaluate_windows: usize,
    /// Seed of the order of the text.
    pub seed: u64,
    /// Threads to use; they change no bit and are no part of the serialised form.
    #[serde(skip, default = "one")]
    pub threads: usize,
}

fn one() -> usize {
    1
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            batch: 8,
            sequence: 128,
            accumulate: 1,
            steps: 1000,
            learning_rate: 3e-3,
            minimum_learning_rate: 3e-4,
            warmup_steps: 50,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            clip: 1.0,
            evaluate_every: 0,
            evaluate_windows: 64,
            seed: 0,
            threads: 1,
        }
    }
}

impl TrainOptions {
    /// Tokens that one step reads, where the text is no shorter than a sequence.
    pub fn tokens_per_step(&self) -> u64 {
        [self.batch, self.sequence, self.accumulate]
            .into_iter()
            .fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
    }

    /// Checks every number, also against the shape of the model.
    ///
    /// # Errors
    /// The first option out of its range, by name.
    pub fn check(&self, config: &Config) -> Result<()> {
        for (name, count) in [
            ("batch", self.batch as u64),
            ("sequence", self.sequence as u64),
            ("accumulate", self.accumulate as u64),
            ("steps", self.steps),
            ("evaluate_windows", self.evaluate_windows as u64),
        ] {
            expect(
                name,
                count,
                (1..=1 << 32).contains(&count),
                "between 1 and 4294967296",
            )?;
        }
        if self.sequence > config.context {
            let problem = format!(
                "is {}, but the model's context holds {} tokens",
                self.sequence, config.context
            );
            return Err(Error::options("sequence", problem));
        }
        let rows = self.batch.saturating_mul(self.sequence);
        expect(
            "batch",
            self.batch,
            rows <= MAXIMUM_ROWS,
            "so that batch × sequence is at most 4194304",
        )?;
        let (rate, least) = (self.learning_rate, self.minimum_learning_rate);
        expect(
            "learning_rate",
            rate,
            rate > 0.0 && rate <= 1.0,
            "above 0 and at most 1",
        )?;
        expect(
            "minimum_learning_rate",
            least,
            (0.0..=rate).contains(&least),
            "between 0 and the learning rate",
        )?;
        expect(
            "warmup_steps",
            self.warmup_steps,
            self.warmup_steps <= self.steps,
            "at most the number of steps",
        )?;
        expect(
            "weight_decay",
            self.weight_decay,
            (0.0..=1.0).contains(&self.weight_decay),
            "between 0 and 1",
        )?;
        expect(
            "beta1",
            self.beta1,
            (0.0..1.0).contains(&self.beta1),
            "at least 0 and below 1",
        )?;
        expect(
            "beta2",
            self.beta2,
            (0.0..1.0).contains(&self.beta2),
            "at least 0 and below 1",
        )?;
        expect(
            "epsilon",
            self.epsilon,
            self.epsilon >= 1e-12 && self.epsilon <= 1.0,
            "between 1e-12 and 1",
        )?;
        expect(
            "clip",
            self.clip,
            self.clip > 0.0 && self.clip.is_finite(),
            "above 0",
        )
    }

    /// The learning rate of a step, counted from 0: a linear warm-up, then half a cosine (Loshchilov and Hutter, arXiv
    /// 1608.03983) that reaches the minimum at the last step.
    pub(crate) fn learning_rate_at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let span = (self.steps - 1).saturating_sub(self.warmup_steps).max(1);
        let progress = (step - self.warmup_steps) as f64 / span as f64;
        let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress));
        self.minimum_learning_rate + (self.learning_rate - self.minimum_learning_rate) * cosine
    }
}

fn expect(name: &'static str, value: impl std::fmt::Display, holds: bool, expected: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::options(name, format!("is {value}: it must be {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_rises_then_falls_to_the_minimum() {
        let options = TrainOptions {
            steps: 101,
            warmup_steps: 10,
            learning_rate: 1.0,
            minimum_learning_rate: 0.1,
            ..TrainOptions::default()
        };
        assert_eq!(options.learning_rate_at(0), 0.1);
        assert_eq!(options.learning_rate_at(9), 1.0);
        assert_eq!(options.learning_rate_at(10), 1.0);
        assert!((options.learning_rate_at(55) - 0.55).abs() < 1e-12);
        assert!((options.learning_rate_at(100) - 0.1).abs() < 1e-12);
        let single = TrainOptions {
            steps: 1,
            warmup_steps: 0,
            ..options
        };
        assert_eq!(single.learning_rate_at(0), 1.0);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let config = Config::gpt2(10, 16, 4, 1, 1).unwrap();
        let base = || TrainOptions {
            sequence: 16,
            ..TrainOptions::default()
        };
        assert!(base().check(&config).is_ok());
        for (options, name) in [
            (TrainOptions { batch: 0, ..base() }, "batch"),
            (
                TrainOptions {
                    batch: usize::MAX,
                    ..base()
                },
                "batch",
            ),
            (
                TrainOptions {
                    sequence: 17,
                    ..base()
                },
                "sequence",
            ),
            (TrainOptions { steps: 0, ..base() }, "steps"),
            (
                TrainOptions {
                    accumulate: 0,
                    ..base()
                },
                "accumulate",
            ),
            (
                TrainOptions {
                    learning_rate: f64::NAN,
                    ..base()
                },
                "learning_rate",
            ),
            (
                TrainOptions {
                    minimum_learning_rate: 1.0,
                    ..base()
                },
                "minimum_learning_rate",
            ),
            (
                TrainOptions {
                    warmup_steps: 1 << 40,
                    ..base()
                },
                "warmup_steps",
            ),
            (
                TrainOptions {
                    weight_decay: -1.0,
                    ..base()
                },
                "weight_decay",
            ),
            (TrainOptions { beta1: 1.0, ..base() }, "beta1"),
            (
                TrainOptions {
                    beta2: -0.1,
                    ..base()
                },
                "beta2",
            ),
            (
                TrainOptions {
                    epsilon: 0.0,
                    ..base()
                },
                "epsilon",
            ),
            (
                TrainOptions {
                    clip: f64::INFINITY,
                    ..base()
                },
                "clip",
            ),
        ] {
            let message = options.check(&config).unwrap_err().to_string();
            assert!(message.contains(&format!("`{name}`")), "{name}: {message}");
        }
    }

    #[test]
    fn the_serialised_form_has_no_threads() {
        let options = TrainOptions {
            threads: 7,
            ..TrainOptions::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        assert!(!text.contains("threads"));
        assert_eq!(
            serde_json::from_str::<TrainOptions>(&text).unwrap(),
            TrainOptions::default()
        );
    }
}
