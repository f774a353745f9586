//! From texts to the windows that a training reads, in an order fixed by a seed.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::random::Random;
use crate::tokenizer::Tokenizer;

/// A text has at most one control character in so many bytes.
const CONTROLS_PER: usize = 1000;

/// Checks that bytes are a text that can be trained on or scored: UTF-8, not empty, not binary.
///
/// Binary is what holds a zero byte, or more than one control character in a thousand bytes. A stray control character
/// is common in scanned and converted texts and does no harm: it is a token like any other.
///
/// # Errors
/// What is wrong and at which byte.
pub fn check_text(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::text(format!(
            "is not UTF-8 at byte {}: convert it, or check that it is a text",
            error.valid_up_to()
        ))
    })?;
    if text.trim().is_empty() {
        return Err(Error::text("is empty: it holds nothing but white space"));
    }
    let is_control = |&(_, byte): &(usize, u8)| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    let mut controls = text.bytes().enumerate().filter(is_control);
    let Some((first, byte)) = controls.next() else {
        return Ok(text);
    };
    let others = controls.count();
    if text.contains('\0') || (others + 1).saturating_mul(CONTROLS_PER) > text.len() {
        return Err(Error::text(format!(
            "looks binary: it holds {} control characters, the first ({byte:#04x}) at byte {first}",
            others + 1
        )));
    }
    Ok(text)
}

/// The token streams of a training: what is learnt from, and what is held out to look at the loss.
#[derive(Clone)]
pub struct TrainingData {
    training: Vec<u32>,
    held_out: Vec<u32>,
}

impl TrainingData {
    /// Tokenizes whole documents, each checked by [`check_text`]; what begins a text for the tokenizer, or else
    /// what ends one, comes before each where there is such a token. `held_out` may be empty.
    ///
    /// # Errors
    /// A document that is no text, by its number, or fewer than two tokens to train on.
    pub fn from_documents(tokenizer: &Tokenizer, training: &[&str], held_out: &[&str]) -> Result<Self> {
        Self::from_tokens(join(tokenizer, training)?, join(tokenizer, held_out)?)
    }

    /// Tokenizes one text and holds out its last part: `held_out_fraction` of its bytes, cut at a line's end where
    /// one is near.
    ///
    /// # Errors
    /// As [`from_documents`](Self::from_documents), or a fraction outside 0..=0.9.
    pub fn from_text(tokenizer: &Tokenizer, text: &str, held_out_fraction: f64) -> Result<Self> {
        if !(0.0..=0.9).contains(&held_out_fraction) {
            let problem = format!("is {held_out_fraction}: it must be between 0 and 0.9");
            return Err(Error::options("held_out_fraction", problem));
        }
        let wanted = ((text.len() as f64) * (1.0 - held_out_fraction)) as usize;
        let mut border = (0..=wanted.min(text.len()))
            .rev()
            .find(|&index| text.is_char_boundary(index))
            .unwrap_or(0);
        if let Some(newline) = text[..border]
            .rfind('\n')
            .filter(|&newline| border - newline < 1024 && newline > 0)
        {
            border = newline + 1;
        }
        let (training, held_out) = if held_out_fraction == 0.0 {
            (text, "")
        } else {
            text.split_at(border)
        };
        let held_out = if held_out.trim().is_empty() {
            vec![]
        } else {
            vec![held_out]
        };
        Self::from_documents(tokenizer, &[training], &held_out)
    }

    /// Streams that were tokenized elsewhere; `held_out` may be empty.
    ///
    /// # Errors
    /// Fewer than two tokens to train on.
    pub fn from_tokens(training: Vec<u32>, held_out: Vec<u32>) -> Result<Self> {
        if training.len() < 2 {
            return Err(Error::text("is too short: training needs at least two tokens"));
        }
        Ok(Self { training, held_out })
    }

    /// Tokens to learn from.
    pub fn training_tokens(&self) -> usize {
        self.training.len()
    }

    /// Tokens held out.
    pub fn held_out_tokens(&self) -> usize {
        self.held_out.len()
    }

    /// SHA-256 over both token streams; a checkpoint resumes only on the same data.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for stream in [&self.training, &self.held_out] {
            hash.update((stream.len() as u64).to_le_bytes());
            for token in stream {
                hash.update(token.to_le_bytes());
            }
        }
        hash.finalize().into()
    }

    /// The highest token in either stream.
    pub(crate) fn highest_token(&self) -> u32 {
        self.training
            .iter()
            .chain(&self.held_out)
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// Length of the training windows: the wanted one, or the whole text where that is shorter.
    pub(crate) fn window_length(&self, wanted: usize) -> usize {
        wanted.min(self.training.len() - 1)
    }

    /// Windows of one epoch.
    pub(crate) fn windows_per_epoch(&self, length: usize) -> u64 {
        ((self.training.len() - 1) / length) as u64
    }

    /// Consecutive held-out windows of `length` inputs with their targets, at most `maximum`; the last may be shorter
    /// and is left out unless it is the only one.
    pub(crate) fn held_out_windows(&self, length: usize, maximum: usize) -> Vec<(&[u32], &[u32])> {
        let Some(predicted) = self.held_out.len().checked_sub(1).filter(|&count| count > 0) else {
            return vec![];
        };
        let length = length.min(predicted);
        (0..(predicted / length).min(maximum))
            .map(|index| window(&self.held_out, index * length, length))
            .collect()
    }
}

