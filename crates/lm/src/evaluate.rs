//! Scoring a text: how well a model predicts each of its tokens.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::data::check_text;
use crate::error::{Error, Result};
use crate::kernels::loss::Score;
use crate::model::Model;
use crate::network::{Activations, HEAD_ROWS, Shape, forward, score_rows};
use crate::threads;
use crate::tokenizer::Tokenizer;

/// Bytes of text in one segment.
pub(crate) const SEGMENT: u64 = 512;

/// Tokens that go through the network together. Not a rule for bits: rows do not influence each other.
const ROWS_TOGETHER: usize = 1024;

/// How a text is scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluateOptions {
    /// Tokens by which each window moves on; 0 is half of the context. Smaller gives each token more context and
    /// takes longer.
    pub stride: usize,
    /// Threads to use; they change no bit.
    pub threads: usize,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            stride: 0,
            threads: 1,
        }
    }
}

/// One piece of 512 bytes of the text (the last may be shorter; the first lacks the bytes of a token that is not scored).
///
/// Segments are cut in the text, not in tokens, so that models with different tokenizers are compared piece by piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Scored bytes.
    pub bytes: u64,
    /// Scored tokens that begin here.
    pub tokens: u64,
    /// Σ −ln p; a token across a border is shared out by its bytes.
    pub nats: f64,
    /// Tokens that begin here and were the model's first choice.
    pub correct: u64,
}

/// The score of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Scored tokens: all but the first that the model reads.
    pub tokens: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Mean of −ln p over tokens, in nats.
    pub loss: f64,
    /// e^loss.
    pub perplexity: f64,
    /// Σ −log2 p / bytes: comparable between models with different tokenizers.
    pub bits_per_byte: f64,
    /// Share of tokens that were the model's first choice.
    pub accuracy: f64,
    /// The same, piece by piece, in the order of the text.
    pub segments: Vec<Segment>,
}

/// Scores a text with a model.
///
/// The model reads what it read in its training: the token that begins texts, where its tokenizer puts one before them
/// ([`Tokenizer::encode_prompt`]), and the text. That is cut into windows of the model's context, each `stride` tokens after
/// the one before, the last one moved back to end with the text. Every token but the first is scored exactly once, in the
/// first window that holds it, so that from the second window on each has at least context − stride tokens before it.
///
/// `on_progress` hears of scored and all tokens; `ControlFlow::Break` ends in [`Error::Cancelled`]. The result is the
/// same for any number of threads.
///
/// # Errors
/// What [`check_text`] refuses, a text of fewer than two tokens, a stride beyond the context, or weights that give no
/// finite numbers.
pub fn evaluate(
    bundle: &Bundle,
    text: &str,
    options: &EvaluateOptions,
    mut on_progress: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Evaluation> {
    check_text(text.as_bytes())?;
    let context = bundle.model().config().context;
    let stride = if options.stride == 0 {
        context.div_ceil(2)
    } else {
        options.stride
    };
    if stride > context {
        return Err(Error::options(
            "stride",
            format!("is {stride}: it must be at most the context of {context} tokens"),
        ));
    }
    let tokens = bundle.tokenizer().encode_prompt(text)?;
    if tokens.len() < 2 {
        return Err(Error::text("is too short: scoring needs at least two tokens"));
    }
    let windows = windows(&tokens, context, stride);
    let total = tokens.len() - 1;
    let mut scores = Vec::with_capacity(total);
    let pool = threads::pool(options.threads)?;
    let mut scorer = Scorer::new(bundle.model());
    let together = Scorer::windows_together(windows[0].inputs.len());
    for group in windows.chunks(together) {
        pool.install(|| scorer.score(group, &mut scores));
        if on_progress(scores.len(), total).is_break() {
            return Err(Error::Cancelled {
                operation: "evaluation",
            });
        }
    }
    if !scores.iter().all(|score| score.nats.is_finite()) {
        return Err(Error::tensor(
            "logits",
            "are not finite: the model's weights are out of range",
        ));
    }
    Evaluation::of_segments(segments(bundle.tokenizer(), text, &tokens, &scores)?)
}

impl Evaluation {
    /// Sums segments up. There is at least one scored token in them.
    pub(crate) fn of_segments(segments: Vec<Segment>) -> Result<Self> {
        let tokens: u64 = segments.iter().map(|segment| segment.tokens).sum();
        let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let correct: u64 = segments.iter().map(|segment| segment.correct).sum();
        let nats: f64 = segments.iter().map(|segment| segment.nats).sum();
        if tokens == 0 || bytes == 0 {
            return Err(Error::text("is too short: nothing in it can be scored"));
        }
        let loss = nats / tokens as f64;
        Ok(Self {
            tokens,
            bytes,
            loss,
            perplexity: libm::exp(loss),
            bits_per_byte: nats / (bytes as f64 * std::f64::consts::LN_2),
            accuracy: correct as f64 / tokens as f64,
            segments,
        })
    }
}

/// A stretch of tokens with what comes after each; the first `skip` predictions are only context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub inputs: &'a [u32],
    pub targets: &'a [u32],
    pub skip: usize,
}

