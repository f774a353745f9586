//! Models of other programs, as small as can be.

use std::fs;

use anyhow::Context as _;
use posthuman_lm::{Config, Model, Tokenizer};
use tempfile::TempDir;

use crate::texts;

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
    let template =
        "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";
    let path = folder.path().join("chat_template.jinja");
    fs::write(&path, template).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(folder)
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
