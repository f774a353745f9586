//! Cutting a text into pieces that encode to the same tokens as the whole.

use super::recipe::Cuts;

/// Texts are encoded in pieces of at least this many bytes, since the library keeps much beside each byte.
pub(super) const PIECE: usize = 1 << 14;

/// The pieces of a text, in order and without gaps.
pub(super) fn pieces(text: &str, cuts: Cuts) -> impl Iterator<Item = &str> + Send {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(cut(rest, cuts));
        rest = after;
        Some(piece)
    })
}

fn cut(text: &str, cuts: Cuts) -> usize {
    let bytes = text.as_bytes();
    // Only ASCII neighbours count, which keeps every look on a character's border.
    let may_cut = |index: usize| match cuts {
        Cuts::Nowhere => false,
        Cuts::BetweenLines => bytes[index - 1].is_ascii_graphic() && bytes[index + 1].is_ascii_alphanumeric(),
        Cuts::AfterNewlines => true,
    };
    let newline =
        (PIECE..bytes.len().saturating_sub(1)).find(|&index| bytes[index] == b'\n' && may_cut(index));
    newline.map_or(bytes.len(), |index| index + 1)
}
