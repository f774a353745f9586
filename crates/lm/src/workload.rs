//! The engine's work without text and tokenizer, for programs that measure it. Nothing here reads a clock.

use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::evaluate::{Scorer, Window};
use crate::kernels::bf16::{self, Bf16Set};
use crate::kernels::{Matrix, Start, Work};
use crate::model::Model;
use crate::network::Session;
use crate::threads;

/// Reads tokens into a cache of keys and values and gives the logits after the last of them.
pub struct Decoder<'a> {
    model: &'a Model,
    session: Session<'a>,
    left: usize,
    pool: ThreadPool,
}

impl<'a> Decoder<'a> {
    /// A decoder that will read at most `capacity` tokens.
    ///
    /// # Errors
    /// A capacity of 0 or beyond the model's context, or a number of threads out of range.
    pub fn new(model: &'a Model, capacity: usize, threads: usize) -> Result<Self> {
        let context = model.config().context;
        if capacity == 0 || capacity > context {
            let problem = format!("is {capacity}: it must be between 1 and the model's context of {context}");
            return Err(Error::options("capacity", problem));
        }
        Ok(Self {
            model,
            session: Session::new(model, capacity),
            left: capacity,
            pool: threads::pool(threads)?,
        })
    }

    /// Reads tokens after those read before: all at once, one by one or in any parts, the logits `[vocabulary]` have
    /// the same bits.
    ///
    /// # Errors
    /// No token, more than fit, or one outside the vocabulary; then nothing was read.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        if tokens.is_empty() || tokens.len() > self.left {
            let problem = format!("are {}: there is room for 1 to {}", tokens.len(), self.left);
            return Err(Error::options("tokens", problem));
        }
        check_tokens(self.model, tokens)?;
        self.left -= tokens.len();
        Ok(threads::install_awake(&self.pool, || self.session.read(tokens)))
    }
}

/// Scores sequences of tokens: a forward pass and the loss of every prediction.
pub struct LossMeter<'a> {
    model: &'a Model,
    scorer: Scorer<'a>,
    pool: ThreadPool,
}

impl<'a> LossMeter<'a> {
    /// # Errors
    /// A number of threads out of range.
    pub fn new(model: &'a Model, threads: usize) -> Result<Self> {
        Ok(Self {
            model,
            scorer: Scorer::new(model),
            pool: threads::pool(threads)?,
        })
    }

    /// Mean loss in nats of `sequences` of equal length, put through together: token t + 1 of each is predicted from
    /// its tokens up to t.
    ///
    /// # Errors
    /// No sequences, unequal ones, fewer than two tokens or more than the context and one, or a token outside the
    /// vocabulary.
    pub fn loss(&mut self, sequences: &[&[u32]]) -> Result<f64> {
        let length = sequences.first().map_or(0, |sequence| sequence.len());
        let context = self.model.config().context;
        if !(2..=context + 1).contains(&length) || sequences.iter().any(|sequence| sequence.len() != length) {
            let problem = format!(
                "must be of one length between 2 and {} tokens; the first has {length}",
                context + 1
            );
            return Err(Error::options("sequences", problem));
        }
        sequences
            .iter()
            .try_for_each(|sequence| check_tokens(self.model, sequence))?;
        let windows: Vec<Window<'_>> = sequences
            .iter()
            .map(|sequence| Window {
                inputs: &sequence[..length - 1],
                targets: &sequence[1..],
                skip: 0,
            })
            .collect();
        let mut scores = Vec::new();
        self.pool.install(|| self.scorer.score(&windows, &mut scores));
        Ok(scores.iter().map(|score| score.nats).sum::<f64>() / scores.len() as f64)
    }
}

