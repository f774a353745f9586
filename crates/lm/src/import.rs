//! Import of a Hugging Face folder's contents: `config.json`, `model.safetensors`, `tokenizer.json`.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

use crate::bundle::Bundle;
use crate::config::Gpt2Config;
use crate::error::{Error, Result};
use crate::folder::{InMemory, TensorInfo, TensorSource};
use crate::layout::{Entry, Layout};
use crate::model::Model;
use crate::tensor_file;
use crate::tokenizer::Tokenizer;

/// Makes a bundle from the contents of a Hugging Face GPT-2 folder.
///
/// Weights may be f32, f16 or bf16 (widened to f32), with or without the `transformer.` prefix. `lm_head.weight` is
/// accepted only where it equals the embedding to the bit, since the head is tied; the masks `attn.bias` and
/// `attn.masked_bias` that old files carry are ignored. Pickled weights (`pytorch_model.bin`) are never read: they are
/// programs.
///
/// # Errors
/// What is wrong, by the key, the tensor or the text at fault.
pub fn import_hugging_face(config_json: &[u8], safetensors: &[u8], tokenizer_json: &[u8]) -> Result<Bundle> {
    let config = Gpt2Config::from_json(config_json)?;
    let tokenizer = Tokenizer::from_json(tokenizer_json)?;
    Bundle::new(model(config, safetensors)?, tokenizer)
}

/// The model of this shape in a safetensors file.
pub(crate) fn model(config: Gpt2Config, bytes: &[u8]) -> Result<Model> {
    model_of(config, &InMemory::new(&tensor_file::read(bytes)?))
}

/// The model of this shape in a source of tensors, of which one at a time is read.
pub(crate) fn model_of(config: Gpt2Config, source: &dyn TensorSource) -> Result<Model> {
    let layout = Layout::new(&config);
    let mut parameters = vec![0.0; layout.total];
    let mut found = vec![false; layout.entries.len()];
    let mut head = None;
    // Sources are sorted by name, so that the first refusal is always the same.
    for (place, tensor) in source.tensors().iter().enumerate() {
        let name = tensor.name.strip_prefix("transformer.").unwrap_or(&tensor.name);
        if name == "lm_head.weight" {
            head = Some(place);
        } else if let Some(index) = layout.entries.iter().position(|entry| entry.name == name) {
            if std::mem::replace(&mut found[index], true) {
                return Err(Error::tensor(
                    &tensor.name,
                    "is there twice, with and without the `transformer.` prefix",
                ));
            }
            let entry = &layout.entries[index];
            read_tensor(source, place, &entry.shape, &mut parameters[entry.range.clone()])?;
        } else if !is_mask(name) {
            return Err(Error::tensor(
                &tensor.name,
                "is unknown in a GPT-2 of this shape: check `n_layer` in config.json",
            ));
        }
    }
    if let Some(index) = found.iter().position(|found| !found) {
        return Err(Error::tensor(&layout.entries[index].name, "is missing"));
    }
    if let Some(place) = head {
        check_head(source, place, &layout.entries[0], &parameters)?;
    }
    Model::from_parameters(config, parameters)
}

/// Buffers with the causal mask, which files of old `transformers` versions carry along.
fn is_mask(name: &str) -> bool {
    let Some((index, rest)) = name.strip_prefix("h.").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    index.bytes().all(|byte| byte.is_ascii_digit()) && matches!(rest, "attn.bias" | "attn.masked_bias")
}

fn check_head(source: &dyn TensorSource, place: usize, embedding: &Entry, parameters: &[f32]) -> Result<()> {
    let mut values = vec![0.0; embedding.range.len()];
    read_tensor(source, place, &embedding.shape, &mut values)?;
    if values == parameters[embedding.range.clone()] {
        Ok(())
    } else {
        Err(Error::tensor(
            "lm_head.weight",
            "differs from `wte.weight`: only models with a tied head are supported",
        ))
    }
}

fn read_tensor(source: &dyn TensorSource, place: usize, shape: &[usize], target: &mut [f32]) -> Result<()> {
    let TensorInfo {
        name,
        dtype,
        shape: stored,
    } = &source.tensors()[place];
    if stored != shape {
        return Err(Error::tensor(
            name,
            format!("has shape {stored:?}, where config.json asks for {shape:?}"),
        ));
    }
    match dtype {
        Dtype::F32 => widen(&source.bytes(place)?, target, f32::from_le_bytes),
        Dtype::F16 => widen(&source.bytes(place)?, target, |bytes| {
            f16::from_le_bytes(bytes).to_f32()
        }),
        Dtype::BF16 => widen(&source.bytes(place)?, target, |bytes| {
            bf16::from_le_bytes(bytes).to_f32()
        }),
        other => {
            return Err(Error::tensor(
                name,
                format!("is of type {other}: only F32, F16 and BF16 are supported"),
            ));
        }
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
