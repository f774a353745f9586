//! The network against an f64 reference that is written as plainly as can be, and against its own finite differences.

mod families;
mod reference;

use super::*;
use crate::config::tests::variants;
use crate::config::{Config, Family};
use crate::kernels::loss::Score;
use crate::kernels::{Matrix, Start, Work, multiply};
use crate::model::Model;
use crate::random::Random;
use crate::threads;

struct Case {
    config: Config,
    shape: Shape,
    model: Model,
    tokens: Vec<u32>,
    targets: Vec<u32>,
}

impl Case {
    /// A model whose parameters are all lively: fresh biases and normalisations would hide mistakes.
    fn new(config: Config, shape: Shape) -> Self {
        let mut model = Model::random(config.clone(), 1).unwrap();
        let mut random = Random::new("test model", 2, 0);
        for value in model.parameters_mut() {
            *value += (random.normal_pair()[0] * 0.3) as f32;
        }
        let mut draw = |count: usize| {
            (0..count)
                .map(|_| random.below(config.vocabulary as u64) as u32)
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
        let (layout, weights) = (self.model.layout(), self.model.weights());
        let mut activations = Activations::new(&self.config, self.shape, true);
        let mut buffers = BackwardBuffers::new(&self.config, self.shape);
        let mut gradients = vec![0.0; layout.total];
        let mut scores = vec![Score::default(); self.shape.rows()];
        let scale = 1.0 / self.shape.rows() as f32;
        threads::pool(thread_count).unwrap().install(|| {
            forward(&self.config, layout, weights, &self.tokens, &mut activations);
            score_rows_backward(
                &mut scores,
                &activations.final_normed,
                &self.targets,
                weights,
                &layout.head_linear(),
                scale,
                buffers.final_gradient(),
                &mut gradients[layout.head.clone()],
                &mut Vec::new(),
            );
            backward(
                &self.config,
                layout,
                weights,
                &self.tokens,
                &mut activations,
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

fn gpt2(sizes: [usize; 5], shape: Shape) -> Case {
    let [vocabulary, context, width, layers, heads] = sizes;
    Case::new(
        Config::gpt2(vocabulary, context, width, layers, heads).unwrap(),
        shape,
    )
}

fn shape(batch: usize, length: usize) -> Shape {
    Shape { batch, length }
}

/// Shapes with a single token, primes, one head, and enough tokens for several blocks of queries and of k; and every
/// option of every family.
fn cases() -> Vec<Case> {
    let mut cases = vec![
        gpt2([7, 3, 4, 1, 1], shape(1, 1)),
        gpt2([11, 7, 6, 2, 3], shape(3, 5)),
        gpt2([13, 5, 7, 2, 1], shape(2, 5)),
        gpt2([97, 11, 10, 1, 5], shape(5, 11)),
        gpt2([17, 131, 6, 1, 2], shape(2, 131)),
    ];
    let others = || {
        variants()
            .into_iter()
            .filter(|config| config.family != Family::Gpt2)
    };
    cases.extend(others().map(|config| Case::new(config, shape(2, 5))));
    cases.extend(others().take(1).map(|config| Case::new(config, shape(1, 1))));
    let one_block = |config| Config { layers: 1, ..config };
    cases.extend(
        others()
            .filter(|config| config.head_norm)
            .map(|config| Case::new(one_block(config), shape(1, 131))),
    );
    cases
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
                .div_ceil(if case.shape.length > 100 { 6 } else { 20 });
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

/// What the head gives for each row of what it reads.
fn logits(case: &Case, normed: &[f32]) -> Vec<Vec<f32>> {
    let width = case.config.width;
    let head = &case.model.parameters()[case.model.layout().head.clone()];
    let head = Matrix::new(head, case.config.vocabulary, width).transposed();
    normed
        .chunks(width)
        .map(|row| {
            let mut logits = vec![0.0; case.config.vocabulary];
            multiply(
                &mut logits,
                Start::Zero,
                Matrix::new(row, 1, width),
                head,
                Work::Alone,
            );
            logits
        })
        .collect()
}

fn reads_the_same_in_parts(case: &Case, parts: &[std::ops::Range<usize>]) {
    let length = case.shape.length;
    let mut activations = Activations::new(&case.config, case.shape, true);
    let (layout, weights) = (case.model.layout(), case.model.weights());
    threads::pool(3).unwrap().install(|| {
        forward(&case.config, layout, weights, &case.tokens, &mut activations);
        let expected = logits(case, &activations.final_normed);
        let mut one_by_one = Session::new(&case.model, length);
        for (position, &token) in case.tokens.iter().enumerate() {
            assert_eq!(
                one_by_one.read(&[token]),
                expected[position],
                "position {position}"
            );
        }
        let mut in_parts = Session::new(&case.model, length);
        for part in parts {
            let read = in_parts.read(&case.tokens[part.clone()]);
            assert_eq!(read, expected[part.end - 1], "after {part:?}");
        }
        let mut at_once = Session::new(&case.model, length);
        assert_eq!(at_once.read(&case.tokens), expected[length - 1]);
    });
}

#[test]
fn reading_at_once_or_in_parts_or_in_training_gives_the_same_bits() {
    let case = gpt2([600, 300, 24, 2, 3], shape(1, 300));
    reads_the_same_in_parts(&case, &[0..70, 70..71, 71..200, 200..300]);
    // More than go through the blocks together.
    let long = gpt2([7, 1100, 4, 1, 1], shape(1, 1100));
    reads_the_same_in_parts(&long, &[0..1, 1..1099, 1099..1100]);
    for config in variants().into_iter().filter(|config| config.context > 30) {
        reads_the_same_in_parts(&Case::new(config, shape(1, 29)), &[0..1, 1..18, 18..29]);
    }
    let long = Config {
        vocabulary: 600,
        width: 300,
        ..variants().remove(2)
    };
    reads_the_same_in_parts(&Case::new(long, shape(1, 131)), &[0..70, 70..131]);
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_among_others() {
    for config in variants() {
        let together = Case::new(config, shape(5, 7));
        let run = |tokens: &[u32], shape: Shape| {
            let mut activations = Activations::new(&together.config, shape, false);
            let (layout, weights) = (together.model.layout(), together.model.weights());
            threads::pool(2).unwrap().install(|| {
                forward(&together.config, layout, weights, tokens, &mut activations);
            });
            activations.final_normed
        };
        let all = run(&together.tokens, together.shape);
        let width = 7 * together.config.width;
        for (tokens, expected) in together.tokens.chunks(7).zip(all.chunks(width)) {
            assert_eq!(run(tokens, shape(1, 7)), expected, "{:?}", together.config);
        }
    }
}

#[test]
fn sharing_one_blocks_buffers_changes_no_bit() {
    let three = |config| Config { layers: 3, ..config };
    let mut cases = vec![gpt2([50, 40, 12, 3, 2], shape(2, 40))];
    cases.extend(
        variants()
            .into_iter()
            .skip(1)
            .map(|config| Case::new(three(config), shape(2, 19))),
    );
    for case in cases {
        let (layout, weights) = (case.model.layout(), case.model.weights());
        let run = |keep: bool| {
            let mut activations = Activations::new(&case.config, case.shape, keep);
            threads::pool(2).unwrap().install(|| {
                forward(&case.config, layout, weights, &case.tokens, &mut activations);
            });
            activations.final_normed
        };
        assert_eq!(run(true), run(false));
    }
}
