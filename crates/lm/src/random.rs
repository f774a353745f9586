//! All randomness: ChaCha20 streams derived from a seed and a purpose, so that no two uses share numbers.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Numbers for one purpose, from the caller's seed; `index` tells repeated uses apart (an epoch, a tensor).
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    pub(crate) fn new(purpose: &str, seed: u64, index: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"posthuman-lm/random/1\0");
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(seed.to_le_bytes());
        hash.update(index.to_le_bytes());
        Self(ChaCha20Rng::from_seed(hash.finalize().into()))
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub(crate) fn unit_f64(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in 0..bound, without bias (rejection). `bound` is above 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.0.next_u64();
            if draw < zone {
                return draw % bound;
            }
        }
    }

    /// Two independent standard normal numbers (Box-Muller, with `libm` so that every platform agrees).
    pub(crate) fn normal_pair(&mut self) -> [f64; 2] {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit_f64()));
        let angle = 2.0 * std::f64::consts::PI * self.unit_f64();
        [radius * libm::cos(angle), radius * libm::sin(angle)]
    }

    /// A uniformly random order of 0..count (Fisher-Yates).
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_indices_give_different_numbers_and_repeat() {
        let draw = |purpose, index| Random::new(purpose, 7, index).below(1 << 60);
        assert_eq!(draw("a", 0), draw("a", 0));
        assert_ne!(draw("a", 0), draw("b", 0));
        assert_ne!(draw("a", 0), draw("a", 1));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Random::new("test", 1, 0).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut random = Random::new("test", 3, 0);
        let values: Vec<f64> = (0..20_000).flat_map(|_| random.normal_pair()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.03, "variance {variance}");
    }
}
