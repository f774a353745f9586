//! The canonical serialised model.

use posthuman_lm::{
    Bundle, BundleExtras, BundleHeader, ChatTemplate, Config, Error, GenerationDefaults, HeaderRead, Model,
    SpecialTokens, Tokenizer,
};

use crate::{fresh_model, tokenizer};

fn bytes() -> Vec<u8> {
    Bundle::new(fresh_model(), tokenizer())
        .unwrap()
        .to_bytes()
        .unwrap()
}

#[test]
fn a_bundle_reads_back_to_the_same_bytes() {
    let bytes = bytes();
    let bundle = Bundle::from_bytes(&bytes).unwrap();
    assert!(bundle.to_bytes().unwrap() == bytes);
    assert_eq!(bundle.tokenizer().digest(), tokenizer().digest());
    let names: Vec<&str> = bundle.tensors().map(|tensor| tensor.name).collect();
    assert_eq!(names[..3], ["wte.weight", "wpe.weight", "h.0.ln_1.weight"]);
    assert_eq!(names[names.len() - 1], "ln_f.bias");
    assert!(
        bundle
            .tensors()
            .zip(fresh_model().tensors())
            .all(|(one, other)| one.values() == other.values())
    );
    let values: usize = bundle.tensors().map(|tensor| tensor.values().len()).sum();
    assert_eq!(values, bundle.model().config().parameter_count());
}

#[test]
fn the_header_is_read_without_the_weights() {
    let bytes = bytes();
    let mut prefix = 0;
    let header = loop {
        match BundleHeader::read(&bytes[..prefix]).unwrap() {
            HeaderRead::Complete(header) => break header,
            HeaderRead::NeedBytes(needed) => {
                assert!(needed > prefix);
                prefix = needed;
            }
        }
    };
    assert!(prefix < bytes.len() / 2);
    assert_eq!(header.config, *fresh_model().config());
    assert_eq!(header.tokenizer.digest(), tokenizer().digest());
}

