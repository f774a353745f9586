//! What a model has to beat: a model of byte triples, and gzip.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::data::check_text;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, SEGMENT, Segment, add_token};
use crate::kernels::loss::Score;

/// A model that predicts each byte from the two before it, with Witten-Bell interpolation.
///
/// With c(h, b) how often byte b followed the history h in the fitted texts, n(h) = Σ c(h, b) and d(h) how many
/// different bytes followed h: p(b | h) = (c(h, b) + d(h) p(b | h′)) / (n(h) + d(h)), where h′ is h without its first
/// byte, down to a uniform 1/256 under the empty history (Witten and Bell 1991; method C). A history never seen gives
/// its shorter one's prediction. The first bytes of a text have shorter histories.
pub struct OrderTwoModel {
    /// Histories of 0, 1 and 2 bytes.
    orders: [Vec<Option<Box<Followers>>>; 3],
}

/// What followed a history.
#[derive(Clone)]
struct Followers {
    counts: [u32; 256],
    total: u64,
    different: u64,
}

impl OrderTwoModel {
    /// Counts the bytes of the texts; histories do not reach across texts.
    ///
    /// # Errors
    /// A text that is no text, or none at all.
    pub fn fit(texts: &[&str]) -> Result<Self> {
        if texts.is_empty() {
            return Err(Error::text("is missing: there is nothing to fit a baseline on"));
        }
        let mut model = Self {
            orders: [vec![None; 1], vec![None; 1 << 8], vec![None; 1 << 16]],
        };
        for text in texts {
            check_text(text.as_bytes())?;
            let bytes = text.as_bytes();
            for (index, &byte) in bytes.iter().enumerate() {
                for (order, table) in model.orders.iter_mut().enumerate().take(index + 1) {
                    let followers = table[history(&bytes[index - order..index])].get_or_insert_default();
                    followers.different += u64::from(followers.counts[usize::from(byte)] == 0);
                    followers.counts[usize::from(byte)] =
                        followers.counts[usize::from(byte)].saturating_add(1);
                    followers.total += 1;
                }
            }
        }
        Ok(model)
    }

    /// Scores every byte of a text; tokens are bytes here, and the segments are those of
    /// [`evaluate`](crate::evaluate()).
    ///
    /// # Errors
    /// A text that is no text.
    pub fn evaluate(&self, text: &str) -> Result<Evaluation> {
        check_text(text.as_bytes())?;
        let bytes = text.as_bytes();
        let mut segments = vec![Segment::default(); (bytes.len() as u64).div_ceil(SEGMENT) as usize];
        for (index, &byte) in bytes.iter().enumerate() {
            let probabilities = self.predict(&bytes[index.saturating_sub(2)..index]);
            let probability = probabilities[usize::from(byte)];
            let before = &probabilities[..usize::from(byte)];
            let correct = before.iter().all(|&other| other < probability)
                && probabilities.iter().all(|&other| other <= probability);
            add_token(
                &mut segments,
                index as u64,
                1,
                Score {
                    nats: -libm::log(probability),
                    correct,
                },
            );
        }
        Evaluation::of_segments(segments)
    }

    /// Probability of every byte after a history of at most two.
    fn predict(&self, past: &[u8]) -> [f64; 256] {
        let mut probabilities = [1.0 / 256.0; 256];
        for (order, table) in self.orders.iter().enumerate().take(past.len() + 1) {
            let Some(followers) = &table[history(&past[past.len() - order..])] else {
                break;
            };
            let different = followers.different as f64;
            let whole = followers.total as f64 + different;
            for (probability, &count) in probabilities.iter_mut().zip(&followers.counts) {
                *probability = (f64::from(count) + different * *probability) / whole;
            }
        }
        probabilities
    }
}

impl Default for Followers {
    fn default() -> Self {
        Self {
            counts: [0; 256],
            total: 0,
            different: 0,
        }
    }
}

impl std::fmt::Debug for OrderTwoModel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let histories: usize = self
            .orders
            .iter()
            .map(|table| table.iter().flatten().count())
            .sum();
        formatter
            .debug_struct("OrderTwoModel")
            .field("histories", &histories)
            .finish_non_exhaustive()
    }
}

/// Bits per byte that gzip (level 9) needs for `text` when it has just read `training`:
/// 8 × (size of both together − size of the training text alone) / bytes of the text.
///
/// Deflate looks back 32 KiB at most, so that only the end of a long training text helps: a weak baseline, given
/// because everyone has it.
///
/// # Errors
/// A text that is no text.
pub fn gzip_bits_per_byte(training: &str, text: &str) -> Result<f64> {
    check_text(text.as_bytes())?;
    let alone = compressed_size(&[training])?;
    let together = compressed_size(&[training, text])?;
    Ok(8.0 * together.saturating_sub(alone) as f64 / text.len() as f64)
}

fn compressed_size(parts: &[&str]) -> Result<usize> {
    let failed = |_| Error::Bug {
        problem: "compressing into memory failed".to_owned(),
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for part in parts {
        encoder.write_all(part.as_bytes()).map_err(failed)?;
    }
    Ok(encoder.finish().map_err(failed)?.len())
}

fn history(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |index, &byte| index << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_follow_the_formula() {
        let model = OrderTwoModel::fit(&["abab"]).unwrap();
        for past in [&b""[..], b"a", b"ab", b"zz", b"za"] {
            let sum: f64 = model.predict(past).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{past:?}: {sum}");
        }
        // Order 0: a twice, b twice, two kinds; then after "a": b twice; then after "ba": b once.
        let order_0 = (2.0 + 2.0 / 256.0) / 6.0;
        let order_1 = (2.0 + order_0) / 3.0;
        let order_2 = (1.0 + order_1) / 2.0;
        assert!((model.predict(b"ba")[usize::from(b'b')] - order_2).abs() < 1e-12);
    }

    #[test]
    fn a_known_text_costs_less_than_an_unknown_one() {
        let text = "the whale and the sea and the whale ".repeat(40);
        let model = OrderTwoModel::fit(&[&text]).unwrap();
        let known = model.evaluate(&text).unwrap();
        let unknown = model.evaluate("QXZJ VKWY 0123456789").unwrap();
        assert!(
            known.bits_per_byte < 1.5 && unknown.bits_per_byte > 6.0,
            "{known:?}"
        );
        assert_eq!(known.bytes, text.len() as u64);
        assert_eq!(known.tokens, known.bytes);
        assert_eq!(known.segments.len(), text.len().div_ceil(512));
        assert!(known.accuracy > 0.7);
    }

    #[test]
    fn gzip_profits_from_the_training_text() {
        let text = (0..200)
            .map(|index| format!("{} whales swam by. ", index * index))
            .collect::<String>();
        let (with, without) = (
            gzip_bits_per_byte(&text, &text).unwrap(),
            gzip_bits_per_byte("", &text).unwrap(),
        );
        assert!(with < 0.5 * without, "{with} {without}");
        assert!(gzip_bits_per_byte("a", "").is_err());
    }
}