/// Scores windows of equal length; must be called inside a pool.
pub(crate) struct Scorer<'a> {
    model: &'a Model,
    activations: Option<Activations>,
    logits: Vec<f32>,
}

impl<'a> Scorer<'a> {
    pub fn new(model: &'a Model) -> Self {
        Self {
            model,
            activations: None,
            logits: Vec::new(),
        }
    }

    /// How many windows of a length are worth putting through together.
    pub fn windows_together(length: usize) -> usize {
        (ROWS_TOGETHER / length).max(1)
    }

    /// Appends the scores of the windows' predictions, those skipped left out.
    pub fn score(&mut self, windows: &[Window<'_>], scores: &mut Vec<Score>) {
        let Some(first) = windows.first() else { return };
        let (config, layout, weights) = (self.model.config(), self.model.layout(), self.model.weights());
        let shape = Shape {
            batch: windows.len(),
            length: first.inputs.len(),
        };
        let activations = match self
            .activations
            .take()
            .filter(|activations| activations.shape == shape)
        {
            Some(activations) => self.activations.insert(activations),
            None => self.activations.insert(Activations::new(config, shape, false)),
        };
        let tokens: Vec<u32> = windows.iter().flat_map(|window| window.inputs).copied().collect();
        forward(config, layout, weights, &tokens, activations);
        let width = config.width;
        // The rows that count move together, so that the head reads its weights once for all of them.
        let mut rows = 0;
        for (index, window) in windows.iter().enumerate() {
            let counted = (index * shape.length + window.skip) * width..(index + 1) * shape.length * width;
            let place = rows * width;
            rows += counted.len() / width;
            activations.final_normed.copy_within(counted, place);
        }
        let targets: Vec<u32> = windows
            .iter()
            .flat_map(|window| &window.targets[window.skip..])
            .copied()
            .collect();
        let start = scores.len();
        scores.resize(start + rows, Score::default());
        score_rows(
            &mut scores[start..],
            &activations.final_normed[..rows * width],
            &targets,
            weights,
            &layout.head_linear(),
            &mut self.logits,
        );
    }

    /// Numbers that a scorer holds beside the model.
    pub fn numbers(config: &crate::Config, length: usize) -> u64 {
        let shape = Shape {
            batch: Self::windows_together(length),
            length,
        };
        Activations::numbers(config, shape, false) + (HEAD_ROWS.min(shape.rows()) * config.vocabulary) as u64
    }
}

fn windows(tokens: &[u32], context: usize, stride: usize) -> Vec<Window<'_>> {
    let predictions = tokens.len() - 1;
    let length = context.min(predictions);
    let mut windows = Vec::new();
    let (mut start, mut scored) = (0, 0);
    loop {
        let start_here = start.min(predictions - length);
        let end = start_here + length;
        windows.push(Window {
            inputs: &tokens[start_here..end],
            targets: &tokens[start_here + 1..end + 1],
            skip: scored - start_here,
        });
        scored = end;
        if scored == predictions {
            return windows;
        }
        start += stride;
    }
}

