//! The network against an f64 reference that is written as plainly as can be, and against its own finite differences.

mod reference;

use super::*;
use crate::config::Gpt2Config;
use crate::kernels::loss::Score;
use crate::model::Model;
use crate::random::Random;
use crate::threads;

struct Case {
    config: Gpt2Config,
    shape: Shape,
    model: Model,
    tokens: Vec<u32>,
    targets: Vec<u32>,
}

impl Case {
    /// A model whose parameters are all lively: fresh biases and normalisations would hide mistakes.
    fn new(
        vocabulary: usize,
        context: usize,
        width: usize,
        layers: usize,
        heads: usize,
        shape: Shape,
    ) -> Self {
        let config = Gpt2Config::new(vocabulary, context, width, layers, heads).unwrap();
        let mut model = Model::random(config.clone(), 1).unwrap();
        let mut random = Random::new("test model", 2, 0);
        for value in model.parameters_mut() {
            *value += (random.normal_pair()[0] * 0.3) as f32;
        }
        let mut draw = |count: usize| {
            (0..count)
                .map(|_| random.below(vocabulary as u64) as u32)
                .collect()
        };
        Self {
            tokens: draw(shape.rows()),
            targets: draw(shape.rows()),
            config,
            shape,
            model,
        }
    }

    fn wide_parameters(&self) -> Vec<f64> {
        self.model
            .parameters()
            .iter()
            .map(|&value| f64::from(value))
            .collect()
    }

    fn reference(&self, parameters: &[f64]) -> f64 {
        reference::loss(
            &self.config,
            parameters,
            &self.tokens,
            &self.targets,
            self.shape.length,
        )
    }

    /// Loss and gradients by the engine.
    fn engine(&self, thread_count: usize) -> (f64, Vec<f32>) {
        let (layout, parameters) = (self.model.layout(), self.model.parameters());
        let mut activations = Activations::new(&self.config, self.shape, true);
        let mut buffers = BackwardBuffers::new(&self.config, self.shape);
        let mut gradients = vec![0.0; layout.total];
        let mut scores = vec![Score::default(); self.shape.rows()];
        let scale = 1.0 / self.shape.rows() as f32;
        threads::pool(thread_count).unwrap().install(|| {
            forward(&self.config, layout, parameters, &self.tokens, &mut activations);
            score_rows_backward(
                &mut scores,
                &activations.final_normed,
                &self.targets,
                &parameters[layout.wte.clone()],
                self.config.n_embd,
                scale,
                &mut buffers.narrow,
                &mut gradients[layout.wte.clone()],
                &mut Vec::new(),
            );
            backward(
                &self.config,
                layout,
                parameters,
                &self.tokens,
                &activations,
                &mut gradients,
                &mut buffers,
            );
        });
        (
            scores.iter().map(|score| score.nats).sum::<f64>() / scores.len() as f64,
            gradients,
        )
    }
}

/// Shapes with a single token, primes, one head, and enough tokens for several blocks of queries and of k.
fn cases() -> Vec<Case> {
    vec![
        Case::new(7, 3, 4, 1, 1, Shape { batch: 1, length: 1 }),
        Case::new(11, 7, 6, 2, 3, Shape { batch: 3, length: 5 }),
        Case::new(13, 5, 7, 2, 1, Shape { batch: 2, length: 5 }),
        Case::new(97, 11, 10, 1, 5, Shape { batch: 5, length: 11 }),
        Case::new(
            17,
            131,
            6,
            1,
            2,
            Shape {
                batch: 2,
                length: 131,
            },
        ),
    ]
}

