//! Tokenizers, against llama.cpp's tokens and SentencePiece's.

use posthuman_lm::GgufFile;
use serde_json::Value;

use super::bytes;
use super::writer::{Owned, parts, write};

/// As the engine encodes: a text that spells a special token is a text.
fn encode(json: &[u8], text: &str) -> Vec<u32> {
    let mut library = tokenizers::Tokenizer::from_bytes(json).unwrap();
    library.set_encode_special_tokens(true);
    library.encode_fast(text, false).unwrap().get_ids().to_vec()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

/// A fixture with one key set to a value.
fn with(fixture: &str, changed: &str, value: Owned) -> Vec<u8> {
    let (mut keys, tensors) = parts(&bytes(fixture));
    keys.retain(|(key, _)| key != changed);
    keys.push((changed.to_owned(), value));
    write(3, 32, &keys, &tensors)
}

#[test]
fn byte_level_tokens_are_those_of_llama_cpp_for_each_pre_tokenizer() {
    let expected = super::json("tokens.json");
    let text = expected["text"].as_str().unwrap();
    let names: Vec<&String> = expected["gpt2"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 6);
    for name in names {
        let bytes = with("qwen3_tiny.gguf", "tokenizer.ggml.pre", Owned::Text(name.clone()));
        let tokenizer = GgufFile::read(&bytes).unwrap().tokenizer().unwrap();
        let tokens = encode(&tokenizer.json, text);
        assert_eq!(tokens, ids(&expected["gpt2"][name.as_str()]), "{name}");
        let engine = posthuman_lm::Tokenizer::from_json(&tokenizer.json).unwrap();
        assert_eq!(engine.encode(text).unwrap(), tokens, "{name}");
        assert_eq!(engine.decode(&tokens), text, "{name}");
    }
}

#[test]
fn scored_tokens_are_those_of_llama_cpp_and_sentencepiece() {
    let expected = super::json("tokens.json");
    let text = expected["text"].as_str().unwrap();
    let bytes = bytes("llama_tiny.gguf");
    let tokenizer = GgufFile::read(&bytes).unwrap().tokenizer().unwrap();
    assert_eq!(encode(&tokenizer.json, text), ids(&expected["llama"]));
    let known = expected["sentencepiece"]["text"].as_str().unwrap();
    let tokens = encode(&tokenizer.json, known);
    assert_eq!(tokens, ids(&expected["sentencepiece"]["tokens"]));
    let library = tokenizers::Tokenizer::from_bytes(&tokenizer.json).unwrap();
    assert_eq!(library.decode(&tokens, false).unwrap(), known);
    assert_eq!((tokenizer.bos, tokenizer.eos), (Some(1), Some(2)));
    assert!(tokenizer.add_bos && !tokenizer.add_eos);
    assert!(tokenizer.chat_template.unwrap().starts_with("{% for message"));
    // Where special tokens are asked for, the text begins with its own.
    let begun = library.encode_fast("a", true).unwrap();
    assert_eq!(begun.get_ids()[0], 1);
}

#[test]
fn without_a_prefix_no_space_is_added_or_taken() {
    let bytes = with(
        "llama_tiny.gguf",
        "tokenizer.ggml.add_space_prefix",
        Owned::Bool(false),
    );
    let tokenizer = GgufFile::read(&bytes).unwrap().tokenizer().unwrap();
    let library = tokenizers::Tokenizer::from_bytes(&tokenizer.json).unwrap();
    for text in ["the sea", " the sea"] {
        let tokens = encode(&tokenizer.json, text);
        assert_eq!(library.decode(&tokens, false).unwrap(), text);
    }
    assert_ne!(encode(&tokenizer.json, "the"), encode(&tokenizer.json, " the"));
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    for name in ["llama_tiny.gguf", "qwen3_tiny.gguf"] {
        let bytes = bytes(name);
        let json = || GgufFile::read(&bytes).unwrap().tokenizer().unwrap().json;
        assert_eq!(json(), json());
    }
}

#[test]
fn fillers_of_the_vocabulary_are_left_out() {
    let bytes = bytes("qwen3_tiny.gguf");
    let file = GgufFile::read(&bytes).unwrap();
    let json: Value = serde_json::from_slice(&file.tokenizer().unwrap().json).unwrap();
    let vocabulary = json["model"]["vocab"].as_object().unwrap();
    let words = file.model().unwrap().config()["vocab_size"].as_u64().unwrap();
    assert!(!vocabulary.contains_key("[PAD]"));
    assert_eq!(vocabulary.len() as u64, words - 1);
}

/// The refusal of a fixture with one key of `tokenizer.` set to a value must name that key and say this.
fn refused(fixture: &str, key: &str, value: Owned, said: &str) {
    let key = format!("tokenizer.{key}");
    let bytes = with(fixture, &key, value);
    let error = GgufFile::read(&bytes)
        .unwrap()
        .tokenizer()
        .unwrap_err()
        .to_string();
    // Tokens that do not fit their types are found at the types.
    let named = error.contains(&format!("`{key}`")) || error.contains("`tokenizer.ggml.token_type`");
    assert!(named && error.contains(said), "{key}: {error}");
}

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

fn texts(texts: &[&str]) -> Owned {
    Owned::List(texts.iter().map(|one| text(one)).collect())
}

fn repeated(value: Owned, count: usize) -> Owned {
    Owned::List(vec![value; count])
}

#[test]
fn damaged_byte_level_tokenizers_are_refused_by_the_key() {
    let refused = |key: &str, value, said| refused("qwen3_tiny.gguf", key, value, said);
    refused("ggml.model", text("bert"), "`bert`");
    refused("ggml.pre", text("no-such"), "`no-such`");
    refused("ggml.tokens", texts(&["a", "a"]), "types for 2 tokens");
    refused("ggml.tokens", texts(&[]), "has 0 tokens");
    refused("ggml.tokens", Owned::Unsigned(3), "is 3");
    refused("ggml.tokens", repeated(text("a"), 521), "has token `a` twice");
    refused("ggml.tokens", repeated(text(""), 521), "an empty token");
    refused("ggml.token_type", repeated(Owned::Signed(1), 1), "1 types");
    refused(
        "ggml.token_type",
        repeated(Owned::Signed(-1), 521),
        "not negative",
    );
    refused("ggml.token_type", repeated(Owned::Signed(7), 521), "type 7");
    refused("ggml.token_type", repeated(Owned::Signed(6), 521), "byte tokens");
    refused("ggml.merges", texts(&["ab"]), "pair 0, `ab`, without a space");
    refused("ggml.merges", texts(&[" ab"]), "without a space");
    refused("ggml.merges", texts(&["q no-token"]), "no tokens");
    refused("ggml.bos_token_id", Owned::Unsigned(521), "is 521");
    refused("ggml.add_bos_token", Owned::Unsigned(1), "true or false");
    refused("chat_template", Owned::Bool(true), "a text");
}

#[test]
fn damaged_scored_tokenizers_are_refused_by_the_key() {
    let refused = |key: &str, value, said| refused("llama_tiny.gguf", key, value, said);
    refused("ggml.scores", repeated(Owned::Float(f32::NAN), 421), "finite");
    refused("ggml.scores", repeated(Owned::Float(0.5), 1), "1 scores");
    refused("ggml.unknown_token_id", Owned::Unsigned(9999), "is 9999");
    refused("ggml.token_type", repeated(Owned::Signed(1), 421), "<0x00>");
}
