//! What a `tokenizer.json` does to a text, and which ones are accepted.
//!
//! Two families of BPE give every text tokens and every token bytes. *Byte-level* ones (GPT-2, Llama 3, Qwen2,
//! SmolLM2) write bytes as characters and cut texts into words by a pattern. *SentencePiece* ones (Llama 2, Mistral,
//! TinyLlama) write a space as U+2581, may put one before a text, and spell characters they do not know in byte tokens
//! `<0x00>` to `<0xFF>`. Either must hold all 256 bytes. Nothing else is accepted.

use serde_json::Value;

use crate::error::{Error, Result};

/// What stands for a space in a SentencePiece vocabulary.
pub(super) const SPACE: char = '\u{2581}';

/// How Qwen2 cuts a text into words.
pub(crate) const QWEN2_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Patterns of words in use: of GPT-2, GPT-4 and Llama 3, Qwen2, GPT-4o and its kin, Mistral since Nemo. In all of
/// them a newline ends a word where a letter or a digit comes next.
pub(super) const KNOWN_WORDS: [&str; 6] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    QWEN2_WORDS,
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// What the characters of a token stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alphabet {
    ByteLevel,
    SentencePiece,
}

/// When a space is put before a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Prefix {
    Never,
    /// Before a whole text that does not begin with a space (`Metaspace` with scheme `first`).
    Start,
    /// Before a text, and before what follows a special token, that does not begin with a space (`always`).
    Segments,
    /// As `Segments`, and before a space too (normaliser `Prepend`).
    Prepend,
}

impl Prefix {
    /// Whether this text gets a space, at the start of all or after a special token.
    pub fn applies(self, text: &str, at_start: bool) -> bool {
        let bare = !text.starts_with([' ', SPACE]);
        match self {
            _ if text.is_empty() => false,
            Self::Never => false,
            Self::Start => at_start && bare,
            Self::Segments => bare,
            Self::Prepend => true,
        }
    }
}

/// Where a text may be cut without a change of its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cuts {
    Nowhere,
    /// After a single newline between an ASCII character that is no white space and an ASCII letter or digit: there
    /// every known pattern ends a word, and the newline alone matches the same part of it at the end of a text as
    /// before a word.
    BetweenLines,
    /// After any newline: no merge and no added token holds one beside something else.
    AfterNewlines,
}

#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub alphabet: Alphabet,
    pub prefix: Prefix,
    /// Texts are brought to Unicode's normalisation form C first.
    pub composes: bool,
    pub cuts: Cuts,
}

impl Recipe {
    /// Reads what a `tokenizer.json` does.
    ///
    /// # Errors
    /// A part that is not accepted, by its name.
    pub fn read(json: &Value) -> Result<Self> {
        let model = &json["model"];
        let kind = kind(model);
        if kind != "BPE" {
            return refuse(format!(
                "is of model type `{kind}`: only BPE is supported, byte-level or with byte fallback"
            ));
        }
        if model["dropout"].as_f64().is_some_and(|dropout| dropout != 0.0) {
            return refuse("has `dropout`, which makes it random: set it to null".to_owned());
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if model[key].as_str().is_some_and(|text| !text.is_empty()) {
                return refuse(format!(
                    "marks parts of words (`{key}`), so that tokens are not bytes of the text"
                ));
            }
        }
        if model["byte_fallback"] == true {
            sentence_piece(json)
        } else {
            byte_level(json)
        }
    }
}

fn byte_level(json: &Value) -> Result<Recipe> {
    let decoders = steps(&json["decoder"], "decoders");
    if !matches!(decoders[..], [decoder] if kind(decoder) == "ByteLevel") {
        return refuse(format!(
            "has decoder `{}`: only `ByteLevel` is supported, or a BPE with `byte_fallback`",
            kind(&json["decoder"])
        ));
    }
    let normalizers = steps(&json["normalizer"], "normalizers");
    if let Some(other) = normalizers.iter().find(|step| kind(step) != "NFC") {
        return refuse(format!(
            "has normalizer `{}`, which changes texts: only none or `NFC` is supported",
            kind(other)
        ));
    }
    let words = steps(&json["pre_tokenizer"], "pretokenizers");
    for step in &words {
        check_words(step)?;
    }
    let levels: Vec<&&Value> = words.iter().filter(|step| kind(step) == "ByteLevel").collect();
    if levels.len() != 1 {
        return refuse(format!(
            "has pre_tokenizer `{}`: one with one `ByteLevel` is needed",
            kind(&json["pre_tokenizer"])
        ));
    }
    let known = words.iter().all(|step| match kind(step) {
        "Split" => {
            let pattern = step["pattern"]["Regex"].as_str().unwrap_or_default();
            step["behavior"] == "Isolated" && KNOWN_WORDS.contains(&pattern)
        }
        _ => true,
    });
    let cut = words
        .iter()
        .any(|step| kind(step) == "Split" || step["use_regex"] == true);
    let cuts = if known && cut && !added_tokens_reach_over_lines(json) {
        Cuts::BetweenLines
    } else {
        Cuts::Nowhere
    };
    Ok(Recipe {
        alphabet: Alphabet::ByteLevel,
        prefix: Prefix::Never,
        composes: !normalizers.is_empty(),
        cuts,
    })
}

