//! Files that somebody damaged, by accident or on purpose.

use posthuman_lm::{Error, ErrorClass, GgufFile};
use proptest::prelude::*;

use super::{bytes, json, use_all};

#[test]
fn the_corpus_is_refused_for_the_right_reasons() {
    let expected = json("hostile.json");
    let expected = expected.as_object().unwrap();
    assert!(expected.len() > 40);
    for (name, said) in expected {
        let bytes = bytes(&format!("hostile/{name}.gguf"));
        let error = GgufFile::read(&bytes).unwrap_err();
        assert!(
            error.to_string().contains(said.as_str().unwrap()),
            "{name}: {error}"
        );
        assert_eq!(error.class(), ErrorClass::Caller);
        assert!(
            error.to_string().len() < 300,
            "{name}: an error as long as the attacker likes"
        );
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = bytes("llama_tiny.gguf");
    // Every place in the head, and some in the data.
    let ends = (0..4000).chain((4000..bytes.len()).step_by(97));
    for end in ends {
        let error = GgufFile::read(&bytes[..end]).unwrap_err();
        assert!(names_something(&error), "{end}: {error}");
    }
    assert!(use_all(&bytes).is_empty());
}

#[test]
fn sizes_that_no_model_has_are_refused_by_the_files_own_keys() {
    for (key, value, said) in [
        ("attention.head_count_kv", 0_u32, "is 0"),
        (
            "attention.head_count_kv",
            3,
            "does not divide `llama.attention.head_count`",
        ),
        ("context_length", u32::MAX, "is 4294967295"),
        ("feed_forward_length", 0, "is 0"),
    ] {
        let key = format!("llama.{key}");
        let mut bytes = bytes("llama_tiny.gguf");
        let place = bytes
            .windows(key.len())
            .position(|window| window == key.as_bytes())
            .unwrap();
        // The key is followed by the number of its type.
        let place = place + key.len() + 4;
        bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
        let error = posthuman_lm::import_gguf_model(&bytes).unwrap_err();
        assert!(
            matches!(&error, Error::GgufKey { key: named, .. } if *named == key),
            "{error}"
        );
        assert!(error.to_string().contains(said), "{error}");
    }
}

fn names_something(error: &Error) -> bool {
    match error {
        Error::Gguf { problem } => !problem.is_empty(),
        Error::GgufKey { key, .. } => !key.is_empty(),
        Error::Tensor { name, .. } => !name.is_empty(),
        _ => false,
    }
}

/// Files to damage: one of each kind, and all that are damaged already.
fn corpus() -> Vec<Vec<u8>> {
    let good = ["blocks.gguf", "qwen3_tiny.gguf", "llama_tiny.gguf"].map(bytes);
    let hostile = std::fs::read_dir(format!("{}/hostile", super::FOLDER)).unwrap();
    let mut hostile: Vec<_> = hostile.map(|entry| entry.unwrap().path()).collect();
    hostile.sort();
    good.into_iter()
        .chain(hostile.into_iter().map(|path| std::fs::read(path).unwrap()))
        .collect()
}

/// Numbers that break arithmetic done without care.
const AWKWARD: [u64; 8] = [
    0,
    1,
    8,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 62,
    u64::MAX - 31,
    u64::MAX,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a file, reading and using it answers; and a refusal names the key or the tensor.
    #[test]
    fn a_damaged_file_never_panics(
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
        end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        // Half of the damage goes to files that were good.
        let corpus = corpus();
        let mut bytes = match which.index(2 * corpus.len()) {
            index if index < corpus.len() => corpus[index].clone(),
            index => corpus[index % 3].clone(),
        };
        for (place, byte, kind) in damage {
            if bytes.len() < 9 {
                break;
            }
            // The head holds the interesting part.
            let range = if byte % 4 == 0 { bytes.len() } else { bytes.len().min(1200) };
            let place = place.index(range);
            match kind {
                0 => bytes[place] = byte,
                1 => bytes[place] ^= 1 << (byte % 8),
                _ => {
                    let place = place.min(bytes.len() - 8);
                    let number = AWKWARD[usize::from(byte) % AWKWARD.len()].to_le_bytes();
                    let width = if kind == 2 { 8 } else { 4 };
                    bytes[place..place + width].copy_from_slice(&number[..width]);
                }
            }
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len() + 1));
        }
        for error in use_all(&bytes) {
            prop_assert!(names_something(&error), "{}", error);
        }
    }
}
