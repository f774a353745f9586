//! Rotary positions (Su et al., arXiv 2104.09864): each head's two halves are turned against each other by angles that
//! grow with the position.

use rayon::prelude::*;

use super::instructions::vectorise;

/// Numbers that one task takes, in whole heads.
const PIECE: usize = 1 << 14;

/// Cosines and sines of every position and pair, computed once.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    /// `[positions, head width / 2]`, each.
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
}

/// Which way to turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// By the angle: the forward pass.
    Forward,
    /// Against it: the gradient.
    Backward,
}

impl Turns {
    /// The angle of a position and a pair is their product position × frequency; both functions of it are multiplied
    /// with `factor`. All in f64, by `libm`, and rounded at the end.
    pub fn new(frequencies: &[f64], factor: f64, positions: usize) -> Self {
        let angles = || {
            (0..positions).flat_map(|position| {
                frequencies
                    .iter()
                    .map(move |frequency| position as f64 * frequency)
            })
        };
        Self {
            cosines: angles().map(|angle| (libm::cos(angle) * factor) as f32).collect(),
            sines: angles().map(|angle| (libm::sin(angle) * factor) as f32).collect(),
            half: frequencies.len(),
        }
    }

    /// Numbers that [`new`](Self::new) allocates.
    pub fn numbers(head_width: usize, positions: usize) -> u64 {
        (head_width * positions) as u64
    }
}

/// Turns every row of head-major `[heads, length, head width]` in place; the rows of a head are at positions `first`..
pub(crate) fn rotate(heads: &mut [f32], turns: &Turns, length: usize, first: usize, direction: Direction) {
    let half = turns.half;
    let head = length * 2 * half;
    let places = first * half..(first + length) * half;
    let (cosines, sines) = (&turns.cosines[places.clone()], &turns.sines[places]);
    let sign = match direction {
        Direction::Forward => 1.0,
        Direction::Backward => -1.0,
    };
    heads
        .par_chunks_mut(head)
        .with_min_len((PIECE / head).max(1))
        .for_each(|rows| {
            vectorise!({
                let angles = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
                for (row, (cosines, sines)) in rows.chunks_exact_mut(2 * half).zip(angles) {
                    let (one, other) = row.split_at_mut(half);
                    for (((x, y), c), s) in one.iter_mut().zip(other).zip(cosines).zip(sines) {
                        // The sign of a product is exact, so that both directions have the bits of their formulas.
                        let s = s * sign;
                        (*x, *y) = (*x * c - *y * s, *y * c + *x * s);
                    }
                }
            });
        });
}

#[cfg(test)]
mod tests {
    use super::super::instructions::tests::with_each;
    use super::super::reference;
    use super::*;
    use crate::threads;

    #[test]
    fn has_the_bits_of_the_reference_at_odd_shapes() {
        with_each(|_| {
            for (count, heads, length, half, first) in [
                (1, 1, 1, 1, 0),
                (2, 5, 7, 3, 2),
                (8, 3, 131, 17, 1),
                (3, 2, 1, 64, 40),
            ] {
                let frequencies: Vec<f64> = (0..half).map(|pair| 0.9_f64.powi(pair)).collect();
                let half = frequencies.len();
                let turns = Turns::new(&frequencies, 1.25, first + length);
                let before = reference::numbers(heads * length * 2 * half, 1);
                for direction in [Direction::Forward, Direction::Backward] {
                    let mut rows = before.clone();
                    let pool = threads::pool(count).unwrap();
                    pool.install(|| rotate(&mut rows, &turns, length, first, direction));
                    let made = rows.chunks(2 * half).zip(before.chunks(2 * half));
                    for (index, (row, before)) in made.enumerate() {
                        let position = first + index % length;
                        let sign = if direction == Direction::Forward {
                            1.0
                        } else {
                            -1.0
                        };
                        assert_eq!(row, reference::rotate(before, &frequencies, 1.25, position, sign));
                    }
                }
            }
        });
    }

    #[test]
    fn backward_undoes_forward_and_lengths_stay() {
        let turns = Turns::new(&[1.0, 0.1, 0.01], 1.0, 50);
        let before = reference::numbers(50 * 6, 2);
        let mut rows = before.clone();
        rotate(&mut rows, &turns, 50, 0, Direction::Forward);
        assert_eq!(rows[..6], before[..6], "position 0 is not turned");
        assert_ne!(rows[6..], before[6..]);
        rotate(&mut rows, &turns, 50, 0, Direction::Backward);
        let worst = rows
            .iter()
            .zip(&before)
            .fold(0.0_f32, |worst, (one, other)| worst.max((one - other).abs()));
        assert!(worst < 1e-6, "{worst}");
    }
}
