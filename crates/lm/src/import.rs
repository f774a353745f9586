//! A model out of named tensors, wherever they come from.

use std::borrow::Cow;
use std::collections::HashMap;

use half::{bf16, f16};
use safetensors::tensor::Dtype;

use crate::config::{Config, Family};
use crate::error::{Error, Result};
use crate::folder::{InMemory, TensorInfo, TensorSource};
use crate::kernels::memory::zeros;
use crate::layout::Layout;
use crate::model::Model;
use crate::tensor_file;

/// The model of this shape in a safetensors file.
///
/// Weights may be f32, f16 or bf16 (widened to f32), with or without the prefix of the model inside (`transformer.` in
/// GPT-2's files, `model.` in all others). Where the head is tied, `lm_head.weight` is accepted only if it equals the
/// embedding to the bit. What old files carry along is ignored: GPT-2's masks `attn.bias` and `attn.masked_bias`, and
/// Llama's frequencies `rotary_emb.inv_freq`, which `config.json` says as well.
pub(crate) fn model(config: Config, bytes: &[u8]) -> Result<Model> {
    model_of(config, &InMemory::new(&tensor_file::read(bytes)?))
}

/// The model of this shape in a source of tensors, of which one at a time is read.
pub(crate) fn model_of(config: Config, source: &dyn TensorSource) -> Result<Model> {
    // Sources are sorted by name, so that the first refusal is always the same.
    let described: Vec<Described<'_>> = source
        .tensors()
        .iter()
        .map(|tensor| Described {
            name: &tensor.name,
            shape: &tensor.shape,
        })
        .collect();
    assemble(config, &described, |index, target| {
        read_tensor(source, index, target)
    })
}

/// What a source says of a tensor before its values are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
}

/// The model of this shape made of named tensors, from wherever they come: `read` stores the values of one of them, by
/// its number.
///
/// All names and shapes are checked before anything is allocated, so that a `config.json` alone takes no memory.
pub(crate) fn assemble(
    config: Config,
    tensors: &[Described<'_>],
    mut read: impl FnMut(usize, &mut [f32]) -> Result<()>,
) -> Result<Model> {
    let layout = Layout::new(&config);
    let Found { places, head } = find(config.family, &layout, tensors)?;
    let mut parameters = zeros(layout.total);
    for (entry, &index) in layout.entries.iter().zip(&places) {
        let values = &mut parameters[entry.range.clone()];
        read(index, values)?;
        check_finite(tensors[index].name, values)?;
    }
    if let Some(index) = head {
        let embedding = &parameters[layout.embedding.clone()];
        let mut values = vec![0.0; embedding.len()];
        read(index, &mut values)?;
        check_head(&values, &layout.entries[0].name, embedding)?;
    }
    Model::from_parameters(config, parameters)
}

/// The numbers of a model's tensors in the order of its layout.
struct Found {
    places: Vec<usize>,
    /// A head that is there although it is tied.
    head: Option<usize>,
}

fn find(family: Family, layout: &Layout, tensors: &[Described<'_>]) -> Result<Found> {
    let entries: HashMap<&str, usize> = layout
        .entries
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.name.as_str(), index))
        .collect();
    let mut found = vec![None; layout.entries.len()];
    let mut head = None;
    for (index, tensor) in tensors.iter().enumerate() {
        let name = tensor.name;
        if let Some(&entry) = entries.get(canonical(family, name).as_ref()) {
            check_shape(tensor, &layout.entries[entry].shape)?;
            if found[entry].replace(index).is_some() {
                return Err(Error::tensor(name, "is there twice, with and without its prefix"));
            }
        } else if name == "lm_head.weight" {
            check_shape(tensor, &layout.entries[0].shape)?;
            head = Some(index);
        } else if !is_ignored(family, name) {
            let problem = format!(
                "is unknown in a `{}` of this shape: check `{}` in config.json",
                family.name(),
                family.layers_key()
            );
            return Err(Error::tensor(name, problem));
        }
    }
    let places = found.into_iter().zip(&layout.entries).map(|(index, entry)| {
        index.ok_or_else(|| {
            Error::tensor(
                &entry.name,
                "is missing: the file is not whole, or config.json is of another model",
            )
        })
    });
    Ok(Found {
        places: places.collect::<Result<_>>()?,
        head,
    })
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

fn check_head(values: &[f32], name: &str, embedding: &[f32]) -> Result<()> {
    if values == embedding {
        Ok(())
    } else {
        let problem = format!(
            "differs from `{name}`, but the head is tied to it: check `tie_word_embeddings` in config.json"
        );
        Err(Error::tensor("lm_head.weight", problem))
    }
}

fn check_shape(tensor: &Described<'_>, shape: &[usize]) -> Result<()> {
    if tensor.shape == shape {
        Ok(())
    } else {
        Err(Error::tensor(
            tensor.name,
            format!(
                "has shape {:?}, where config.json asks for {shape:?}",
                tensor.shape
            ),
        ))
    }
}

fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::tensor(
            name,
            format!("holds a value that is not finite, at index {index}"),
        )),
    }
}

/// Widens the values of a tensor of the target's size.
fn read_tensor(source: &dyn TensorSource, index: usize, target: &mut [f32]) -> Result<()> {
    let TensorInfo { name, dtype, .. } = &source.tensors()[index];
    let convert: fn(&[u8], &mut [f32]) = match dtype {
        Dtype::F32 => |data, target| widen(data, target, f32::from_le_bytes),
        Dtype::F16 => |data, target| widen(data, target, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => |data, target| widen(data, target, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        other => {
            return Err(Error::tensor(
                name,
                format!("is of type {other}: only F32, F16 and BF16 are supported"),
            ));
        }
    };
    convert(&source.bytes(index)?, target);
    Ok(())
}

fn widen<const SIZE: usize>(data: &[u8], target: &mut [f32], convert: impl Fn([u8; SIZE]) -> f32) {
    let (chunks, _) = data.as_chunks::<SIZE>();
    for (value, chunk) in target.iter_mut().zip(chunks) {
        *value = convert(*chunk);
    }
}
