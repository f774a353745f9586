//! Text out of tokens that come one at a time.

use std::sync::Arc;

/// Decodes tokens as they come and gives only whole characters: the bytes of an unfinished one wait for the next
/// token. What it gives, joined, is [`Tokenizer::decode`](crate::Tokenizer::decode) of all tokens.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    table: Arc<Vec<Option<Vec<u8>>>>,
    pending: Vec<u8>,
}

impl StreamDecoder {
    pub(super) fn new(table: Arc<Vec<Option<Vec<u8>>>>) -> Self {
        Self {
            table,
            pending: Vec::new(),
        }
    }

    /// The text that this token completes; empty while a character is unfinished.
    pub fn push(&mut self, token: u32) -> String {
        if let Some(Some(bytes)) = self.table.get(token as usize) {
            self.pending.extend_from_slice(bytes);
        }
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let (valid, rest) = self.pending.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(wrong) = error.error_len() else {
                        self.pending = rest.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.pending = rest[wrong..].to_vec();
                }
            }
        }
    }

    /// Ends the stream: what is left of an unfinished character becomes U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}