#[test]
fn every_gradient_is_the_finite_difference_of_the_f64_loss() {
    for case in cases() {
        let (loss, gradients) = case.engine(2);
        let mut parameters = case.wide_parameters();
        assert!((loss - case.reference(&parameters)).abs() < 1e-5, "loss {loss}");
        let largest = gradients
            .iter()
            .fold(0.0_f32, |largest, gradient| largest.max(gradient.abs()));
        for entry in &case.model.layout().entries {
            // All of the small tensors, a fixed scatter over the large ones: each difference costs two f64 passes.
            let step = entry
                .range
                .len()
                .div_ceil(if case.shape.length > 100 { 6 } else { 40 });
            for index in entry.range.clone().step_by(step) {
                let before = parameters[index];
                parameters[index] = before + 1e-4;
                let above = case.reference(&parameters);
                parameters[index] = before - 1e-4;
                let below = case.reference(&parameters);
                parameters[index] = before;
                let expected = (above - below) / 2e-4;
                let error = (f64::from(gradients[index]) - expected).abs();
                // f32 sums of some hundred terms; the largest gradient sets the scale of their rounding.
                let allowed = 1e-3 * expected.abs() + 2e-5 * f64::from(largest);
                assert!(
                    error < allowed,
                    "{} at {index}: {} for {expected}",
                    entry.name,
                    gradients[index]
                );
            }
        }
    }
}

#[test]
fn gradients_have_the_same_bits_for_any_number_of_threads() {
    for case in cases() {
        let (loss, gradients) = case.engine(1);
        for thread_count in [2, 3, 8] {
            let (again, others) = case.engine(thread_count);
            assert_eq!(loss.to_bits(), again.to_bits());
            let same = gradients
                .iter()
                .zip(&others)
                .all(|(one, other)| one.to_bits() == other.to_bits());
            assert!(same, "{thread_count} threads, {:?}", case.shape);
        }
    }
}

#[test]
fn reading_at_once_or_in_parts_or_in_training_gives_the_same_bits() {
    let length = 300;
    let case = Case::new(600, length, 24, 2, 3, Shape { batch: 1, length });
    let mut activations = Activations::new(&case.config, case.shape, true);
    let (layout, parameters) = (case.model.layout(), case.model.parameters());
    threads::pool(3).unwrap().install(|| {
        forward(&case.config, layout, parameters, &case.tokens, &mut activations);
        let mut one_by_one = Session::new(&case.model, length);
        let mut in_parts = Session::new(&case.model, length);
        let mut parts = [0..70, 70..71, 71..200, 200..length].into_iter().peekable();
        for (position, &token) in case.tokens.iter().enumerate() {
            let logits = one_by_one.read(&[token]);
            if parts.peek().is_some_and(|part| part.end == position + 1) {
                let part = parts.next().unwrap();
                assert_eq!(logits, in_parts.read(&case.tokens[part]), "after {position}");
            }
            let mut expected = vec![0.0; case.config.vocab_size];
            let normed = &activations.final_normed[position * 24..(position + 1) * 24];
            let head = crate::kernels::Matrix::new(&parameters[layout.wte.clone()], 600, 24).transposed();
            let row = crate::kernels::Matrix::new(normed, 1, 24);
            crate::kernels::multiply(
                &mut expected,
                crate::kernels::Start::Zero,
                row,
                head,
                crate::kernels::Work::Alone,
            );
            assert_eq!(logits, expected, "position {position}");
        }
        assert!(parts.next().is_none());
        assert_eq!(
            Session::new(&case.model, length).read(&case.tokens),
            one_by_one_last(&case, length)
        );
    });
}

fn one_by_one_last(case: &Case, length: usize) -> Vec<f32> {
    let mut session = Session::new(&case.model, length);
    case.tokens
        .iter()
        .fold(Vec::new(), |_, &token| session.read(&[token]))
}

#[test]
fn sharing_one_blocks_buffers_changes_no_bit() {
    let case = Case::new(50, 40, 12, 3, 2, Shape { batch: 2, length: 40 });
    let (layout, parameters) = (case.model.layout(), case.model.parameters());
    let run = |keep: bool| {
        let mut activations = Activations::new(&case.config, case.shape, keep);
        threads::pool(2).unwrap().install(|| {
            forward(&case.config, layout, parameters, &case.tokens, &mut activations);
        });
        activations.final_normed
    };
    assert_eq!(run(true), run(false));
}
