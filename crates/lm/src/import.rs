//! A model out of named tensors, wherever they come from.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use safetensors::tensor::Dtype;

use crate::config::{Config, Family};
use crate::error::{Error, Result};
use crate::folder::{InMemory, TensorSource};
use crate::kernels::memory::zeros;
use crate::kernels::quantised::dequantise;
use crate::layout::Layout;
use crate::model::Model;
use crate::tensor_file;
use crate::tensor_type::TensorType;
use crate::weights::StoredBuilder;

/// The model of this shape in a safetensors file.
///
/// Weights may be f32, f16 or bf16, with or without the prefix of the model inside (`transformer.` in GPT-2's files,
/// `model.` in all others); they stay in their types. Where the head is tied, `lm_head.weight` is accepted only if it
/// equals the embedding. What old files carry along is ignored: GPT-2's masks `attn.bias` and `attn.masked_bias`, and
/// Llama's frequencies `rotary_emb.inv_freq`, which `config.json` says as well.
pub(crate) fn model(config: Config, bytes: &[u8]) -> Result<Model> {
    model_of(config, &InMemory::new(&tensor_file::read(bytes)?))
}

/// The model of this shape in a source of tensors, of which one at a time is read.
pub(crate) fn model_of(config: Config, source: &dyn TensorSource) -> Result<Model> {
    assemble(config, &Floats { source })
}

/// The types that the tensors of a model of this shape would be held in.
pub(crate) fn kinds_of(config: &Config, source: &dyn TensorSource) -> Result<Vec<TensorType>> {
    stored_kinds(config, &Floats { source }.described())
}

/// The same, of named tensors. Names and shapes are checked, values are not looked at.
pub(crate) fn stored_kinds(config: &Config, described: &[Described<'_>]) -> Result<Vec<TensorType>> {
    let layout = Layout::new(config);
    let found = find(config.family, &layout, described)?;
    kinds(&layout, described, &found.places)
}

/// What a source says of a tensor before its values are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    /// How its values are stored; of a type that no model can hold, what is wrong with it.
    pub kind: std::result::Result<TensorType, &'a str>,
    /// Tensors are read in this order; that of a file which is not in memory.
    pub order: usize,
}

/// Named tensors, wherever they come from. They are read once each and in the order of the file, so that it may pass by
/// once.
pub(crate) trait NamedTensors {
    /// All of them, always in the same order.
    fn described(&self) -> Vec<Described<'_>>;

    /// Stores the values of one, by its number, in the order of its shape.
    fn values(&self, index: usize, target: &mut [f32]) -> Result<()>;

    /// Stores the blocks of one output of a quantised matrix, by its number.
    fn blocks(&self, index: usize, output: usize, target: &mut [u8]) -> Result<()>;
}

/// The model of this shape made of named tensors, each in the type that it comes in; quantised ones that are no matrices
/// of products are dequantised.
///
/// All names and shapes are checked before anything is allocated, so that a `config.json` alone takes no memory.
pub(crate) fn assemble(config: Config, tensors: &dyn NamedTensors) -> Result<Model> {
    let (layout, described) = (Layout::new(&config), tensors.described());
    let found = find(config.family, &layout, &described)?;
    let kinds = kinds(&layout, &described, &found.places)?;
    let reading = Reading {
        tensors,
        described: &described,
        order: found.order(&described),
    };
    let (model, head) = if kinds.iter().all(|&kind| kind == TensorType::F32) {
        let mut parameters = zeros(layout.total);
        let head = reading.each(|index, entry| {
            let values = &mut parameters[layout.entries[entry].range.clone()];
            reading.values(index, values)
        })?;
        (Model::from_parameters(config, parameters)?, head)
    } else {
        let mut builder = StoredBuilder::new(&layout, kinds)?;
        let head = reading.each(|index, entry| {
            let values = |target: &mut [f32]| reading.values(index, target);
            let blocks = |output: usize, target: &mut [u8]| tensors.blocks(index, output, target);
            builder.read(entry, described[index].name, values, blocks)
        })?;
        let stored = builder.finish();
        (Model::from_stored(config, layout, stored), head)
    };
    head.map_or(Ok(()), |head| check_head(&head, &model))?;
    Ok(model)
}

