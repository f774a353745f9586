//! The bytes of each token.

use std::collections::HashMap;

use super::recipe::{Alphabet, Recipe, SPACE, refuse};
use crate::error::Result;

/// The bytes of every id below the highest one; `None` where an id is unused.
pub(super) fn token_bytes(
    library: &tokenizers::Tokenizer,
    alphabet: Alphabet,
) -> Result<Vec<Option<Vec<u8>>>> {
    let characters = characters();
    let added = library.get_added_tokens_decoder();
    let vocabulary = library.get_vocab(true);
    let size = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
    // An id far above the number of tokens would make a huge, empty table.
    if size > 2 * vocabulary.len() + 1024 {
        return refuse(format!(
            "gives {} tokens ids up to {}: number them without gaps",
            vocabulary.len(),
            size - 1
        ));
    }
    let mut table = vec![None; size];
    let mut sorted: Vec<(&String, &u32)> = vocabulary.iter().collect();
    sorted.sort_by_key(|(_, id)| **id);
    for (token, &id) in sorted {
        let bytes = match (added.get(&id), alphabet) {
            (Some(added), _) => Some(added.content.as_bytes().to_vec()),
            (None, Alphabet::ByteLevel) => token.chars().map(|char| characters.get(&char).copied()).collect(),
            (None, Alphabet::SentencePiece) => Some(match byte_token(token) {
                Some(byte) => vec![byte],
                None => token.replace(SPACE, " ").into_bytes(),
            }),
        };
        if bytes.is_none() {
            return refuse(format!("has token {id} `{token}`, which does not spell bytes"));
        }
        table[id as usize] = bytes;
    }
    Ok(table)
}

/// The bytes without a token of their own: some byte-level vocabularies (SmolLM2's) leave out control characters and
/// bytes that UTF-8 hardly uses. The library drops them from a text without a word.
///
/// # Errors
/// A byte of printable ASCII, or any byte where a tokenizer falls back to bytes or composes characters: a text without
/// it could come to need it.
pub(super) fn missing_bytes(
    library: &tokenizers::Tokenizer,
    table: &[Option<Vec<u8>>],
    recipe: &Recipe,
) -> Result<Vec<u8>> {
    let missing = missing(library, table, recipe.alphabet);
    let needed = |byte: &u8| {
        recipe.composes || recipe.alphabet == Alphabet::SentencePiece || (b' '..=b'~').contains(byte)
    };
    match missing.iter().find(|byte| needed(byte)) {
        None => Ok(missing),
        Some(byte) => refuse(format!(
            "has no token for byte {byte:#04x}: it could not encode every text"
        )),
    }
}

fn missing(library: &tokenizers::Tokenizer, table: &[Option<Vec<u8>>], alphabet: Alphabet) -> Vec<u8> {
    let mut single = [false; 256];
    match alphabet {
        Alphabet::ByteLevel => {
            for bytes in table.iter().flatten().filter(|bytes| bytes.len() == 1) {
                single[usize::from(bytes[0])] = true;
            }
        }
        Alphabet::SentencePiece => {
            for byte in 0..=u8::MAX {
                single[usize::from(byte)] = library.token_to_id(&format!("<0x{byte:02X}>")).is_some();
            }
        }
    }
    (0..=u8::MAX).filter(|&byte| !single[usize::from(byte)]).collect()
}

/// The byte of a token `<0x0A>`, as SentencePiece writes it.
fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    two.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The characters that stand for bytes in a byte-level vocabulary: printable Latin-1 for itself, the other 68 bytes as
/// U+0100 onwards (GPT-2's `bytes_to_unicode`).
fn characters() -> HashMap<char, u8> {
    let mut next = 256_u32;
    (0..=255_u8)
        .map(|byte| {
            let character = if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                char::from(byte)
            } else {
                next += 1;
                char::from_u32(next - 1).expect("U+0100 to U+0143 are characters")
            };
            (character, byte)
        })
        .collect()
}
