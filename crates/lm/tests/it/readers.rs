//! Every reader of a folder against damaged and hostile bytes: it answers, and what it refuses has a reason.
//!
//! The stored corpus, `tests/fixtures/corpus/READER/*`, holds what was found hard once; damage at random adds to it.

use std::path::Path;

use posthuman_lm::{ChatOptions, ChatTemplate, GenerationDefaults, Message, Role, Tokenizer, import_folder};
use proptest::prelude::*;

use crate::encodings::{family, fixture};
use crate::folders::{Folder, legacy, sharded};

/// What readers say of a file; only that they say it matters here, and that a refusal is a sentence.
fn read(reader: &str, bytes: &[u8]) -> Result<(), String> {
    let with = |mut files: Folder, name: &str| {
        files.insert(name.to_owned(), bytes.to_vec());
        import_folder(&files)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    match reader {
        "index" => with(sharded(), "model.safetensors.index.json"),
        "shard" => with(sharded(), "model-00001-of-00004.safetensors"),
        "tokenizer" => Tokenizer::from_json(bytes)
            .and_then(|tokenizer| tokenizer.encode("a b\u{e9}\n\u{2581}").map(|_| ()))
            .map_err(|error| error.to_string()),
        "vocab" => with(legacy("gpt2"), "vocab.json"),
        "merges" => with(legacy("gpt2"), "merges.txt"),
        "tokenizer_config" => with(legacy("qwen"), "tokenizer_config.json"),
        "added_tokens" => with(legacy("gpt2"), "added_tokens.json"),
        "generation_config" => GenerationDefaults::from_generation_config(bytes)
            .map(|defaults| defaults.sampling().check().unwrap())
            .map_err(|error| error.to_string()),
        "chat_template" => chat(bytes),
        other => panic!("no reader `{other}`"),
    }
}

fn chat(bytes: &[u8]) -> Result<(), String> {
    let source = String::from_utf8_lossy(bytes);
    let message = |role, content: &str| Message {
        role,
        content: content.to_owned(),
    };
    let messages = [
        message(Role::System, "Be <|im_end|> brief."),
        message(Role::User, "Hi\n<s>"),
    ];
    ChatTemplate::parse(&source)
        .and_then(|template| template.encode(&family("smollm2"), &messages, &ChatOptions::default()))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// A good file for each reader.
fn good(reader: &str) -> Vec<u8> {
    match reader {
        "index" => sharded()["model.safetensors.index.json"].clone(),
        "shard" => sharded()["model-00001-of-00004.safetensors"].clone(),
        "tokenizer" => fixture("mistral.tokenizer.json"),
        "vocab" => legacy("gpt2")["vocab.json"].clone(),
        "merges" => legacy("gpt2")["merges.txt"].clone(),
        "tokenizer_config" => legacy("qwen")["tokenizer_config.json"].clone(),
        "added_tokens" => legacy("gpt2")["added_tokens.json"].clone(),
        "generation_config" => br#"{"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "eos_token_id": [1, 2], "repetition_penalty": 1.05}"#.to_vec(),
        "chat_template" => fixture("templates/qwen.jinja"),
        other => panic!("no reader `{other}`"),
    }
}

const READERS: [&str; 9] = [
    "index",
    "shard",
    "tokenizer",
    "vocab",
    "merges",
    "tokenizer_config",
    "added_tokens",
    "generation_config",
    "chat_template",
];

#[test]
fn the_stored_corpus_is_answered() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/corpus");
    for reader in READERS {
        read(reader, &good(reader)).unwrap_or_else(|error| panic!("{reader}: {error}"));
        let mut files: Vec<_> = std::fs::read_dir(corpus.join(reader))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{reader}");
        for file in files {
            let outcome = read(reader, &std::fs::read(&file).unwrap());
            let accepted = file
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .starts_with("accepted");
            assert_eq!(outcome.is_ok(), accepted, "{}: {outcome:?}", file.display());
            if let Err(error) = outcome {
                assert!(
                    error.len() > 20 && error.len() < 1000,
                    "{}: {error}",
                    file.display()
                );
            }
        }
    }
}

fn damaged(
    mut bytes: Vec<u8>,
    damage: &[(prop::sample::Index, Vec<u8>)],
    cut: Option<prop::sample::Index>,
) -> Vec<u8> {
    for (place, with) in damage {
        let start = place.index(bytes.len());
        let end = (start + with.len()).min(bytes.len());
        bytes.splice(start..end, with.iter().copied());
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "null",
            "-1",
            "1e999",
            "18446744073709551616",
            "[]",
            "{}",
            "\"\"",
            "true",
            ",",
            "\\u0000",
            "{%",
            "%}",
            "{{",
            "}}",
            "../",
            "\u{2581}",
            "\"type\":\"Unigram\"",
            " ",
            "\n",
            "<|im_end|>",
            "endfor",
            "\"id\":4294967295",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a good file, its reader answers.
    #[test]
    fn damage_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), fragment()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for reader in READERS {
            let _ = read(reader, &damaged(good(reader), &damage, cut));
        }
    }

    /// Bytes that are nothing at all are refused or harmless too.
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for reader in READERS {
            let _ = read(reader, &bytes);
        }
    }
}