impl std::fmt::Debug for TrainingData {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TrainingData")
            .field("training_tokens", &self.training.len())
            .field("held_out_tokens", &self.held_out.len())
            .finish()
    }
}

/// Gives the training windows in order. Each epoch cuts the stream into windows from a random offset and visits every
/// window once, in a random order; both follow from the seed and the epoch's number, so that a position in the order
/// is one number.
pub(crate) struct Windows {
    seed: u64,
    length: usize,
    /// The epoch that `offset` and `order` belong to.
    epoch: Option<u64>,
    offset: usize,
    order: Vec<u32>,
}

impl Windows {
    pub(crate) fn new(seed: u64, length: usize) -> Self {
        Self {
            seed,
            length,
            epoch: None,
            offset: 0,
            order: Vec::new(),
        }
    }

    /// Inputs and targets of the window at `position` in the endless order.
    pub(crate) fn get<'a>(&mut self, data: &'a TrainingData, position: u64) -> (&'a [u32], &'a [u32]) {
        let per_epoch = data.windows_per_epoch(self.length);
        let (epoch, index) = (position / per_epoch, (position % per_epoch) as usize);
        if self.epoch != Some(epoch) {
            let mut random = Random::new("order of windows", self.seed, epoch);
            let slack = (data.training.len() - 1) % self.length;
            self.offset = random.below(slack as u64 + 1) as usize;
            self.order = random.permutation(per_epoch as usize);
            self.epoch = Some(epoch);
        }
        window(
            &data.training,
            self.offset + self.order[index] as usize * self.length,
            self.length,
        )
    }
}

fn window(stream: &[u32], start: usize, length: usize) -> (&[u32], &[u32]) {
    (
        &stream[start..start + length],
        &stream[start + 1..start + length + 1],
    )
}

fn join(tokenizer: &Tokenizer, documents: &[&str]) -> Result<Vec<u32>> {
    let mut stream = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        check_text(document.as_bytes()).map_err(|error| match error {
            Error::Text { problem } => Error::text(format!("number {} {problem}", index + 1)),
            other => other,
        })?;
        if !tokenizer.adds_bos() {
            stream.extend(tokenizer.end_of_text());
        }
        stream.extend(tokenizer.encode_prompt(document)?);
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(tokens: u32) -> TrainingData {
        TrainingData {
            training: (0..tokens).collect(),
            held_out: (0..10).collect(),
        }
    }

    #[test]
    fn an_epoch_visits_every_window_once_and_epochs_differ() {
        let data = data(103);
        let mut windows = Windows::new(5, 10);
        let starts = |windows: &mut Windows, epoch: u64| -> Vec<u32> {
            (0..10)
                .map(|index| windows.get(&data, epoch * 10 + index).0[0])
                .collect()
        };
        let first = starts(&mut windows, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(
            sorted.windows(2).all(|pair| pair[1] - pair[0] == 10),
            "{sorted:?}"
        );
        assert!(sorted[0] <= 2);
        assert_ne!(first, starts(&mut windows, 1));
        assert_eq!(first, starts(&mut Windows::new(5, 10), 0));
        assert_ne!(first, starts(&mut Windows::new(6, 10), 0));
    }

    #[test]
    fn targets_are_the_inputs_one_later() {
        let data = data(50);
        let (inputs, targets) = Windows::new(1, 7).get(&data, 3);
        assert_eq!((inputs.len(), targets.len()), (7, 7));
        assert_eq!(inputs[1..], targets[..6]);
    }

    #[test]
    fn a_text_shorter_than_the_context_is_one_window() {
        let data = data(5);
        assert_eq!(data.window_length(128), 4);
        assert_eq!(Windows::new(1, 4).get(&data, 9).1, [1, 2, 3, 4]);
        assert_eq!(data.held_out_windows(128, 3).len(), 1);
        assert_eq!(data.held_out_windows(4, 8).len(), 2);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for (bytes, reason) in [
            (&b"ab\xff"[..], "byte 2"),
            (b" \n", "empty"),
            (b"", "empty"),
            (b"ab\0c", "0x00"),
            (b"\x89PNG", "UTF-8"),
        ] {
            let error = check_text(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(check_text("a\tb\r\n\u{e9}".as_bytes()).unwrap(), "a\tb\r\n\u{e9}");
    }

    #[test]
    fn the_held_out_part_is_the_end_of_the_text() {
        let text = "one two three\n".repeat(100);
        let tokenizer = Tokenizer::train(&[&text], 257).unwrap();
        let data = TrainingData::from_text(&tokenizer, &text, 0.1).unwrap();
        assert_eq!(data.training_tokens() + data.held_out_tokens(), text.len() + 2);
        assert!((130..160).contains(&data.held_out_tokens()), "{data:?}");
        assert_eq!(
            TrainingData::from_text(&tokenizer, &text, 0.0)
                .unwrap()
                .held_out_tokens(),
            0
        );
        assert!(TrainingData::from_text(&tokenizer, &text, 1.0).is_err());
        let error = TrainingData::from_documents(&tokenizer, &["a b", "\0"], &[]).unwrap_err();
        assert!(error.to_string().contains("number 2"), "{error}");
    }
}