/// The product of row-major a `[rows, depth]` and b `[depth, columns]`, both rounded to bf16, summed in f32: what a
/// network in mixed precision consists of.
///
/// # Errors
/// A set that this machine lacks, matrices of another size, or a number of threads out of range.
pub fn bf16_product(
    set: Bf16Set,
    (a, b): (&[f32], &[f32]),
    [rows, columns, depth]: [usize; 3],
    threads: usize,
) -> Result<Vec<f32>> {
    if !set.is_available() {
        return Err(Error::options(
            "instructions",
            format!("are {set:?}: this machine lacks them"),
        ));
    }
    for (name, matrix, size) in [("a", a, [rows, depth]), ("b", b, [depth, columns])] {
        if size[0].checked_mul(size[1]) != Some(matrix.len()) {
            let problem = format!(
                "holds {} numbers: it must be {} × {}",
                matrix.len(),
                size[0],
                size[1]
            );
            return Err(Error::options(name, problem));
        }
    }
    let Some(count) = rows.checked_mul(columns).filter(|_| depth > 0) else {
        return Err(Error::options(
            "depth",
            "is 0, or the result is too large for memory",
        ));
    };
    let mut target = vec![0.0; count];
    let (a, b) = (Matrix::new(a, rows, depth), Matrix::new(b, depth, columns));
    threads::pool(threads)?.install(|| bf16::multiply(set, &mut target, Start::Zero, a, b, Work::Shared));
    Ok(target)
}

fn check_tokens(model: &Model, tokens: &[u32]) -> Result<()> {
    let vocabulary = model.config().vocabulary;
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        None => Ok(()),
        Some(token) => {
            let problem = format!("hold {token}, outside the model's vocabulary of {vocabulary}");
            Err(Error::options("tokens", problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn model() -> Model {
        Model::random(Config::gpt2(31, 12, 8, 2, 2).unwrap(), 3).unwrap()
    }

    #[test]
    fn parts_have_the_bits_of_the_whole_and_the_loss_is_that_of_the_logits() {
        let (model, tokens) = (model(), [3, 1, 4, 1, 5, 9, 2, 6]);
        let whole = Decoder::new(&model, 8, 2).unwrap().read(&tokens).unwrap();
        let mut decoder = Decoder::new(&model, 8, 1).unwrap();
        let mut nats = 0.0;
        for (index, part) in tokens.chunks(1).enumerate() {
            let logits = decoder.read(part).unwrap();
            if let Some(&next) = tokens.get(index + 1) {
                let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                nats += total.ln() - f64::from(logits[next as usize]);
            } else {
                assert_eq!(logits, whole);
            }
        }
        let loss = LossMeter::new(&model, 1)
            .unwrap()
            .loss(&[&tokens, &tokens])
            .unwrap();
        assert!((loss - nats / 7.0).abs() < 1e-6, "{loss} and {}", nats / 7.0);
    }

    #[test]
    fn a_product_of_bf16_is_exact_for_small_integers_and_refuses_other_sizes() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, -1.0, 2.0]);
        let best = Bf16Set::best();
        assert_eq!(bf16_product(best, (&a, &b), [2, 1, 3], 1).unwrap(), [5.0, 11.0]);
        for (shape, threads) in [([2, 2, 3], 1), ([2, 1, usize::MAX], 1), ([2, 1, 3], 0)] {
            assert!(bf16_product(best, (&a, &b), shape, threads).is_err(), "{shape:?}");
        }
        assert!(bf16_product(best, (&[], &[]), [usize::MAX, 2, 0], 1).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let model = model();
        assert!(Decoder::new(&model, 13, 1).is_err() && Decoder::new(&model, 0, 1).is_err());
        let mut decoder = Decoder::new(&model, 2, 1).unwrap();
        assert!(decoder.read(&[]).is_err() && decoder.read(&[31]).is_err() && decoder.read(&[0; 3]).is_err());
        decoder.read(&[0; 2]).unwrap();
        assert!(decoder.read(&[0]).unwrap_err().to_string().contains("room"));
        let mut meter = LossMeter::new(&model, 1).unwrap();
        for sequences in [
            &[][..],
            &[&[1][..]],
            &[&[1; 14]],
            &[&[1, 2], &[1, 2, 3]],
            &[&[1, 40]],
        ] {
            assert!(meter.loss(sequences).is_err(), "{sequences:?}");
        }
    }
}
