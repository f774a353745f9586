//! The training loop, one step at a time.

use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use super::checkpoint;
use super::options::TrainOptions;
use crate::data::{TrainingData, Windows};
use crate::error::{Error, Result};
use crate::evaluate::{Scorer, Window};
use crate::kernels::elementwise::{AdamStep, adam};
use crate::kernels::loss::Score;
use crate::kernels::memory::zeros;
use crate::kernels::reduce::sum_of_squares;
use crate::model::Model;
use crate::network::{Activations, BackwardBuffers, Shape, backward, forward, score_rows_backward};
use crate::threads;

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// This step, counted from 1.
    pub step: u64,
    /// Steps of the whole training.
    pub steps: u64,
    /// Mean loss over the step's tokens before its update, in nats per token.
    pub loss: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens read so far, this step included.
    pub tokens: u64,
    /// Mean held-out loss after the update, where the options ask for a look now and there is held-out text.
    pub held_out_loss: Option<f64>,
}

/// A training in progress: the caller decides when to take the next step, to look, to save or to stop.
pub struct Trainer {
    pub(super) model: Model,
    pub(super) options: TrainOptions,
    pub(super) data: TrainingData,
    /// Steps taken.
    pub(super) step: u64,
    pub(super) moments: Moments,
    pub(super) gradients: Vec<f32>,
    activations: Activations,
    backward: BackwardBuffers,
    logits: Vec<f32>,
    pub(super) scores: Vec<Score>,
    windows: Windows,
    shape: Shape,
    pool: ThreadPool,
}

