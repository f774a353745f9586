//! Rows by their numbers, and sums without a bias.

use rayon::prelude::*;

use super::instructions::vectorise;

/// Numbers that one task takes.
const PIECE: usize = 8192;

/// Copies each token's row of `embedding` `[vocabulary, width]`.
pub(crate) fn gather(output: &mut [f32], tokens: &[u32], embedding: &[f32]) {
    let width = output.len() / tokens.len();
    output
        .par_chunks_mut(width)
        .zip(tokens)
        .with_min_len(32)
        .for_each(|(output, &token)| {
            let start = token as usize * width;
            output.copy_from_slice(&embedding[start..start + width]);
        });
}

/// output = residual + sums.
pub(crate) fn add(output: &mut [f32], residual: &[f32], sums: &[f32]) {
    output
        .par_chunks_mut(PIECE)
        .zip(residual.par_chunks(PIECE))
        .zip(sums.par_chunks(PIECE))
        .for_each(|((output, residual), sums)| {
            vectorise!({
                for ((y, x), sum) in output.iter_mut().zip(residual).zip(sums) {
                    *y = x + sum;
                }
            });
        });
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn rows_are_those_of_their_tokens_and_sums_are_sums() {
        let (embedding, tokens) = (reference::numbers(11 * 7, 1), [10, 0, 3, 3]);
        let mut rows = vec![0.0; 4 * 7];
        gather(&mut rows, &tokens, &embedding);
        for (row, token) in rows.chunks(7).zip(tokens) {
            assert_eq!(row, &embedding[token as usize * 7..][..7]);
        }
        let (one, other) = (reference::numbers(20_001, 2), reference::numbers(20_001, 3));
        let mut sums = vec![0.0; 20_001];
        add(&mut sums, &one, &other);
        assert!(
            sums.iter()
                .zip(one.iter().zip(&other))
                .all(|(sum, (a, b))| *sum == a + b)
        );
    }
}