#[test]
fn damage_is_refused_with_a_reason() {
    let good = bytes();
    for (end, reason) in [
        (0, "truncated"),
        (7, "truncated"),
        (100, "truncated"),
        (good.len() - 1, "truncated"),
    ] {
        let error = Bundle::from_bytes(&good[..end]).unwrap_err().to_string();
        assert!(error.contains(reason), "{end}: {error}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(Bundle::from_bytes(&longer).is_err());
    let mut infinite = good.clone();
    let end = infinite.len();
    infinite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let error = Bundle::from_bytes(&infinite).unwrap_err().to_string();
    assert!(
        error.contains("ln_f.bias") && error.contains("not finite"),
        "{error}"
    );
    let text = String::from_utf8_lossy(&good).into_owned();
    let other = text.replace("posthuman-bundle/1", "posthuman-bundle/9");
    assert!(matches!(
        BundleHeader::read(other.as_bytes()),
        Err(Error::Bundle { .. })
    ));
}

#[test]
fn a_plain_model_file_is_not_a_bundle_nor_another_way_to_write_one() {
    let plain = fresh_model().to_safetensors().unwrap();
    let error = Bundle::from_bytes(&plain).unwrap_err().to_string();
    assert!(
        error.contains("`pt`") && error.contains("posthuman-bundle/1"),
        "{error}"
    );
    // A header padded with eight more spaces is valid safetensors, but not the canonical bytes.
    let good = bytes();
    let length = u64::from_le_bytes(*good.first_chunk().unwrap());
    let mut padded = (length + 8).to_le_bytes().to_vec();
    padded.extend_from_slice(&good[8..8 + length as usize]);
    padded.extend_from_slice(b"        ");
    padded.extend_from_slice(&good[8 + length as usize..]);
    let error = Bundle::from_bytes(&padded).unwrap_err().to_string();
    assert!(error.contains("canonical"), "{error}");
}

#[test]
fn a_tokenizer_larger_than_the_vocabulary_is_refused() {
    let model = Model::random(Config::gpt2(300, 8, 4, 1, 1).unwrap(), 1).unwrap();
    let error = Bundle::new(model, tokenizer()).unwrap_err().to_string();
    assert!(error.contains("319 tokens") && error.contains("300"), "{error}");
    let small = Tokenizer::train(&["a b a b"], 257).unwrap();
    assert!(Bundle::new(fresh_model(), small).is_ok());
}

/// A bundle with everything that one may hold.
fn full() -> Bundle {
    let special = SpecialTokens {
        adds_bos: true,
        bos: Some(1),
        eos: vec![2, 0],
    };
    let extras = BundleExtras {
        chat_template: Some(
            ChatTemplate::parse("{% for m in messages %}{{ m.content }}{% endfor %}").unwrap(),
        ),
        generation: Some(GenerationDefaults {
            temperature: Some(0.7),
            ignored: vec!["repetition_penalty".to_owned()],
            ..GenerationDefaults::default()
        }),
    };
    let tokenizer = tokenizer().with_special_tokens(special).unwrap();
    Bundle::new(fresh_model(), tokenizer)
        .unwrap()
        .with_extras(extras)
        .unwrap()
}

#[test]
fn extras_and_special_tokens_come_back_with_the_header() {
    let bytes = full().to_bytes().unwrap();
    let HeaderRead::Complete(header) = BundleHeader::read(&bytes).unwrap() else {
        panic!("the header is there")
    };
    assert_eq!(header.extras, *full().extras());
    assert_eq!(
        header.tokenizer.special_tokens(),
        full().tokenizer().special_tokens()
    );
    assert!(Bundle::from_bytes(&bytes).unwrap().to_bytes().unwrap() == bytes);
    assert!(bytes.len() > self::bytes().len());
}

#[test]
fn what_changes_answers_is_bound_with_the_tokenizer() {
    let plain = Bundle::from_bytes(&bytes()).unwrap();
    assert_eq!(plain.bound_tokenizer().unwrap(), plain.tokenizer().to_json());
    let bound = |bundle: &Bundle| bundle.bound_tokenizer().unwrap();
    let full = full();
    let object: serde_json::Value = serde_json::from_slice(&bound(&full)).unwrap();
    let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["chat_template", "generation", "special_tokens", "tokenizer"]
    );
    let without = full.clone().with_extras(BundleExtras::default()).unwrap();
    assert!(bound(&without) != bound(&full) && bound(&without) != full.tokenizer().to_json());
}

#[test]
fn wrong_extras_are_refused() {
    let good = full().to_bytes().unwrap();
    let length = u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let header = std::str::from_utf8(&good[8..8 + length]).unwrap();
    for (old, new, reason) in [
        ("{% endfor %}", "{% endif  %}", "chat template"),
        (
            r#"\"temperature\":0.7"#,
            r#"\"temperature\":-.7"#,
            "generation defaults",
        ),
        (r#"\"temperature\":0.7"#, r#"\"temperature\":700"#, "temperature"),
        (
            r#"\"temperature\":0.7"#,
            r#"\"temperatura\":0.7"#,
            "generation defaults",
        ),
        (r#"\"temperature\":0.7"#, r#"\"temperature\":7e-1"#, "canonical"),
        (r#"\"eos\":[2,0]"#, r#"\"eos\":[2,2]"#, "end texts"),
        (r#"\"eos\":[2,0]"#, r#"\"eos\":[999]"#, "no token 999"),
        (r#"\"bos\":1"#, r#"\"bos\":x"#, "special tokens"),
        // What the tokenizer's JSON says already is not said again.
        (
            r#"{\"adds_bos\":true,\"bos\":1,\"eos\":[2,0]}"#,
            r#"{\"adds_bos\":false,\"bos\":0,\"eos\":[0]}"#,
            "canonical",
        ),
    ] {
        let changed = header.replace(old, new);
        assert_ne!(changed, header, "{old}");
        let mut changed = changed.trim_end().to_owned();
        changed.push_str(&" ".repeat(changed.len().next_multiple_of(8) - changed.len()));
        let mut bytes = (changed.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(changed.as_bytes());
        bytes.extend_from_slice(&good[8 + length..]);
        let error = Bundle::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{new}: {error}");
    }
}

/// Only matrices of products can be quantised: what else says that it is would not be read.
#[test]
fn a_bundle_with_a_quantised_vector_is_refused() {
    let config = Config::gpt2(300, 8, 32, 1, 1).unwrap();
    let model = Model::random(config, 1).unwrap();
    let bytes = Bundle::new(model, Tokenizer::train(&["a b"], 257).unwrap())
        .unwrap()
        .to_bytes()
        .unwrap();
    let end = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let text = std::str::from_utf8(&bytes[8..end]).unwrap().trim_end();
    let place = text.find("\"ln_f.bias\"").unwrap();
    let offset = |text: &str| -> usize {
        let from = text.find("offsets\":[").unwrap() + 10;
        text[from..].split(',').next().unwrap().parse().unwrap()
    };
    let start = offset(&text[place..]);
    let text = format!(
        "{}\"ln_f.bias\":{{\"dtype\":\"U8\",\"shape\":[34],\"data_offsets\":[{start},{}]}}}}",
        &text[..place],
        start + 34
    );
    let text = text
        .replace(
            "\"__metadata__\":{",
            "\"__metadata__\":{\"blocks\":\"{\\\"ln_f.bias\\\":\\\"Q8_0\\\"}\",",
        )
        .replace("posthuman-bundle/1", "posthuman-bundle/2");
    let text = format!(
        "{text}{}",
        " ".repeat(text.len().next_multiple_of(8) - text.len())
    );
    let mut changed = (text.len() as u64).to_le_bytes().to_vec();
    changed.extend(text.as_bytes());
    changed.extend(&bytes[end..end + start]);
    let error = Bundle::from_bytes(&changed).unwrap_err().to_string();
    assert!(error.contains("ln_f.bias") && error.contains("Q8_0"), "{error}");
}
