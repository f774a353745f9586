//! Import of a Hugging Face folder's contents: `config.json`, `model.safetensors`, `tokenizer.json`.

use std::borrow::Cow;
use std::collections::HashMap;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

use crate::bundle::Bundle;
use crate::config::{Config, Family};
use crate::error::{Error, Result};
use crate::kernels::memory::zeros;
use crate::layout::{Entry, Layout};
use crate::model::Model;
use crate::tensor_file;
use crate::tokenizer::Tokenizer;

/// Makes a bundle from the contents of a Hugging Face folder of a family that [`Config`] knows.
///
/// Weights may be f32, f16 or bf16 (widened to f32), with or without the prefix of the model inside (`transformer.` in
/// GPT-2's files, `model.` in all others). Where the head is tied, `lm_head.weight` is accepted only if it equals the
/// embedding to the bit. What old files carry along is ignored: GPT-2's masks `attn.bias` and `attn.masked_bias`, and
/// Llama's frequencies `rotary_emb.inv_freq`, which `config.json` says as well. Pickled weights (`pytorch_model.bin`) are
/// never read: they are programs.
///
/// # Errors
/// What is wrong, by the key, the tensor or the text at fault.
pub fn import_hugging_face(config_json: &[u8], safetensors: &[u8], tokenizer_json: &[u8]) -> Result<Bundle> {
    let config = Config::from_json(config_json)?;
    let tokenizer = Tokenizer::from_json(tokenizer_json)?;
    Bundle::new(model(config, safetensors)?, tokenizer)
}

/// The model of this shape in a safetensors file.
pub(crate) fn model(config: Config, bytes: &[u8]) -> Result<Model> {
    assemble(config, tensor_file::read(bytes)?.tensors())
}

/// The model of this shape made of named tensors, from one file or from several.
///
/// Names, shapes and types are checked before anything is allocated, so that a `config.json` alone takes no memory.
pub(crate) fn assemble(config: Config, mut tensors: Vec<(String, TensorView<'_>)>) -> Result<Model> {
    let layout = Layout::new(&config);
    // A safetensors header is a JSON object, read into a map: sorted, so that the first refusal is always the same.
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let Found { tensors, head } = find(config.family, &layout, tensors)?;
    let mut parameters = zeros(layout.total);
    for (entry, (name, view)) in layout.entries.iter().zip(&tensors) {
        read_tensor(name, view, &mut parameters[entry.range.clone()])?;
    }
    if let Some(view) = head {
        let embedding = &parameters[layout.embedding.clone()];
        check_head(&view, &layout.entries[0], embedding)?;
    }
    Model::from_parameters(config, parameters)
}

/// The tensors of a model in the order of its layout, of the right shapes and types.
struct Found<'a> {
    tensors: Vec<(String, TensorView<'a>)>,
    /// A head that is there although it is tied.
    head: Option<TensorView<'a>>,
}

fn find<'a>(family: Family, layout: &Layout, tensors: Vec<(String, TensorView<'a>)>) -> Result<Found<'a>> {
    let places: HashMap<&str, usize> = layout
        .entries
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.name.as_str(), index))
        .collect();
    let mut found: Vec<Option<(String, TensorView<'a>)>> = layout.entries.iter().map(|_| None).collect();
    let mut head = None;
    for (name, view) in tensors {
        if let Some(&index) = places.get(canonical(family, &name).as_ref()) {
            check_form(&name, &view, &layout.entries[index].shape)?;
            if found[index].is_some() {
                return Err(Error::tensor(name, "is there twice, with and without its prefix"));
            }
            found[index] = Some((name, view));
        } else if name == "lm_head.weight" {
            check_form(&name, &view, &layout.entries[0].shape)?;
            head = Some(view);
        } else if !is_ignored(family, &name) {
            let problem = format!(
                "is unknown in a `{}` of this shape: check `{}` in config.json",
                family.name(),
                family.layers_key()
            );
            return Err(Error::tensor(name, problem));
        }
    }
    let missing = |index: usize| Error::tensor(&layout.entries[index].name, "is missing");
    let tensors = found
        .into_iter()
        .enumerate()
        .map(|(index, tensor)| tensor.ok_or_else(|| missing(index)))
        .collect::<Result<_>>()?;
    Ok(Found { tensors, head })
}

/// The name of a tensor in the layout.
fn canonical(family: Family, name: &str) -> Cow<'_, str> {
    if family == Family::Gpt2 {
        return Cow::Borrowed(name.strip_prefix("transformer.").unwrap_or(name));
    }
    let inside = ["embed_tokens.", "layers.", "norm."];
    if inside.iter().any(|part| name.starts_with(part)) {
        Cow::Owned(format!("model.{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Buffers that files of old `transformers` versions carry along: causal masks, and the frequencies of positions.
fn is_ignored(family: Family, name: &str) -> bool {
    let name = canonical(family, name);
    if family != Family::Gpt2 {
        return name.starts_with("model.") && name.ends_with(".rotary_emb.inv_freq");
    }
    let Some((index, rest)) = name.strip_prefix("h.").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    index.bytes().all(|byte| byte.is_ascii_digit()) && matches!(rest, "attn.bias" | "attn.masked_bias")
}

fn check_head(view: &TensorView<'_>, entry: &Entry, embedding: &[f32]) -> Result<()> {
    let mut values = vec![0.0; embedding.len()];
    read_tensor("lm_head.weight", view, &mut values)?;
    if values == embedding {
        Ok(())
    } else {
        let problem = format!(
            "differs from `{}`, but the head is tied to it: check `tie_word_embeddings` in config.json",
            entry.name
        );
        Err(Error::tensor("lm_head.weight", problem))
    }
}

fn check_form(name: &str, view: &TensorView<'_>, shape: &[usize]) -> Result<()> {
    if view.shape() != shape {
        return Err(Error::tensor(
            name,
            format!(
                "has shape {:?}, where config.json asks for {shape:?}",
                view.shape()
            ),
        ));
    }
    match view.dtype() {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
        other => Err(Error::tensor(
            name,
            format!("is of type {other}: only F32, F16 and BF16 are supported"),
        )),
    }
}

/// Widens a tensor that [`check_form`] has let through.
fn read_tensor(name: &str, view: &TensorView<'_>, target: &mut [f32]) -> Result<()> {
    match view.dtype() {
        Dtype::F16 => widen(view.data(), target, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => widen(view.data(), target, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        _ => widen(view.data(), target, f32::from_le_bytes),
    }
    match target.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::tensor(
            name,
            format!("holds a value that is not finite, at index {index}"),
        )),
    }
}

fn widen<const SIZE: usize>(data: &[u8], target: &mut [f32], convert: impl Fn([u8; SIZE]) -> f32) {
    let (chunks, _) = data.as_chunks::<SIZE>();
    for (value, chunk) in target.iter_mut().zip(chunks) {
        *value = convert(*chunk);
    }
}
