//! Evaluations of one text side by side: a paired bootstrap over its pieces, and baselines that anyone can compute.

use posthuman_lm::{
    OrderTwoModel, PairedDifference, bootstrap_bits_per_byte, gzip_bits_per_byte, paired_difference,
};
use serde::Serialize;

use crate::market::{Evaluation, Segment};
use crate::{EvaluationOutput, MarketError};

/// Resamples and seed of a bootstrap.
#[derive(Clone, Copy, Debug)]
pub struct Resampling {
    /// How many resamples.
    pub samples: u32,
    /// Seed of all of them.
    pub seed: u64,
}

/// Which of two models is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first, beyond the interval.
    First,
    /// The second, beyond the interval.
    Second,
    /// The interval holds zero.
    Undecided,
}

/// Two models on the same text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Versus {
    /// Bits per byte of the first minus those of the second: negative where the first is better.
    pub difference: f64,
    /// Its paired 95 % interval.
    pub ci95: [f64; 2],
    /// What follows.
    pub verdict: Verdict,
}

/// Baselines of a text, given a text to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Baselines {
    /// Bits per byte of a byte model of order two.
    pub order2_bits_per_byte: f64,
    /// Bits per byte of gzip after the same text.
    pub gzip_bits_per_byte: f64,
}

/// The 95 % interval of an evaluation's bits per byte.
///
/// # Errors
/// An evaluation without segments.
pub fn interval(output: &EvaluationOutput, resampling: Resampling) -> Result<[f64; 2], MarketError> {
    let segments = segments(&output.segments);
    let interval =
        bootstrap_bits_per_byte(&segments, resampling.samples as usize, resampling.seed).map_err(wrong)?;
    Ok([interval.low, interval.high])
}

/// Compares two evaluations piece by piece.
///
/// # Errors
/// Evaluations of different texts, or without segments.
pub fn versus(
    first: &Evaluation,
    second: &Evaluation,
    resampling: Resampling,
) -> Result<Versus, MarketError> {
    if first.receipt.receipt.input != second.receipt.receipt.input {
        let message = format!(
            "{} and {} were evaluated on different texts",
            first.did, second.did
        );
        return Err(MarketError::Input(message));
    }
    let (left, right) = (
        segments(&first.output.segments),
        segments(&second.output.segments),
    );
    let paired =
        paired_difference(&left, &right, resampling.samples as usize, resampling.seed).map_err(wrong)?;
    Ok(Versus {
        difference: paired.difference,
        ci95: [paired.interval.low, paired.interval.high],
        verdict: verdict(&paired),
    })
}

/// What simple models reach on `text` after reading `training`.
///
/// # Errors
/// Texts that are empty, binary or not UTF-8.
pub fn baselines(training: &[u8], text: &[u8]) -> Result<Baselines, MarketError> {
    let training = posthuman_lm::check_text(training).map_err(wrong)?;
    let text = posthuman_lm::check_text(text).map_err(wrong)?;
    let order2 = OrderTwoModel::fit(&[training])
        .and_then(|model| model.evaluate(text))
        .map_err(wrong)?;
    Ok(Baselines {
        order2_bits_per_byte: order2.bits_per_byte,
        gzip_bits_per_byte: gzip_bits_per_byte(training, text).map_err(wrong)?,
    })
}

fn verdict(paired: &PairedDifference) -> Verdict {
    if paired.favours_first() {
        Verdict::First
    } else if paired.favours_second() {
        Verdict::Second
    } else {
        Verdict::Undecided
    }
}

fn segments(segments: &[Segment]) -> Vec<posthuman_lm::Segment> {
    let convert = |segment: &Segment| posthuman_lm::Segment {
        bytes: segment.bytes,
        tokens: segment.tokens,
        nats: segment.nats,
        correct: segment.correct,
    };
    segments.iter().map(convert).collect()
}

fn wrong(error: posthuman_lm::Error) -> MarketError {
    MarketError::Input(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_between_nothing_and_a_byte() {
        let training = "call me ishmael some years ago never mind how long precisely ".repeat(20);
        let baselines = baselines(training.as_bytes(), b"some years ago call me ishmael").unwrap();
        assert!(
            baselines.order2_bits_per_byte > 0.0 && baselines.order2_bits_per_byte < 8.0,
            "{baselines:?}"
        );
        assert!(baselines.gzip_bits_per_byte > 0.0, "{baselines:?}");
    }

    #[test]
    fn a_binary_text_is_refused_in_words() {
        assert!(super::baselines(b"text", &[0, 255, 0]).is_err());
    }
}