/// Accepts steps that cut a text and leave out nothing.
fn check_words(step: &Value) -> Result<()> {
    match kind(step) {
        "ByteLevel" if step["add_prefix_space"] == true => {
            refuse("adds a space before every text (`add_prefix_space`): only false is supported".to_owned())
        }
        // `Removed` with `invert` keeps what matches; a pattern that leaves out something is found by the probes, and
        // for a text that is scored by the count of its bytes.
        "Split" | "Punctuation" if step["behavior"] == "Removed" && step["invert"] != true => {
            refuse(format!("removes parts of texts (`{}`)", kind(step)))
        }
        "ByteLevel" | "Split" | "Digits" | "Punctuation" => Ok(()),
        other => refuse(format!(
            "has pre_tokenizer `{other}`: only `ByteLevel`, `Split`, `Digits` and `Punctuation` are supported with bytes"
        )),
    }
}

fn sentence_piece(json: &Value) -> Result<Recipe> {
    check_sentence_piece_decoder(&json["decoder"])?;
    let mut prefix = Prefix::Never;
    let mut replaces = false;
    for step in steps(&json["normalizer"], "normalizers") {
        match kind(step) {
            "Prepend" if !replaces && step["prepend"] == SPACE.to_string() => prefix = Prefix::Prepend,
            "Replace" if step["pattern"]["String"] == " " && step["content"] == SPACE.to_string() => {
                replaces = true;
            }
            other => {
                return refuse(format!(
                    "has normalizer `{other}`, which is not known with `byte_fallback`: only `Prepend` and `Replace` \
                     of a space by U+2581 are"
                ));
            }
        }
    }
    match (&json["pre_tokenizer"], replaces) {
        (Value::Null, true) => {}
        (space, false) if kind(space) == "Metaspace" && prefix == Prefix::Never => {
            if space["replacement"] != SPACE.to_string() {
                return refuse(format!(
                    "writes spaces as {}: only U+2581 is supported",
                    space["replacement"]
                ));
            }
            prefix = match space["prepend_scheme"].as_str() {
                _ if space["add_prefix_space"] == false => Prefix::Never,
                Some("never") => Prefix::Never,
                Some("first") => Prefix::Start,
                _ => Prefix::Segments,
            };
        }
        (other, _) => {
            return refuse(format!(
                "has pre_tokenizer `{}` beside `byte_fallback`: spaces must become U+2581 once, by the normalizer \
                 `Replace` or by `Metaspace`",
                kind(other)
            ));
        }
    }
    let cuts = if added_tokens_reach_over_lines(json) || a_token_holds_a_newline(json) {
        Cuts::Nowhere
    } else {
        Cuts::AfterNewlines
    };
    Ok(Recipe {
        alphabet: Alphabet::SentencePiece,
        prefix,
        composes: false,
        cuts,
    })
}

/// Decoding is our own; the file's must mean the same.
fn check_sentence_piece_decoder(decoder: &Value) -> Result<()> {
    for step in steps(decoder, "decoders") {
        let known = match kind(step) {
            "ByteFallback" | "Fuse" | "Metaspace" => true,
            "Replace" => step["pattern"]["String"] == SPACE.to_string() && step["content"] == " ",
            "Strip" => step["content"] == " " && step["start"].as_u64() <= Some(1) && step["stop"] == 0,
            _ => false,
        };
        if !known {
            return refuse(format!(
                "has decoder `{}`, which is not known with `byte_fallback`",
                kind(step)
            ));
        }
    }
    Ok(())
}

/// The library without the space before a text, for what comes after the text's first part.
pub(super) fn continuation(json: &Value) -> Value {
    let mut json = json.clone();
    if kind(&json["pre_tokenizer"]) == "Metaspace" {
        json["pre_tokenizer"]["prepend_scheme"] = "never".into();
        json["pre_tokenizer"]["add_prefix_space"] = Value::Null;
    }
    if kind(&json["normalizer"]) == "Prepend" {
        json["normalizer"] = Value::Null;
    } else if let Some(steps) = json["normalizer"]
        .get_mut("normalizers")
        .and_then(Value::as_array_mut)
    {
        steps.retain(|step| kind(step) != "Prepend");
    }
    json
}

/// Whether a token that is found in plain text could join two lines.
fn added_tokens_reach_over_lines(json: &Value) -> bool {
    let added = json["added_tokens"].as_array();
    added.into_iter().flatten().any(|token| {
        let holds_newline = token["content"].as_str().is_some_and(|text| text.contains('\n'));
        token["special"] != true && (holds_newline || token["lstrip"] == true || token["rstrip"] == true)
    })
}

fn a_token_holds_a_newline(json: &Value) -> bool {
    let tokens = json["model"]["vocab"].as_object();
    tokens
        .into_iter()
        .flat_map(|map| map.keys())
        .any(|token| token.len() > 1 && token.contains('\n'))
}

/// The steps of a part: none, one, or those of a `Sequence`, which may hold another.
fn steps<'a>(part: &'a Value, list: &str) -> Vec<&'a Value> {
    match part[list].as_array() {
        _ if part.is_null() => vec![],
        Some(parts) if kind(part) == "Sequence" => parts.iter().flat_map(|part| steps(part, list)).collect(),
        _ => vec![part],
    }
}

pub(super) fn kind(part: &Value) -> &str {
    part["type"].as_str().unwrap_or("none")
}

pub(super) fn refuse<T>(problem: String) -> Result<T> {
    Err(Error::Tokenizer { problem })
}
