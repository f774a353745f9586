//! Models of other programs, as small as can be.

#[allow(
    clippy::unwrap_used,
    reason = "a part of the engine's tests, which fail by panicking"
)]
#[path = "../../crates/lm/tests/it/gguf/quantised_file.rs"]
mod quantised_file;
#[allow(
    clippy::unwrap_used,
    reason = "a part of the engine's tests, which fail by panicking"
)]
#[path = "../../crates/lm/tests/it/gguf/writer.rs"]
mod writer;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use posthuman_lm::{Config, Model, Tokenizer};
use tempfile::TempDir;

use crate::files::repository;
use crate::texts;
use writer::Owned;

/// Writes roles and contents, one message a line.
const TEMPLATE: &str =
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";

/// A Hugging Face folder (`config.json`, `tokenizer.json`, `model.safetensors`) with a GPT-2 that never learnt anything:
/// one layer of width 16, vocabulary 300, and the context given, in tokens.
///
/// # Errors
/// The texts are not installed, or the folder cannot be written.
pub fn hugging_face_folder(context: usize) -> anyhow::Result<TempDir> {
    folder(Config::gpt2(300, context, 16, 1, 2)?)
}

/// The same with a Llama, whose two heads of queries share one of keys and values, and with a chat template.
///
/// # Errors
/// As [`hugging_face_folder`].
pub fn llama_folder(context: usize) -> anyhow::Result<TempDir> {
    let folder = folder(Config::llama(300, context, 16, 1, 2, 1, 24)?)?;
    let path = folder.path().join("chat_template.jinja");
    fs::write(&path, TEMPLATE).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(folder)
}

/// A GGUF file with every type of block and a chat template, in a folder of its own: a Llama of one layer of width 256
/// and context 256, which never learnt anything.
///
/// # Errors
/// The engine's fixtures are not there, or the folder cannot be written.
pub fn quantised_gguf() -> anyhow::Result<(TempDir, PathBuf)> {
    let tiny = repository().join("crates/lm/tests/fixtures/gguf/llama_tiny.gguf");
    let tiny = fs::read(&tiny).with_context(|| format!("cannot read {}", tiny.display()))?;
    let more = [
        ("llama.context_length", Owned::Unsigned(256)),
        ("tokenizer.chat_template", Owned::Text(TEMPLATE.to_owned())),
    ];
    let folder = tempfile::tempdir().context("cannot make a folder for a model")?;
    let path = folder.path().join("quantised.gguf");
    fs::write(&path, quantised_file::file(&tiny, &more))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok((folder, path))
}

fn folder(config: Config) -> anyhow::Result<TempDir> {
    let tokenizer = Tokenizer::train(&[&texts::chapter(1)?], config.vocabulary)?;
    let model = Model::random(config, 1)?;
    let folder = tempfile::tempdir().context("cannot make a folder for a model")?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write("config.json", model.config().to_json().as_bytes())?;
    write("tokenizer.json", tokenizer.to_json())?;
    write("model.safetensors", &model.to_safetensors()?)?;
    Ok(folder)
}
