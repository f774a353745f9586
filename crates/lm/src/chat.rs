//! Chat templates: how a model wants a conversation written, as a Jinja program that its maker wrote.
//!
//! A template is untrusted: it runs with a budget of work and memory, without files, network, clock or randomness. So
//! are the messages: none of them can end its turn or begin another one (`encode.rs`).

mod date;
mod encode;
mod json;
mod methods;
mod operators;
mod render;
mod values;

use serde::{Deserialize, Serialize};

pub use date::Date;

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Longest template in bytes; those of large models have some 20,000.
const MAXIMUM_TEMPLATE: usize = 1 << 18;
/// Most bytes of all messages together.
const MAXIMUM_MESSAGES: usize = 1 << 21;

/// A chat template that parses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTemplate {
    source: String,
}

/// Who says something.
///
/// A closed set: some templates build special tokens from roles, so that a role of somebody's choice could forge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// How a conversation is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatOptions {
    /// Whether the text ends with the beginning of an answer.
    pub add_generation_prompt: bool,
    /// The day that a template which asks for it is told. Without one, templates use the day written in them.
    pub date: Option<Date>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            add_generation_prompt: true,
            date: None,
        }
    }
}

impl ChatTemplate {
    /// Checks a template's syntax.
    ///
    /// # Errors
    /// A template that is too long, or does not parse, with the line.
    pub fn parse(source: &str) -> Result<Self> {
        if source.len() > MAXIMUM_TEMPLATE {
            return Err(Error::TooLarge {
                what: "the chat template",
                size: source.len() as u64,
                limit: MAXIMUM_TEMPLATE as u64,
            });
        }
        render::check(source)?;
        Ok(Self {
            source: source.to_owned(),
        })
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a conversation as one text. What the messages spell is not told from what the template writes: use
    /// [`encode`](Self::encode) to give it to a model.
    ///
    /// # Errors
    /// Messages that are too long or that the template refuses, or a template that fails or does too much, with the
    /// line.
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        options: &ChatOptions,
    ) -> Result<String> {
        check_length(messages)?;
        let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
        render::render(&self.source, tokenizer, messages, &contents, options)
    }

    /// The tokens of a conversation. Special tokens are those that the template writes; those spelt in a message are
    /// encoded as the text they are. Nothing is put before it: a template writes what begins a text itself.
    ///
    /// # Errors
    /// As [`render`](Self::render); a message that would make a special token together with what the template writes
    /// beside it.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        options: &ChatOptions,
    ) -> Result<Vec<u32>> {
        check_length(messages)?;
        encode::encode(&self.source, tokenizer, messages, options)
    }
}

fn check_length(messages: &[Message]) -> Result<()> {
    let size: usize = messages.iter().map(|message| message.content.len()).sum();
    if size > MAXIMUM_MESSAGES || messages.len() > MAXIMUM_MESSAGES / 64 {
        return Err(Error::TooLarge {
            what: "the conversation, in bytes or in messages of 64 bytes,",
            size: size.max(messages.len().saturating_mul(64)) as u64,
            limit: MAXIMUM_MESSAGES as u64,
        });
    }
    Ok(())
}
