//! Tokens of a conversation, in which only the template's own special tokens are special.
//!
//! A template gives one text, in which it no longer shows who wrote what, and it may trim, cut or look into what it is
//! given, so that contents cannot simply be wrapped in marks. Instead the template runs twice on changed contents:
//!
//! 1. *The text.* Every special token spelt in a content is replaced by one stand-in character. The special tokens in
//!    the text that comes out are the template's; what lies between them, with the spellings put back, is encoded as
//!    plain text.
//! 2. *The proof.* Every character of a content that occurs in any special token is replaced by a stand-in. No
//!    character of a content can be part of a special token in this text.
//!
//! If both texts hold the same special tokens in the same order, the first holds no other than the template's own. If
//! not, a content makes one together with what is written beside it (a content that ends in `<|im_end|` before a
//! template's `>`), and it is refused. Stand-ins are private-use characters that are found neither in the template nor
//! in the contents, so nobody can have written one.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};

use super::render::render;
use super::{ChatOptions, Message};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

pub(super) fn encode(
    source: &str,
    tokenizer: &Tokenizer,
    messages: &[Message],
    options: &ChatOptions,
) -> Result<Vec<u32>> {
    let specials = Specials::of(tokenizer)?;
    let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    let mut stand_ins = StandIns::new(source, &contents);

    let mut spellings = BTreeMap::new();
    let spelt: Vec<String> = contents
        .iter()
        .map(|content| specials.hide(content, &mut spellings, &mut stand_ins))
        .collect::<Result<_>>()?;
    let characters = specials.characters(&mut stand_ins)?;
    let hidden: Vec<String> = contents
        .iter()
        .map(|content| {
            let change = |char| characters.get(&char).copied().unwrap_or(char);
            content.chars().map(change).collect()
        })
        .collect();

    let run = |contents: &[String]| {
        let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
        render(source, tokenizer, messages, &contents, options)
    };
    let text = run(&spelt)?;
    let parts = specials.split(&text);
    let proof = run(&hidden)?;
    let own = specials.split(&proof);
    let ids = |parts: &[Part<'_>]| -> Vec<u32> { parts.iter().filter_map(|part| part.special).collect() };
    if ids(&parts) != ids(&own) {
        return Err(Error::chat_template(
            "would let a message make a special token: change what a message begins or ends with, or the template",
        ));
    }
    tokens_of(tokenizer, &parts, &spellings)
}

/// The tokens of a text's parts, with special tokens that were spelt put back into the plain ones.
fn tokens_of(
    tokenizer: &Tokenizer,
    parts: &[Part<'_>],
    spellings: &BTreeMap<String, char>,
) -> Result<Vec<u32>> {
    let back: BTreeMap<char, &str> = spellings
        .iter()
        .map(|(name, &char)| (char, name.as_str()))
        .collect();
    let mut tokens = Vec::new();
    for part in parts {
        if !part.text.is_empty() {
            let mut plain = String::with_capacity(part.text.len());
            for char in part.text.chars() {
                match back.get(&char) {
                    Some(name) => plain.push_str(name),
                    None => plain.push(char),
                }
            }
            tokens.extend(tokenizer.encode_segment(&plain, part.at_start)?);
        }
        tokens.extend(part.special);
    }
    Ok(tokens)
}

/// A stretch of plain text and the special token after it.
struct Part<'a> {
    text: &'a str,
    at_start: bool,
    special: Option<u32>,
}

struct Special {
    name: String,
    id: u32,
    /// Takes the white space before it.
    left: bool,
    /// Takes the white space after it.
    right: bool,
}

/// The special tokens of a tokenizer, found as the tokenizer finds them: the first in a text, of those that begin in
/// the same place the longest.
struct Specials {
    tokens: Vec<Special>,
    names: AhoCorasick,
}

impl Specials {
    fn of(tokenizer: &Tokenizer) -> Result<Self> {
        let mut tokens: Vec<Special> = tokenizer
            .library()
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| Special {
                name: token.content,
                id,
                left: token.lstrip,
                right: token.rstrip,
            })
            .collect();
        tokens.sort_by_key(|token| token.id);
        let names = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| &token.name))
            .map_err(|source| Error::tokenizer(format!("has too many special tokens: {source}")))?;
        Ok(Self { tokens, names })
    }

    /// The first special token of a text and where it is.
    fn find<'s>(&'s self, text: &str) -> Option<(usize, &'s Special)> {
        let found = self.names.find(text)?;
        Some((found.start(), &self.tokens[found.pattern().as_usize()]))
    }

    fn split<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        let mut parts = Vec::new();
        let (mut rest, mut at_start) = (text, true);
        while let Some((start, token)) = self.find(rest) {
            let (before, after) = (&rest[..start], &rest[start + token.name.len()..]);
            parts.push(Part {
                text: if token.left { before.trim_end() } else { before },
                at_start,
                special: Some(token.id),
            });
            rest = if token.right { after.trim_start() } else { after };
            at_start = false;
        }
        parts.push(Part {
            text: rest,
            at_start,
            special: None,
        });
        parts
    }

    /// The content with a stand-in for each special token that it spells.
    fn hide(
        &self,
        content: &str,
        spellings: &mut BTreeMap<String, char>,
        stand_ins: &mut StandIns,
    ) -> Result<String> {
        let mut hidden = String::with_capacity(content.len());
        let mut rest = content;
        while let Some((start, token)) = self.find(rest) {
            hidden.push_str(&rest[..start]);
            let stand_in = match spellings.get(&token.name) {
                Some(&stand_in) => stand_in,
                None => stand_ins.next()?,
            };
            spellings.insert(token.name.clone(), stand_in);
            hidden.push(stand_in);
            rest = &rest[start + token.name.len()..];
        }
        hidden.push_str(rest);
        Ok(hidden)
    }

    /// A stand-in for each character of the special tokens' names. White space is left as it is, for templates trim
    /// it; no name is made of white space alone.
    fn characters(&self, stand_ins: &mut StandIns) -> Result<BTreeMap<char, char>> {
        let names: BTreeSet<char> = self.tokens.iter().flat_map(|token| token.name.chars()).collect();
        names
            .into_iter()
            .filter(|char| !char.is_whitespace())
            .map(|char| Ok((char, stand_ins.next()?)))
            .collect()
    }
}

/// Private-use characters that are found in no content and not in the template.
struct StandIns {
    used: BTreeSet<char>,
    next: u32,
}

impl StandIns {
    const FIRST: u32 = 0xf0000;
    const LAST: u32 = 0xffffd;

    fn new(source: &str, contents: &[&str]) -> Self {
        let texts = contents.iter().copied().chain([source]);
        Self {
            used: texts
                .flat_map(str::chars)
                .filter(|&char| (Self::FIRST..=Self::LAST).contains(&u32::from(char)))
                .collect(),
            next: Self::FIRST,
        }
    }

    fn next(&mut self) -> Result<char> {
        while self.next <= Self::LAST {
            let candidate = char::from_u32(self.next);
            self.next += 1;
            if let Some(char) = candidate.filter(|char| !self.used.contains(char)) {
                return Ok(char);
            }
        }
        Err(Error::chat_template(
            "leaves no private-use character: the messages hold them all",
        ))
    }
}
