//! Generating text with a cache of keys and values.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::network::Session;
use crate::sampling::{Sampler, Sampling};
use crate::threads;
use crate::tokenizer::{StreamDecoder, Tokenizer};

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// As many tokens as were asked for.
    Length,
    /// One of the stop texts came.
    Stop,
    /// The model ended the text.
    EndOfText,
    /// The caller's function asked to stop.
    Cancelled,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// All generated tokens, those of a stop text and the end of text included: what was computed.
    pub tokens: Vec<u32>,
    /// Their text, without the end of text and without a stop text and what follows it.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// Refuses what does not fit the context: a prompt and an answer share it.
///
/// # Errors
/// [`Error::ContextOverflow`] with the three numbers.
pub fn check_context(config: &Config, prompt_tokens: usize, maximum_tokens: usize) -> Result<()> {
    let context = config.context;
    if prompt_tokens.saturating_add(maximum_tokens) > context {
        return Err(Error::ContextOverflow {
            prompt: prompt_tokens,
            maximum: maximum_tokens,
            context,
        });
    }
    Ok(())
}

/// Continues a prompt.
///
/// `on_token` is called once for each generated token, with the text that it settles: whole characters only, nothing
/// that may still become a stop text, so that the texts joined are [`Generation::text`]. `ControlFlow::Break` ends the
/// generation. The result is the same for any number of threads.
///
/// # Errors
/// An empty prompt, a token outside the vocabulary, options out of range, a prompt that leaves too little room, or
/// weights that give no finite numbers.
pub fn generate(
    bundle: &Bundle,
    prompt: &[u32],
    sampling: &Sampling,
    threads: usize,
    mut on_token: impl FnMut(u32, &str) -> ControlFlow<()>,
) -> Result<Generation> {
    let config = bundle.model().config();
    sampling.check()?;
    check_prompt(config, prompt)?;
    check_context(config, prompt.len(), sampling.maximum_tokens)?;
    let pool = threads::pool(threads)?;
    let mut session = Session::new(bundle.model(), prompt.len() + sampling.maximum_tokens);
    let mut writer = Writer::new(bundle.tokenizer(), sampling);
    let mut sampler = Sampler::new(sampling);
    let mut generation = Generation {
        tokens: Vec::new(),
        text: String::new(),
        finish: Finish::Length,
    };
    let mut logits = pool.install(|| session.read(prompt));
    loop {
        // A vocabulary padded beyond the tokenizer has rows that stand for nothing.
        let known = &logits[..bundle.tokenizer().vocabulary().min(logits.len())];
        if !known.iter().all(|logit| logit.is_finite()) {
            return Err(Error::tensor(
                "logits",
                "are not finite: the model's weights are out of range",
            ));
        }
        let token = sampler.next(known);
        generation.tokens.push(token);
        let finish = match writer.push(token) {
            None if generation.tokens.len() == sampling.maximum_tokens => Some(Finish::Length),
            finish => finish,
        };
        let text = writer.take(finish);
        generation.text.push_str(&text);
        let flow = on_token(token, &text);
        if let Some(finish) = finish.or(flow.is_break().then_some(Finish::Cancelled)) {
            generation.finish = finish;
            return Ok(generation);
        }
        logits = threads::install_awake(&pool, || session.read(&[token]));
    }
}

fn check_prompt(config: &Config, prompt: &[u32]) -> Result<()> {
    if prompt.is_empty() {
        return Err(Error::text("is empty: a prompt needs at least one token"));
    }
    match prompt.iter().find(|&&token| token as usize >= config.vocabulary) {
        None => Ok(()),
        Some(token) => {
            let problem = format!(
                "holds token {token}, outside the model's vocabulary of {}",
                config.vocabulary
            );
            Err(Error::text(problem))
        }
    }
}

/// Holds text back while it may still become a stop text.
struct Writer<'a> {
    stream: StreamDecoder,
    ends: &'a [u32],
    stop: &'a [String],
    held: String,
}

impl<'a> Writer<'a> {
    fn new(tokenizer: &'a Tokenizer, sampling: &'a Sampling) -> Self {
        Self {
            stream: tokenizer.stream(),
            ends: tokenizer.eos_tokens(),
            stop: &sampling.stop,
            held: String::new(),
        }
    }

    /// Takes a token in; says whether it ends the text.
    fn push(&mut self, token: u32) -> Option<Finish> {
        if self.ends.contains(&token) {
            return Some(Finish::EndOfText);
        }
        self.held.push_str(&self.stream.push(token));
        let earliest = self
            .stop
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min()?;
        self.held.truncate(earliest);
        Some(Finish::Stop)
    }

    /// The text that is settled, given whether this is the end.
    fn take(&mut self, finish: Option<Finish>) -> String {
        let settled = match finish {
            Some(Finish::Stop) => self.held.len(),
            Some(_) => {
                self.held.push_str(&self.stream.finish());
                self.held.len()
            }
            None => self.held.len() - self.possible_stop(),
        };
        let rest = self.held.split_off(settled);
        std::mem::replace(&mut self.held, rest)
    }

    /// Length of the longest end of the held text that begins a stop text.
    fn possible_stop(&self) -> usize {
        let begins = |stop: &String| {
            let most = stop.len().min(self.held.len());
            (1..=most).rev().find(|&length| {
                let start = self.held.len() - length;
                self.held.is_char_boundary(start) && stop.starts_with(&self.held[start..])
            })
        };
        self.stop.iter().filter_map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stop: &[&str], text: &str) -> (Vec<String>, bool) {
        let tokenizer = Tokenizer::train(&["x"], 257).unwrap();
        let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
        let sampling = Sampling {
            stop,
            ..Sampling::default()
        };
        let mut writer = Writer::new(&tokenizer, &sampling);
        let mut parts = Vec::new();
        for token in tokenizer.encode(text).unwrap() {
            let finish = writer.push(token);
            parts.push(writer.take(finish));
            if finish.is_some() {
                return (parts, true);
            }
        }
        parts.push(writer.take(Some(Finish::Length)));
        (parts, false)
    }

    #[test]
    fn a_stop_text_is_never_shown_in_part() {
        let (parts, stopped) = written(&["END"], "abEENDcd");
        assert!(stopped);
        assert_eq!(parts.concat(), "abE");
        assert_eq!(parts, ["a", "b", "", "E", "", ""]);
    }

    #[test]
    fn text_that_only_looked_like_a_stop_is_given_back() {
        let (parts, stopped) = written(&["END", "NDX"], "aENDX".replace("END", "EN").as_str());
        assert!(!stopped);
        assert_eq!(parts.concat(), "aENX");
        assert_eq!(written(&["\u{e9}!"], "\u{e9}\u{e9}").0.concat(), "\u{e9}\u{e9}");
    }
}
