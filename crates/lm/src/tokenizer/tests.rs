use super::*;

const TEXT: &str = "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my \
purse, and nothing particular to interest me on shore, I thought I would sail about a little and see the watery part \
of the world.\nIt is a way I have of driving off the spleen. Caf\u{e9} \u{1f40b}\u{1f40b}!\n";

fn tokenizer() -> Tokenizer {
    Tokenizer::train(&[TEXT, TEXT], 300).unwrap()
}

#[test]
fn training_repeats_to_the_byte_and_round_trips() {
    let tokenizer = tokenizer();
    assert_eq!(
        tokenizer.to_json(),
        Tokenizer::train(&[TEXT, TEXT], 300).unwrap().to_json()
    );
    assert_eq!(tokenizer.vocabulary(), 300);
    let tokens = tokenizer.encode(TEXT).unwrap();
    assert!(tokens.len() < TEXT.len());
    assert_eq!(tokenizer.decode(&tokens), TEXT);
    assert_eq!(
        Tokenizer::from_json(tokenizer.to_json()).unwrap().digest(),
        tokenizer.digest()
    );
    let lengths: usize = tokens
        .iter()
        .map(|&token| tokenizer.token_bytes(token).unwrap().len())
        .sum();
    assert_eq!(lengths, TEXT.len());
}

#[test]
fn the_end_of_text_is_a_token_but_not_from_inside_a_text() {
    let tokenizer = tokenizer();
    let end = tokenizer.end_of_text().unwrap();
    assert_eq!(end, 0);
    let tokens = tokenizer.encode("a<|endoftext|>b").unwrap();
    assert!(!tokens.contains(&end));
    assert_eq!(tokenizer.decode(&tokens), "a<|endoftext|>b");
}

#[test]
fn a_stream_never_gives_half_a_character_and_adds_up() {
    let tokenizer = tokenizer();
    let tokens = tokenizer.encode("\u{1f980} caf\u{e9}").unwrap();
    let mut stream = tokenizer.stream();
    let parts: Vec<String> = tokens.iter().map(|&token| stream.push(token)).collect();
    let whole = parts.iter().position(|part| part == "\u{1f980}").unwrap();
    assert!(
        whole > 0 && parts[..whole].iter().all(String::is_empty),
        "the crab's first bytes wait: {parts:?}"
    );
    assert_eq!(parts.concat() + &stream.finish(), "\u{1f980} caf\u{e9}");
    let crab = tokenizer.encode("\u{1f980}").unwrap();
    stream.push(crab[0]);
    assert_eq!(stream.push(tokenizer.encode("x").unwrap()[0]), "\u{fffd}x");
    stream.push(crab[0]);
    assert_eq!(stream.finish(), "\u{fffd}");
}

#[test]
fn a_long_text_in_pieces_encodes_as_the_whole() {
    let tokenizer = tokenizer();
    let long = TEXT.repeat(200);
    let pieces = |text| pieces(text, tokenizer.inner.recipe.cuts);
    assert!(pieces(&long).count() > 2);
    assert_eq!(pieces(&long).collect::<String>(), long);
    let whole = tokenizer.inner.library.encode_fast(long.as_str(), false).unwrap();
    assert_eq!(tokenizer.encode(&long).unwrap(), whole.get_ids());
    let unbroken = "x".repeat(3 * pieces::PIECE);
    assert_eq!(pieces(&unbroken).count(), 1);
}

#[test]
fn other_tokenizers_are_refused_with_the_reason() {
    let good: serde_json::Value = serde_json::from_slice(tokenizer().to_json()).unwrap();
    let refusal = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = good.clone();
        change(&mut json);
        Tokenizer::from_json(&serde_json::to_vec(&json).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert!(refusal(&|json| json["model"]["type"] = "WordPiece".into()).contains("WordPiece"));
    assert!(refusal(&|json| json["decoder"] = serde_json::Value::Null).contains("decoder"));
    assert!(refusal(&|json| json["normalizer"] = serde_json::json!({"type": "NFKC"})).contains("normalizer"));
    assert!(refusal(&|json| json["model"]["dropout"] = 0.1.into()).contains("dropout"));
    assert!(
        refusal(&|json| json["pre_tokenizer"]["add_prefix_space"] = true.into()).contains("add_prefix_space")
    );
    let missing = refusal(&|json| {
        json["model"]["vocab"].as_object_mut().unwrap().remove("!");
    });
    assert!(missing.contains("tokenizer"), "{missing}");
    assert!(matches!(
        Tokenizer::from_json(b"not json"),
        Err(Error::Json { .. })
    ));
}

#[test]
fn a_text_with_a_byte_that_the_vocabulary_leaves_out_is_refused_by_its_place() {
    let mut json: serde_json::Value = serde_json::from_slice(tokenizer().to_json()).unwrap();
    // The character that byte-level vocabularies write for byte 0x04.
    json["model"]["vocab"]
        .as_object_mut()
        .unwrap()
        .remove("\u{104}")
        .unwrap();
    let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&json).unwrap()).unwrap();
    let tokens = tokenizer.encode("as before").unwrap();
    assert_eq!(tokenizer.decode(&tokens), "as before");
    let error = tokenizer.encode("a\u{4}b").unwrap_err();
    assert!(error.to_string().contains("byte 0x04 at position 1"), "{error}");
    assert_eq!(error.class(), crate::ErrorClass::Caller);
}

