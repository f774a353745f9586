//! Choosing the next token.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::math;
use crate::random::Random;

/// How text is generated. All randomness comes from `seed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 takes the most likely token (of equal ones the lowest id); otherwise logits are divided by it.
    pub temperature: f64,
    /// Only that many most likely tokens are candidates; 0 is all.
    pub top_k: usize,
    /// Of those, only the most likely that together hold this much probability (at least one); 1 is all.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Most tokens to generate.
    pub maximum_tokens: usize,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
            maximum_tokens: 64,
            stop: Vec::new(),
        }
    }
}

impl Sampling {
    /// Checks every number against the range in which it means something.
    ///
    /// # Errors
    /// The first option out of its range, by name.
    pub fn check(&self) -> Result<()> {
        let (temperature, top_p) = (self.temperature, self.top_p);
        if !(0.0..=100.0).contains(&temperature) {
            return Err(Error::options(
                "temperature",
                format!("is {temperature}: it must be between 0 and 100"),
            ));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Error::options(
                "top_p",
                format!("is {top_p}: it must be above 0 and at most 1"),
            ));
        }
        if self.maximum_tokens == 0 {
            return Err(Error::options(
                "maximum_tokens",
                "is 0: ask for at least one token",
            ));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::options(
                "stop",
                "holds an empty text, which would end every answer at once",
            ));
        }
        Ok(())
    }
}

/// Draws tokens one after another.
pub(crate) struct Sampler {
    sampling: Sampling,
    random: Random,
}

impl Sampler {
    pub fn new(sampling: &Sampling) -> Self {
        Self {
            sampling: sampling.clone(),
            random: Random::new("sampling", sampling.seed, 0),
        }
    }

    /// The next token, from finite logits (at least one). One draw is taken for each token unless greedy.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        if self.sampling.temperature == 0.0 {
            return likeliest(logits);
        }
        let candidates = self.candidates(logits);
        let total: f64 = candidates.iter().map(|&(_, weight)| weight).sum();
        let mut left = self.random.unit_f64() * total;
        for &(token, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return token;
            }
        }
        // Rounding can leave a hair's breadth: it belongs to the last candidate.
        candidates
            .last()
            .map_or_else(|| likeliest(logits), |&(token, _)| token)
    }

    /// Candidates and their weights, most likely first.
    fn candidates(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let likelier = |&one: &u32, &other: &u32| {
            logits[other as usize]
                .total_cmp(&logits[one as usize])
                .then(one.cmp(&other))
        };
        if (1..order.len()).contains(&self.sampling.top_k) {
            // A vocabulary takes longer to sort than a small model to read a token.
            order.select_nth_unstable_by(self.sampling.top_k - 1, likelier);
            order.truncate(self.sampling.top_k);
        }
        order.sort_unstable_by(likelier);
        let largest = logits[order[0] as usize];
        let inverse = (1.0 / self.sampling.temperature) as f32;
        let weight = |&token: &u32| {
            // 0 × ∞ at a vanishing temperature: the largest keeps weight 1.
            let distance = logits[token as usize] - largest;
            let power = if distance == 0.0 {
                1.0
            } else {
                math::exp(distance * inverse)
            };
            (token, f64::from(power))
        };
        let mut candidates: Vec<(u32, f64)> = order.iter().map(weight).collect();
        if self.sampling.top_p < 1.0 {
            let total: f64 = candidates.iter().map(|&(_, weight)| weight).sum();
            let mut sum = 0.0;
            let reached = candidates.iter().position(|&(_, weight)| {
                sum += weight;
                sum >= self.sampling.top_p * total
            });
            candidates.truncate(reached.map_or(candidates.len(), |index| index + 1));
        }
        candidates
    }
}

/// The token with the largest of these logits, of equal ones the lowest; 0 where there are none. Logits are finite.
pub fn likeliest(logits: &[f32]) -> u32 {
    let larger = |one: f32, other: f32| if other > one { other } else { one };
    // Several at a time: a vocabulary is long.
    let (pieces, rest) = logits.as_chunks::<16>();
    let mut largest = [f32::NEG_INFINITY; 16];
    for piece in pieces {
        for (largest, &logit) in largest.iter_mut().zip(piece) {
            *largest = larger(*largest, logit);
        }
    }
    let largest = largest
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, larger);
    let place = logits.iter().position(|&logit| logit == largest);
    place.unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(sampling: Sampling, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(&sampling);
        (0..count).map(|_| sampler.next(logits)).collect()
    }

    #[test]
    fn greedy_takes_the_lowest_of_equal_tokens() {
        assert_eq!(draws(Sampling::default(), &[1.0, 3.0, 3.0], 2), [1, 1]);
        for count in [1, 15, 16, 17, 50] {
            for place in 0..count {
                let mut logits = vec![-2.0; count];
                logits[place..].fill(-1.0);
                assert_eq!(likeliest(&logits) as usize, place, "of {count}");
            }
        }
    }

    #[test]
    fn draws_follow_the_probabilities_and_repeat_by_seed() {
        let sampling = Sampling {
            temperature: 1.0,
            seed: 4,
            ..Sampling::default()
        };
        let logits = [0.0, (3.0_f32).ln()];
        let drawn = draws(sampling.clone(), &logits, 4000);
        let share = drawn.iter().filter(|&&token| token == 1).count() as f64 / 4000.0;
        assert!((share - 0.75).abs() < 0.03, "{share}");
        assert_eq!(drawn, draws(sampling.clone(), &logits, 4000));
        assert_ne!(drawn, draws(Sampling { seed: 5, ..sampling }, &logits, 4000));
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_unlikely() {
        let logits = [1.0, 0.9, 0.8, -5.0];
        let warm = Sampling {
            temperature: 1.0,
            ..Sampling::default()
        };
        let kept = |sampling: Sampling| {
            let mut seen = draws(sampling, &logits, 300);
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(
            kept(Sampling {
                top_k: 2,
                ..warm.clone()
            }),
            [0, 1]
        );
        assert_eq!(
            kept(Sampling {
                top_p: 0.99,
                ..warm.clone()
            }),
            [0, 1, 2]
        );
        assert_eq!(
            kept(Sampling {
                top_p: 1e-9,
                ..warm.clone()
            }),
            [0]
        );
        assert_eq!(
            kept(Sampling {
                temperature: 1e-30,
                ..warm
            }),
            [0]
        );
    }

    #[test]
    fn options_out_of_range_are_named() {
        let base = Sampling::default;
        for (sampling, name) in [
            (
                Sampling {
                    temperature: f64::NAN,
                    ..base()
                },
                "temperature",
            ),
            (Sampling { top_p: 0.0, ..base() }, "top_p"),
            (
                Sampling {
                    maximum_tokens: 0,
                    ..base()
                },
                "maximum_tokens",
            ),
            (
                Sampling {
                    stop: vec![String::new()],
                    ..base()
                },
                "stop",
            ),
        ] {
            assert!(sampling.check().unwrap_err().to_string().contains(name));
        }
    }
}
