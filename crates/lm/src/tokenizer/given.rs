//! How many bytes of the given text stand behind each token.
//!
//! Some tokenizers change a text before they cut it: they compose characters, write U+2581 as a space or put a space
//! before the text. Bits per byte are counted over the text that was given, so tokens are laid back onto it.

use tokenizers::NormalizedString;

use super::pieces::pieces;
use super::recipe::{Alphabet, Recipe, SPACE};

/// A stretch of the text: its bytes as given, and its bytes as the tokens spell them.
type Stretch = (usize, usize);

/// Lengths in the given text of tokens whose own lengths are known; they sum up to the text's. Within a stretch that
/// was changed, given bytes are counted as early as possible. `None` where tokens do not spell the changed text.
pub(super) fn given_lengths(
    recipe: &Recipe,
    text: &str,
    token_lengths: impl Iterator<Item = usize>,
) -> Option<Vec<u64>> {
    let prefix = recipe.prefix.applies(text, true).then_some((0, 1));
    let body = pieces(text, recipe.cuts).flat_map(|piece| stretches(recipe, piece));
    let mut stretches = prefix.into_iter().chain(body);
    let (mut start, mut stretch, mut used) = (0, (0, 0), 0);
    let mut position = 0;
    let mut lengths = Vec::new();
    for length in token_lengths {
        let mut left = length;
        while left > 0 {
            if used == stretch.1 {
                start += stretch.0;
                stretch = stretches.next()?;
                used = 0;
            }
            let taken = left.min(stretch.1 - used);
            used += taken;
            left -= taken;
        }
        let end = start
            + if used == stretch.1 {
                stretch.0
            } else {
                stretch.0.min(used)
            };
        lengths.push((end - position) as u64);
        position = end;
    }
    (used == stretch.1 && stretches.next().is_none()).then_some(lengths)
}

/// The text as the tokens spell it, without a space put before it.
pub(super) fn changed(recipe: &Recipe, text: &str) -> String {
    match recipe.alphabet {
        Alphabet::SentencePiece => text.replace(SPACE, " "),
        Alphabet::ByteLevel if recipe.composes => NormalizedString::from(text).nfc().get().to_owned(),
        Alphabet::ByteLevel => text.to_owned(),
    }
}

fn stretches(recipe: &Recipe, piece: &str) -> Vec<Stretch> {
    match recipe.alphabet {
        Alphabet::SentencePiece if piece.contains(SPACE) => piece
            .chars()
            .map(|char| (char.len_utf8(), if char == SPACE { 1 } else { char.len_utf8() }))
            .collect(),
        Alphabet::ByteLevel if recipe.composes => composed(piece),
        _ => vec![(piece.len(), piece.len())],
    }
}

/// One stretch for each character of the composed text.
fn composed(piece: &str) -> Vec<Stretch> {
    let mut normalized = NormalizedString::from(piece);
    normalized.nfc();
    if normalized.get() == piece {
        return vec![(piece.len(), piece.len())];
    }
    let mut starts = Vec::new();
    let mut highest = 0;
    for (place, char) in normalized.get().char_indices() {
        let range = tokenizers::tokenizer::normalizer::Range::Normalized(place..place + char.len_utf8());
        let start = normalized
            .convert_offsets(range)
            .map_or(highest, |range| range.start);
        // Characters that were put in order come from places that are not.
        highest = highest.max(start);
        starts.push((highest, char.len_utf8()));
    }
    if let Some(first) = starts.first_mut() {
        first.0 = 0;
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|&(start, _)| start)
        .chain([piece.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&(start, length), end)| (end - start, length))
        .collect()
}