/// Lays the scores of tokens 1.. onto the segments of the text as it was given.
fn segments(tokenizer: &Tokenizer, text: &str, tokens: &[u32], scores: &[Score]) -> Result<Vec<Segment>> {
    // The token that begins texts is none of the text's.
    let begins = usize::from(tokenizer.adds_bos());
    let lengths = tokenizer.given_lengths(text, &tokens[begins..])?;
    let mut segments = vec![Segment::default(); (text.len() as u64).div_ceil(SEGMENT) as usize];
    let (first, scored) = lengths.split_at(1 - begins);
    let mut offset = first.iter().sum();
    for (&length, score) in scored.iter().zip(scores) {
        add_token(&mut segments, offset, length, *score);
        offset += length;
    }
    Ok(segments)
}

/// Adds a token of `length` bytes at `offset`, shared out by bytes where it crosses a border. One without bytes of the
/// text, which a tokenizer that changes texts can have, counts where it stands.
pub(crate) fn add_token(segments: &mut [Segment], offset: u64, length: u64, score: Score) {
    let end = offset + length;
    let place = ((offset / SEGMENT) as usize).min(segments.len() - 1);
    let first = &mut segments[place];
    first.tokens += 1;
    first.correct += u64::from(score.correct);
    if length == 0 {
        first.nats += score.nats;
    }
    let mut start = offset;
    while start < end {
        let border = end.min((start / SEGMENT + 1) * SEGMENT);
        let segment = &mut segments[(start / SEGMENT) as usize];
        segment.bytes += border - start;
        segment.nats += score.nats * ((border - start) as f64 / length as f64);
        start = border;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prediction_is_scored_once_with_enough_context() {
        for (count, context, stride) in [
            (2, 8, 4),
            (9, 8, 4),
            (10, 8, 4),
            (100, 8, 3),
            (101, 8, 8),
            (50, 1, 1),
            (64, 7, 1),
        ] {
            let tokens: Vec<u32> = (0..count).collect();
            let mut expected = 1;
            for (index, window) in windows(&tokens, context, stride).iter().enumerate() {
                assert!(window.inputs.len() <= context);
                assert!(window.skip < window.inputs.len());
                assert!(index == 0 || window.skip >= context - stride);
                for &target in &window.targets[window.skip..] {
                    assert_eq!(target, expected);
                    expected += 1;
                }
            }
            assert_eq!(
                expected, count,
                "{count} tokens, context {context}, stride {stride}"
            );
        }
    }

    #[test]
    fn windows_have_the_same_scores_alone_and_among_up_to_32() {
        let model = Model::random(crate::Config::gpt2(300, 12, 24, 2, 3).unwrap(), 4).unwrap();
        let tokens: Vec<u32> = (0..32 * 12 + 1).map(|index| index * index % 299).collect();
        let windows: Vec<Window<'_>> = (0..32)
            .map(|index| Window {
                inputs: &tokens[12 * index..][..12],
                targets: &tokens[12 * index + 1..][..12],
                skip: index % 5,
            })
            .collect();
        let score = |group: usize| {
            let mut scores = Vec::new();
            let mut scorer = Scorer::new(&model);
            for windows in windows.chunks(group) {
                scorer.score(windows, &mut scores);
            }
            scores
        };
        let pool = crate::threads::pool(2).unwrap();
        let alone = pool.install(|| score(1));
        for group in 2..=32 {
            assert_eq!(alone, pool.install(|| score(group)), "{group} together");
        }
    }

    #[test]
    fn a_token_across_a_border_is_shared_out_by_its_bytes() {
        let mut segments = vec![Segment::default(); 2];
        add_token(
            &mut segments,
            509,
            4,
            Score {
                nats: 2.0,
                correct: true,
            },
        );
        assert_eq!(
            segments[0],
            Segment {
                bytes: 3,
                tokens: 1,
                nats: 1.5,
                correct: 1
            }
        );
        assert_eq!(
            segments[1],
            Segment {
                bytes: 1,
                tokens: 0,
                nats: 0.5,
                correct: 0
            }
        );
    }
}