/// AdamW's state, laid out as the parameters.
pub(super) struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Trainer {
    /// Begins a training of `model` on `data`, in the model's arithmetic and with weights in f32 whatever they were stored
    /// in.
    ///
    /// # Errors
    /// Options out of range, or data whose tokens are outside the model's vocabulary.
    pub fn new(model: Model, data: TrainingData, options: TrainOptions) -> Result<Self> {
        let total = model.layout().total;
        let moments = Moments {
            first: zeros(total),
            second: zeros(total),
        };
        Self::continued(model, data, options, moments, 0)
    }

    /// Goes on from a checkpoint, with the bits of a training that was never interrupted.
    ///
    /// # Errors
    /// Bytes that are no checkpoint of this engine version, or data other than those of the checkpoint.
    pub fn resume(bytes: &[u8], data: TrainingData, threads: usize) -> Result<Self> {
        let saved = checkpoint::read(bytes, &data)?;
        let options = TrainOptions {
            threads,
            ..saved.options
        };
        Self::continued(saved.model, data, options, saved.moments, saved.step)
    }

    fn continued(
        model: Model,
        data: TrainingData,
        options: TrainOptions,
        moments: Moments,
        step: u64,
    ) -> Result<Self> {
        let model = model.into_f32();
        let config = model.config();
        options.check(config)?;
        if data.highest_token() as usize >= config.vocabulary {
            let problem = format!(
                "holds token {}, outside the model's vocabulary of {}: it was made with another tokenizer",
                data.highest_token(),
                config.vocabulary
            );
            return Err(Error::text(problem));
        }
        let shape = Shape {
            batch: options.batch,
            length: data.window_length(options.sequence),
        };
        Ok(Self {
            gradients: zeros(model.layout().total),
            activations: Activations::new(config, shape, true),
            backward: BackwardBuffers::new(config, shape),
            logits: Vec::new(),
            scores: vec![Score::default(); shape.rows()],
            windows: Windows::new(options.seed, shape.length),
            shape,
            pool: threads::pool(options.threads)?,
            model,
            options,
            data,
            step,
            moments,
        })
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`Error::Finished`] after the last one, and [`Error::NotFinite`] where loss or gradient is not finite: then no
    /// parameter, moment or counter has changed, and a checkpoint is that of the step before.
    /// A held-out loss that is not finite is told by the same error, after the step was taken.
    pub fn step(&mut self) -> Result<StepReport> {
        if self.finished() {
            return Err(Error::Finished {
                steps: self.options.steps,
            });
        }
        let accumulate = self.options.accumulate as u64;
        self.gradients.fill(0.0);
        let mut nats = 0.0;
        for micro in 0..accumulate {
            let first = (self.step * accumulate + micro) * self.options.batch as u64;
            let (mut inputs, mut targets) = (Vec::new(), Vec::new());
            for sequence in 0..self.options.batch as u64 {
                let (input, target) = self.windows.get(&self.data, first + sequence);
                inputs.extend_from_slice(input);
                targets.extend_from_slice(target);
            }
            nats += self.add_micro_batch(&inputs, &targets);
        }
        self.finish_step(nats / self.tokens_in_step() as f64)
    }

    /// Whether all steps have been taken.
    pub fn finished(&self) -> bool {
        self.step >= self.options.steps
    }

    /// Steps taken so far.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The options it runs with.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Mean loss over the held-out windows in nats per token; `None` without held-out text.
    ///
    /// The windows follow each other without overlap, so that tokens at their beginnings have little context: a quick
    /// look while training, always a bit above what [`evaluate`](crate::evaluate()) finds.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the loss is not.
    pub fn held_out_loss(&self) -> Result<Option<f64>> {
        let windows: Vec<Window<'_>> = self
            .data
            .held_out_windows(self.shape.length, self.options.evaluate_windows)
            .into_iter()
            .map(|(inputs, targets)| Window {
                inputs,
                targets,
                skip: 0,
            })
            .collect();
        let Some(first) = windows.first() else {
            return Ok(None);
        };
        let mut scores = Vec::new();
        let together = Scorer::windows_together(first.inputs.len());
        self.pool.install(|| {
            let mut scorer = Scorer::new(&self.model);
            windows
                .chunks(together)
                .for_each(|group| scorer.score(group, &mut scores));
        });
        let loss = scores.iter().map(|score| score.nats).sum::<f64>() / scores.len() as f64;
        if !loss.is_finite() {
            return Err(Error::NotFinite {
                what: "held-out loss",
                step: self.step,
            });
        }
        Ok(Some(loss))
    }

    /// The model as it is now.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Ends the training and gives the model.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// All that [`resume`](Self::resume) needs, as a safetensors file. It holds the weights in the clear, three times
    /// over with the moments: seal it as you seal a bundle.
    ///
    /// # Errors
    /// None in practice; the form is the crate's own.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        checkpoint::write(self)
    }

    fn tokens_in_step(&self) -> usize {
        self.options.accumulate * self.shape.rows()
    }

    /// Adds one micro-batch's part of the gradients of the step's mean loss; gives Σ nats.
    pub(super) fn add_micro_batch(&mut self, inputs: &[u32], targets: &[u32]) -> f64 {
        let scale = (1.0 / self.tokens_in_step() as f64) as f32;
        let Self {
            model,
            gradients,
            activations,
            backward: buffers,
            scores,
            logits,
            ..
        } = self;
        let (config, layout, weights) = (model.config(), model.layout(), model.weights());
        self.pool.install(|| {
            forward(config, layout, weights, inputs, activations);
            score_rows_backward(
                scores,
                &activations.final_normed,
                targets,
                weights,
                &layout.head_linear(),
                scale,
                buffers.final_gradient(),
                &mut gradients[layout.head.clone()],
                logits,
            );
            backward(config, layout, weights, inputs, activations, gradients, buffers);
        });
        self.scores.iter().map(|score| score.nats).sum()
    }

    /// Checks loss and gradients, then takes the step that they ask for.
    pub(super) fn finish_step(&mut self, loss: f64) -> Result<StepReport> {
        let number = self.step + 1;
        if !loss.is_finite() {
            return Err(Error::NotFinite {
                what: "loss",
                step: number,
            });
        }
        let gradient_norm = self.pool.install(|| sum_of_squares(&self.gradients)).sqrt();
        if !gradient_norm.is_finite() {
            return Err(Error::NotFinite {
                what: "gradient",
                step: number,
            });
        }
        let learning_rate = self.options.learning_rate_at(self.step);
        self.update(learning_rate, gradient_norm);
        self.step = number;
        let every = self.options.evaluate_every;
        let due = self.finished() || (every > 0 && number.is_multiple_of(every));
        let held_out_loss = if due { self.held_out_loss()? } else { None };
        let (steps, tokens) = (self.options.steps, number * self.tokens_in_step() as u64);
        Ok(StepReport {
            step: number,
            steps,
            loss,
            learning_rate,
            gradient_norm,
            tokens,
            held_out_loss,
        })
    }

    /// AdamW on all tensors, with the gradient clipped to the largest norm allowed.
    fn update(&mut self, learning_rate: f64, gradient_norm: f64) {
        let Self {
            model,
            options,
            moments,
            gradients,
            ..
        } = self;
        let number = self.step + 1;
        // As torch's clip_grad_norm_: the constant keeps a zero norm from dividing by zero.
        let clipping = (options.clip / (gradient_norm + 1e-6)).min(1.0);
        let step = AdamStep {
            keep: 1.0,
            rate: (learning_rate / (1.0 - power(options.beta1, number))) as f32,
            second_correction: libm::sqrt(1.0 - power(options.beta2, number)) as f32,
            beta1: options.beta1 as f32,
            beta2: options.beta2 as f32,
            epsilon: options.epsilon as f32,
            gradient_scale: clipping as f32,
        };
        let decayed = (1.0 - learning_rate * options.weight_decay) as f32;
        let entries = model.layout().entries.clone();
        let parameters = model.parameters_mut();
        self.pool.install(|| {
            for entry in entries {
                let step = if entry.decays() {
                    AdamStep {
                        keep: decayed,
                        ..step
                    }
                } else {
                    step
                };
                let range = entry.range;
                let (first, second) = (
                    &mut moments.first[range.clone()],
                    &mut moments.second[range.clone()],
                );
                adam(
                    &mut parameters[range.clone()],
                    first,
                    second,
                    &gradients[range],
                    step,
                );
            }
        });
    }
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Trainer")
            .field("model", &self.model)
            .field("options", &self.options)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// base^exponent by squaring; the platform's `powi` promises no order of multiplications.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            result *= base;
        }
        base *= base;
        exponent /= 2;
    }
    result
}