#[test]
fn a_vocabulary_below_the_bytes_or_no_text_is_refused() {
    assert!(
        Tokenizer::train(&[TEXT], 256)
            .unwrap_err()
            .to_string()
            .contains("vocabulary")
    );
    assert!(
        Tokenizer::train(&["", ""], 300)
            .unwrap_err()
            .to_string()
            .contains("empty")
    );
}

fn family(name: &str) -> Tokenizer {
    let path = format!(
        "{}/tests/fixtures/folders/{name}.tokenizer.json",
        env!("CARGO_MANIFEST_DIR")
    );
    Tokenizer::from_json(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn given_bytes_are_those_of_the_text_however_the_tokenizer_changed_it() {
    // Of the changes: composing (shorter), a composition that is never used (longer), reordering, U+2581, a prefix.
    let text = "cafe\u{301} \u{958} a\u{302}\u{323} \u{2581} \u{1100}\u{1161}\u{11a8} end";
    for name in [
        "gpt2",
        "llama3",
        "qwen",
        "smollm2",
        "llama2",
        "mistral",
        "metaspace",
    ] {
        let tokenizer = family(name);
        let tokens = tokenizer.encode(text).unwrap();
        let lengths = tokenizer.given_lengths(text, &tokens).unwrap();
        assert_eq!(lengths.iter().sum::<u64>(), text.len() as u64, "{name}");
        // The plain end of the text lies where it is.
        let end: u64 = lengths[lengths.len() - tokenizer.encode_segment("end", false).unwrap().len()..]
            .iter()
            .sum();
        assert!(end >= 3, "{name}: {lengths:?}");
        assert!(tokenizer.given_lengths("other", &tokens).is_err(), "{name}");
        assert!(tokenizer.given_lengths(text, &tokens[1..]).is_err(), "{name}");
    }
    let prefixed = family("llama2");
    let tokens = prefixed.encode("sea").unwrap();
    assert_eq!(
        prefixed
            .given_lengths("sea", &tokens)
            .unwrap()
            .iter()
            .sum::<u64>(),
        3
    );
}

#[test]
fn special_tokens_must_be_tokens() {
    let tokenizer = tokenizer();
    let special = |adds_bos, bos, eos| {
        let special = SpecialTokens { adds_bos, bos, eos };
        tokenizer.clone().with_special_tokens(special)
    };
    assert!(special(false, Some(5), vec![1, 2]).is_ok());
    for wrong in [
        special(false, Some(300), vec![]),
        special(true, None, vec![]),
        special(false, None, vec![1, 1]),
        special(false, None, vec![9999]),
        special(false, None, (0..100).collect()),
    ] {
        assert!(matches!(wrong, Err(Error::Tokenizer { .. })));
    }
}

#[test]
fn pieces_are_cut_where_every_known_pattern_ends_a_word() {
    let json: Value = serde_json::from_slice(family("llama3").to_json()).unwrap();
    // Lines that begin and end with what a pattern could join to a newline.
    let lines = [
        "call();",
        "x = 1",
        "/usr/bin",
        "'s it",
        "don't",
        "1851",
        "  indented",
        "\ttab",
        "caf\u{e9}",
        "\u{301}mark",
        "A/",
        "...",
    ];
    let text: String = (0..6000)
        .map(|index| format!("{}\n", lines[(index * 7 + index / 12) % 12]))
        .collect();
    for pattern in recipe::KNOWN_WORDS {
        let mut json = json.clone();
        json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern.into();
        let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
        assert_eq!(tokenizer.inner.recipe.cuts, Cuts::BetweenLines);
        assert!(pieces(&text, Cuts::BetweenLines).count() > 2);
        let whole = tokenizer.inner.library.encode_fast(text.as_str(), false).unwrap();
        assert_eq!(tokenizer.encode(&text).unwrap(), whole.get_ids(), "{pattern}");
    }
}

#[test]
fn a_long_text_with_byte_fallback_has_one_prefix() {
    let line = "Call me Ishmael, some years ago.\n caf\u{e9}\n\n";
    let text = line.repeat(1000);
    for name in ["llama2", "mistral", "metaspace"] {
        let tokenizer = family(name);
        assert!(pieces(&text, tokenizer.inner.recipe.cuts).count() > 1, "{name}");
        let whole = tokenizer.inner.library.encode_fast(text.as_str(), false).unwrap();
        assert_eq!(tokenizer.encode(&text).unwrap(), whole.get_ids(), "{name}");
    }
}
