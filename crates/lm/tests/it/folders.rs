//! Whole folders, as a person would give them.

use std::collections::BTreeMap;

use posthuman_lm::{Bundle, Config, Model, Tokenizer, import_folder, join_shards};
use serde_json::{Value, json};

use crate::encodings::{family, fixture};
use crate::{fresh_model, tokenizer};

pub type Folder = BTreeMap<String, Vec<u8>>;

/// A GPT-2 folder in one file, as `save_pretrained` writes it.
pub fn folder() -> Folder {
    let model = fresh_model();
    let mut config: Value = serde_json::from_str(&model.config().to_json()).unwrap();
    config["eos_token_id"] = 0.into();
    config["bos_token_id"] = 0.into();
    let files = [
        ("config.json", config.to_string().into_bytes()),
        ("model.safetensors", model.to_safetensors().unwrap()),
        ("tokenizer.json", tokenizer().to_json().to_vec()),
        ("generation_config.json", br#"{"_from_model_config": true, "eos_token_id": 0, "transformers_version": "5"}"#.to_vec()),
        ("tokenizer_config.json", br#"{"add_bos_token": false, "bos_token": "<|endoftext|>", "eos_token": {"content": "<|endoftext|>"}}"#.to_vec()),
    ];
    files
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

/// The same weights in shards of a few tensors each.
pub fn sharded() -> Folder {
    let mut files = folder();
    let whole = files.remove("model.safetensors").unwrap();
    let parsed = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let mut names = parsed.names();
    names.sort();
    let mut map = serde_json::Map::new();
    let count = names.len().div_ceil(7);
    for (index, names) in names.chunks(7).enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", index + 1);
        let views = names.iter().map(|name| (*name, parsed.tensor(name).unwrap()));
        files.insert(file.clone(), safetensors::serialize(views, None).unwrap());
        map.extend(
            names
                .iter()
                .map(|name| ((*name).to_owned(), Value::from(file.clone()))),
        );
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    files.insert(
        "model.safetensors.index.json".to_owned(),
        index.to_string().into_bytes(),
    );
    files
}

fn refusal(files: &Folder) -> String {
    import_folder(files).unwrap_err().to_string()
}

fn set(files: &mut Folder, name: &str, bytes: impl AsRef<[u8]>) {
    files.insert(name.to_owned(), bytes.as_ref().to_vec());
}

#[test]
fn one_file_and_shards_give_the_bundle_of_their_parts() {
    let files = folder();
    let config = Config::from_json(&files["config.json"]).unwrap();
    let model = Model::from_safetensors(config, &files["model.safetensors"]).unwrap();
    let tokenizer = Tokenizer::from_json(&files["tokenizer.json"]).unwrap();
    let parts = Bundle::new(model, tokenizer).unwrap().to_bytes().unwrap();
    assert!(import_folder(&files).unwrap().to_bytes().unwrap() == parts);
    assert!(import_folder(&sharded()).unwrap().to_bytes().unwrap() == parts);
}

#[test]
fn an_index_and_its_shards_must_agree() {
    let index = "model.safetensors.index.json";
    let shard = "model-00001-of-00004.safetensors";
    let change = |change: &dyn Fn(&mut Value)| {
        let mut files = sharded();
        let mut json: Value = serde_json::from_slice(&files[index]).unwrap();
        change(&mut json["weight_map"]);
        set(&mut files, index, json.to_string());
        refusal(&files)
    };
    let mut files = sharded();
    assert!(files.contains_key(shard), "{:?}", files.keys());
    files.remove(shard);
    let error = refusal(&files);
    assert!(error.contains(shard) && error.contains("missing"), "{error}");
    let error = change(&|map| map["wte.weight"] = shard.into());
    assert!(
        error.contains("`wte.weight`") && error.contains("says that it is in"),
        "{error}"
    );
    let error = change(&|map| map["extra.weight"] = shard.into());
    assert!(error.contains("`extra.weight` is not in"), "{error}");
    let error = change(&|map| {
        map.as_object_mut().unwrap().remove("wpe.weight");
    });
    assert!(
        error.contains("`wpe.weight`") && error.contains("not in `model.safetensors.index.json`"),
        "{error}"
    );
    for outside in [
        "../model.safetensors",
        "/etc/passwd.safetensors",
        "a/b.safetensors",
        ".safetensors",
        "model",
        "C:\\x.safetensors",
    ] {
        let error = change(&|map| map["wte.weight"] = outside.into());
        assert!(error.contains("may not name"), "{outside}: {error}");
    }
    let error = change(&|map| map["wte.weight"] = "pytorch_model-00001-of-00002.bin".into());
    assert!(
        error.contains("programs") && error.contains("safe_serialization=True"),
        "{error}"
    );
    let mut files = sharded();
    let twice = String::from_utf8(files[index].clone()).unwrap();
    let twice = twice.replace(
        "\"weight_map\":{",
        &format!("\"weight_map\":{{\"wte.weight\":\"{shard}\","),
    );
    set(&mut files, index, twice);
    let error = refusal(&files);
    assert!(error.contains("`wte.weight` is named twice"), "{error}");
    let mut files = sharded();
    let copy = files[shard].clone();
    set(&mut files, "model-00002-of-00004.safetensors", copy);
    let error = refusal(&files);
    assert!(error.contains("twice"), "{error}");
    let mut files = sharded();
    files.get_mut(shard).unwrap().pop();
    let error = refusal(&files);
    assert!(error.contains(shard) && error.contains("truncated"), "{error}");
}

#[test]
fn pickles_and_missing_files_are_named_with_what_to_do() {
    for pickle in [
        "pytorch_model.bin",
        "model.pt",
        "model.ckpt",
        "consolidated.00.pth",
    ] {
        let mut files = folder();
        files.remove("model.safetensors");
        set(&mut files, pickle, b"\x80\x02}q\x00.");
        let error = refusal(&files);
        assert!(
            error.contains(pickle) && error.contains("save_pretrained"),
            "{error}"
        );
        assert!(error.contains("programs"), "{error}");
    }
    let mut files = folder();
    set(
        &mut files,
        "model.safetensors",
        b"PK\x03\x04 and an archive of pickles",
    );
    let error = refusal(&files);
    assert!(
        error.contains("`model.safetensors` is a pickle") && error.contains("save_pretrained"),
        "{error}"
    );
    for missing in ["config.json", "model.safetensors", "tokenizer.json"] {
        let mut files = folder();
        files.remove(missing);
        let error = refusal(&files);
        assert!(error.contains(missing) && error.contains("missing"), "{error}");
    }
    let mut files = folder();
    files.remove("tokenizer.json");
    set(&mut files, "tokenizer.model", b"\x0a");
    assert!(refusal(&files).contains("SentencePiece"));
}

/// The legacy files that say what a byte-level `tokenizer.json` says.
pub fn legacy(name: &str) -> Folder {
    let json: Value = serde_json::from_slice(&fixture(&format!("{name}.tokenizer.json"))).unwrap();
    let merges: Vec<String> = json["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let mut vocabulary = json["model"]["vocab"].clone();
    let mut added = serde_json::Map::new();
    let mut decoder = serde_json::Map::new();
    for token in json["added_tokens"].as_array().unwrap() {
        let content = token["content"].as_str().unwrap();
        vocabulary.as_object_mut().unwrap().remove(content);
        vocabulary[content] = token["id"].clone();
        added.insert(content.to_owned(), token["id"].clone());
        decoder.insert(token["id"].to_string(), token.clone());
    }
    let class = if name == "qwen" {
        "Qwen2Tokenizer"
    } else {
        "GPT2Tokenizer"
    };
    let mut files = folder();
    files.remove("tokenizer.json");
    files.remove("tokenizer_config.json");
    set(&mut files, "vocab.json", vocabulary.to_string());
    set(
        &mut files,
        "merges.txt",
        format!("#version: 0.2\n{}\n", merges.join("\n")),
    );
    set(&mut files, "added_tokens.json", Value::from(added).to_string());
    let config = json!({"tokenizer_class": class, "added_tokens_decoder": decoder});
    set(&mut files, "tokenizer_config.json", config.to_string());
    let shape = Config::gpt2(600, 8, 4, 1, 1).unwrap();
    let model = Model::random(shape, 1).unwrap();
    set(&mut files, "config.json", model.config().to_json());
    set(&mut files, "model.safetensors", model.to_safetensors().unwrap());
    files
}

#[test]
fn legacy_files_give_the_same_tokens() {
    for name in ["gpt2", "qwen"] {
        let bundle = import_folder(&legacy(name)).unwrap();
        let (old, new) = (family(name), bundle.tokenizer());
        let cases: BTreeMap<String, Vec<Value>> = serde_json::from_slice(&fixture("encodings.json")).unwrap();
        for case in &cases[name] {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                new.encode(text).unwrap(),
                old.encode(text).unwrap(),
                "{name}: {text:?}"
            );
        }
        let again = import_folder(&legacy(name)).unwrap();
        assert_eq!(new.to_json(), again.tokenizer().to_json());
        let bytes = bundle.to_bytes().unwrap();
        assert!(Bundle::from_bytes(&bytes).unwrap().to_bytes().unwrap() == bytes);
    }
}

#[test]
fn legacy_files_that_do_not_fit_are_refused_by_line() {
    let mut files = legacy("gpt2");
    set(&mut files, "merges.txt", "#version: 0.2\na b\na zzz\n");
    let error = refusal(&files);
    assert!(error.contains("merges.txt") && error.contains("line"), "{error}");
    let mut files = legacy("gpt2");
    set(&mut files, "merges.txt", "a\n");
    assert!(refusal(&files).contains("line 1"));
    let mut files = legacy("gpt2");
    set(
        &mut files,
        "tokenizer_config.json",
        r#"{"tokenizer_class": "CLIPTokenizer"}"#,
    );
    assert!(refusal(&files).contains("`CLIPTokenizer`"));
    let mut files = legacy("gpt2");
    set(&mut files, "added_tokens.json", r#"{"<new>": 100000}"#);
    let error = refusal(&files);
    assert!(error.contains("<new>"), "{error}");
}

#[test]
fn a_folder_for_chat_keeps_what_it_says() {
    let mut files = legacy("gpt2");
    let smollm2: Tokenizer = family("smollm2");
    for name in ["vocab.json", "merges.txt", "added_tokens.json"] {
        files.remove(name);
    }
    set(&mut files, "tokenizer.json", smollm2.to_json());
    let template = String::from_utf8(fixture("templates/chatml.jinja")).unwrap();
    let config = json!({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": [
        {"name": "tool_use", "template": "x"}, {"name": "default", "template": template},
    ]});
    set(&mut files, "tokenizer_config.json", config.to_string());
    set(
        &mut files,
        "generation_config.json",
        r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9,
        "repetition_penalty": 1.2, "num_beams": 1, "eos_token_id": [2, 0], "max_new_tokens": 100}"#,
    );
    let bundle = import_folder(&files).unwrap();
    let end = smollm2.token_id("<|im_end|>").unwrap();
    assert_eq!(bundle.tokenizer().eos_tokens(), [end, 0]);
    assert_eq!(bundle.tokenizer().bos_token(), smollm2.token_id("<|im_start|>"));
    assert!(!bundle.tokenizer().adds_bos());
    let generation = bundle.extras().generation.clone().unwrap();
    assert_eq!(generation.ignored, ["repetition_penalty"]);
    let sampling = generation.sampling();
    assert_eq!(
        (sampling.temperature, sampling.top_p, sampling.top_k),
        (0.6, 0.9, 50)
    );
    assert_eq!(sampling.maximum_tokens, 100);
    assert_eq!(bundle.extras().chat_template.as_ref().unwrap().source(), template);
    let bytes = bundle.to_bytes().unwrap();
    let again = Bundle::from_bytes(&bytes).unwrap();
    assert!(again.to_bytes().unwrap() == bytes);
    assert_eq!(again.extras(), bundle.extras());
    assert_eq!(
        again.tokenizer().special_tokens(),
        bundle.tokenizer().special_tokens()
    );
}

#[test]
fn what_other_files_say_wrongly_is_named() {
    for (file, text, reason) in [
        ("tokenizer_config.json", r#"{"eos_token": "<gone>"}"#, "`<gone>`"),
        ("tokenizer_config.json", r#"{"eos_token": 5}"#, "`eos_token`"),
        (
            "tokenizer_config.json",
            r#"{"add_bos_token": "yes"}"#,
            "`add_bos_token`",
        ),
        (
            "tokenizer_config.json",
            r#"{"chat_template": 1}"#,
            "`chat_template`",
        ),
        ("tokenizer_config.json", r#"{"chat_template": "{% if"}"#, "line 1"),
        (
            "tokenizer_config.json",
            r#"{"chat_template": [{"name": "a"}, {"name": "b"}]}"#,
            "`default`",
        ),
        ("tokenizer_config.json", "[]", "no JSON object"),
        ("chat_template.jinja", "{{ x", "chat_template.jinja"),
        ("chat_template.jinja", "\u{0}{% endfor %}", "chat_template.jinja"),
        (
            "generation_config.json",
            r#"{"temperature": "hot"}"#,
            "`temperature`",
        ),
        (
            "generation_config.json",
            r#"{"do_sample": true, "temperature": -1}"#,
            "`temperature`",
        ),
        (
            "generation_config.json",
            r#"{"do_sample": true, "top_p": 3}"#,
            "`top_p`",
        ),
        ("generation_config.json", r#"{"top_k": -5}"#, "`top_k`"),
        (
            "generation_config.json",
            r#"{"max_new_tokens": 0}"#,
            "`maximum_tokens`",
        ),
        (
            "generation_config.json",
            r#"{"eos_token_id": "x"}"#,
            "`eos_token_id`",
        ),
    ] {
        let mut files = folder();
        set(&mut files, file, text);
        let error = refusal(&files);
        assert!(error.contains(reason), "{file} {text}: {error}");
    }
    let mut files = folder();
    set(&mut files, "chat_template.jinja", [0xff]);
    assert!(refusal(&files).contains("UTF-8"));
}

#[test]
fn joined_shards_are_the_model_in_one_file() {
    let sharded = sharded();
    let mut joined = Vec::new();
    join_shards(&sharded, &mut joined).unwrap();
    let mut one = sharded.clone();
    one.retain(|name, _| !name.contains(".safetensors"));
    one.insert("model.safetensors".to_owned(), joined.clone());
    let bytes = |files: &Folder| import_folder(files).unwrap().to_bytes().unwrap();
    assert!(bytes(&one) == bytes(&sharded));
    let mut again = Vec::new();
    join_shards(&one, &mut again).unwrap();
    assert!(again == joined, "joining what is joined changes nothing");
    let full: &mut [u8] = &mut [0; 16];
    let error = join_shards(&sharded, &mut &mut *full).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}