/// Tensors on their way into a model.
struct Reading<'a> {
    tensors: &'a dyn NamedTensors,
    described: &'a [Described<'a>],
    /// Their numbers in the order of the file, each with its entry of the layout; a head that is tied has none.
    order: Vec<(usize, Option<usize>)>,
}

impl Reading<'_> {
    /// Calls `take` with the number of each tensor and its entry. Returns the values of a head that is tied.
    fn each(&self, mut take: impl FnMut(usize, usize) -> Result<()>) -> Result<Option<Vec<f32>>> {
        let mut head = None;
        for &(index, entry) in &self.order {
            match entry {
                Some(entry) => take(index, entry)?,
                None => {
                    let Described {
                        name, shape, kind, ..
                    } = self.described[index];
                    kind.map_err(|problem| Error::tensor(name, problem))?;
                    let mut values = vec![0.0; shape.iter().product()];
                    self.tensors.values(index, &mut values)?;
                    head = Some(values);
                }
            }
        }
        Ok(head)
    }

    fn values(&self, index: usize, target: &mut [f32]) -> Result<()> {
        self.tensors.values(index, target)?;
        check_finite(self.described[index].name, target)
    }
}

/// The types of all entries of the layout.
fn kinds(layout: &Layout, described: &[Described<'_>], places: &[usize]) -> Result<Vec<TensorType>> {
    let matrices: Vec<Range<usize>> = layout.linears().into_iter().map(|linear| linear.weight).collect();
    let entries = layout.entries.iter().zip(places);
    entries
        .map(|(entry, &index)| {
            let Described { name, kind, .. } = described[index];
            let kind = kind.map_err(|problem| Error::tensor(name, problem))?;
            let is_matrix = matrices
                .iter()
                .any(|range| range.start <= entry.range.start && entry.range.end <= range.end);
            Ok(if kind.is_quantised() && !is_matrix {
                TensorType::F32
            } else {
                kind
            })
        })
        .collect()
}

/// Tensors of numbers out of files.
struct Floats<'a> {
    source: &'a dyn TensorSource,
}

impl NamedTensors for Floats<'_> {
    // Sources are sorted by name, so that the first refusal is always the same.
    fn described(&self) -> Vec<Described<'_>> {
        let tensors = self.source.tensors().iter();
        tensors
            .map(|tensor| Described {
                name: &tensor.name,
                shape: &tensor.shape,
                kind: match tensor.dtype {
                    Dtype::F32 => Ok(TensorType::F32),
                    Dtype::F16 => Ok(TensorType::F16),
                    Dtype::BF16 => Ok(TensorType::BF16),
                    _ => Err(&tensor.refusal),
                },
                order: tensor.order,
            })
            .collect()
    }

    fn values(&self, index: usize, target: &mut [f32]) -> Result<()> {
        let bytes = self.source.bytes(index)?;
        match self.source.tensors()[index].dtype {
            Dtype::F16 => dequantise(TensorType::F16, &bytes, target),
            Dtype::BF16 => dequantise(TensorType::BF16, &bytes, target),
            _ => dequantise(TensorType::F32, &bytes, target),
        }
        Ok(())
    }

    fn blocks(&self, _: usize, _: usize, _: &mut [u8]) -> Result<()> {
        Err(Error::Bug {
            problem: "blocks of a tensor of numbers".to_owned(),
        })
    }
}

/// The numbers of a model's tensors in the order of its layout.
struct Found {
    places: Vec<usize>,
    /// A head that is there although it is tied.
    head: Option<usize>,
}

impl Found {
    /// All of them in the order of the file, each with its entry of the layout.
    fn order(&self, described: &[Described<'_>]) -> Vec<(usize, Option<usize>)> {
        let entries = self.places.iter().enumerate();
        let mut order: Vec<_> = entries
            .map(|(entry, &index)| (index, Some(entry)))
            .chain(self.head.map(|index| (index, None)))
            .collect();
        order.sort_by_key(|&(index, _)| described[index].order);
        order
    }
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

fn check_head(head: &[f32], model: &Model) -> Result<()> {
    let Some(embedding) = model.tensors().next() else {
        return Ok(());
    };
    if *head == *embedding.values() {
        return Ok(());
    }
    let problem = format!(
        "differs from `{}`, but the head is tied to it: check `tie_word_embeddings` in config.json",
        embedding.name
    );
    Err(Error::tensor("lm_head.weight", problem))
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
