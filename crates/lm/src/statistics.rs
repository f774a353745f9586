//! How sure a score is: bootstrap intervals over the segments of a text (Efron and Tibshirani 1993, percentile method).
//!
//! Segments of 512 bytes are resampled as if independent. Neighbouring segments of one text are a little alike, which
//! makes the true uncertainty somewhat larger; a paired difference suffers less, since what is alike cancels.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluate::Segment;
use crate::random::Random;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// How two models differ on the same text, in bits per byte.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// First minus second: negative where the first is better.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: Interval,
}

impl PairedDifference {
    /// Whether the first model is better beyond the interval: all of it lies below 0.
    pub fn favours_first(&self) -> bool {
        self.interval.high < 0.0
    }

    /// Whether the second model is better beyond the interval.
    pub fn favours_second(&self) -> bool {
        self.interval.low > 0.0
    }
}

/// The interval of bits per byte, from `samples` resamples of the segments.
///
/// # Errors
/// No segment with scored bytes, or a number of samples outside 1..=1,000,000.
pub fn bootstrap_bits_per_byte(segments: &[Segment], samples: usize, seed: u64) -> Result<Interval> {
    check(segments, samples)?;
    let values = resample(segments.len(), samples, seed, |indices| {
        bits_per_byte(indices.iter().map(|&index| &segments[index as usize]))
    });
    Ok(interval(values))
}

/// The difference of two evaluations of the same text and its interval: each resample takes the same segments of both.
///
/// # Errors
/// Evaluations with different numbers of segments, which are of different texts, and what
/// [`bootstrap_bits_per_byte`] refuses.
pub fn paired_difference(
    first: &[Segment],
    second: &[Segment],
    samples: usize,
    seed: u64,
) -> Result<PairedDifference> {
    check(first, samples)?;
    check(second, samples)?;
    if first.len() != second.len() {
        let (one, other) = (first.len(), second.len());
        return Err(Error::text(format!(
            "is not the same for both: {one} and {other} segments; score the same text"
        )));
    }
    let values = resample(first.len(), samples, seed, |indices| {
        bits_per_byte(indices.iter().map(|&index| &first[index as usize]))
            - bits_per_byte(indices.iter().map(|&index| &second[index as usize]))
    });
    Ok(PairedDifference {
        difference: bits_per_byte(first.iter()) - bits_per_byte(second.iter()),
        interval: interval(values),
    })
}

fn check(segments: &[Segment], samples: usize) -> Result<()> {
    if segments.iter().all(|segment| segment.bytes == 0) {
        return Err(Error::text("is too short: there is no scored segment"));
    }
    if !(1..=1_000_000).contains(&samples) {
        return Err(Error::options(
            "samples",
            format!("is {samples}: it must be between 1 and 1000000"),
        ));
    }
    Ok(())
}

fn resample(count: usize, samples: usize, seed: u64, value: impl Fn(&[u32]) -> f64) -> Vec<f64> {
    let mut random = Random::new("bootstrap", seed, 0);
    let mut indices = vec![0; count];
    (0..samples)
        .map(|_| {
            indices.fill_with(|| random.below(count as u64) as u32);
            value(&indices)
        })
        // A resample of only unscored bytes says nothing.
        .filter(|value| value.is_finite())
        .collect()
}

fn bits_per_byte<'a>(segments: impl Iterator<Item = &'a Segment>) -> f64 {
    let (nats, bytes) = segments.fold((0.0, 0), |(nats, bytes), one| {
        (nats + one.nats, bytes + one.bytes)
    });
    nats / (bytes as f64 * std::f64::consts::LN_2)
}

fn interval(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |share: f64| {
        values
            .get((share * last as f64).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Interval {
        low: at(0.025),
        high: at(0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(nats: impl Fn(usize) -> f64) -> Vec<Segment> {
        (0..200)
            .map(|index| Segment {
                bytes: 512,
                tokens: 100,
                nats: nats(index),
                correct: 1,
            })
            .collect()
    }

    #[test]
    fn the_interval_is_that_of_the_mean() {
        let spread = segments(|index| if index % 2 == 0 { 600.0 } else { 800.0 });
        let interval = bootstrap_bits_per_byte(&spread, 2000, 1).unwrap();
        let unit = 512.0 * std::f64::consts::LN_2;
        // Deviation 100 of each, so 100/√200 of the mean; 1.96 of those to either side.
        let half = 1.96 * 100.0 / 200.0_f64.sqrt() / unit;
        assert!(
            (interval.low - (700.0 / unit - half)).abs() < 0.1 * half,
            "{interval:?}"
        );
        assert!(
            (interval.high - (700.0 / unit + half)).abs() < 0.1 * half,
            "{interval:?}"
        );
        assert_eq!(interval, bootstrap_bits_per_byte(&spread, 2000, 1).unwrap());
        assert_ne!(interval, bootstrap_bits_per_byte(&spread, 2000, 2).unwrap());
    }

    #[test]
    fn pairing_sees_a_small_steady_difference_in_a_wide_spread() {
        let parent = segments(|index| 600.0 + (index * 37 % 200) as f64);
        let child = segments(|index| 598.0 + (index * 37 % 200) as f64 + (index % 2) as f64);
        let paired = paired_difference(&child, &parent, 1000, 1).unwrap();
        assert!(paired.favours_first() && !paired.favours_second(), "{paired:?}");
        assert!(
            paired_difference(&parent, &child, 1000, 1)
                .unwrap()
                .favours_second()
        );
        let same = paired_difference(&parent, &parent, 1000, 1).unwrap();
        assert!(!same.favours_first() && !same.favours_second());
    }

    #[test]
    fn different_texts_and_empty_scores_are_refused() {
        let some = segments(|_| 1.0);
        assert!(
            paired_difference(&some, &some[1..], 10, 1)
                .unwrap_err()
                .to_string()
                .contains("200 and 199")
        );
        assert!(bootstrap_bits_per_byte(&[], 10, 1).is_err());
        assert!(bootstrap_bits_per_byte(&some, 0, 1).is_err());
    }
}
