//! A GGUF file's model as a Hugging Face folder would hold it.

use std::ops::Range;

use serde_json::Value;

use super::GgufFile;
use super::families::Family;
use super::metadata::{GgufMetadata, shown};
use super::tensors::GgufTensor;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::tensor_type::TensorType;

pub(super) const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";
pub(super) const ROPE_TABLE: &str = "rope_freqs.weight";

/// A model by the names, shapes and order of rows that a Hugging Face folder has.
///
/// Every tensor of the file has its place here, and none is there twice. That none is missing, and that shapes are
/// those that the config asks for, is checked where a model is built, as for a folder.
#[derive(Clone, Debug)]
pub struct GgufModel<'a> {
    family: Family,
    config: Value,
    parameters: Vec<GgufParameter<'a>>,
}

impl<'a> GgufModel<'a> {
    /// How much of a file is needed to know its model's shape: its head, and for GPT-2, whose head is always tied, a head
    /// that may be the embedding.
    pub(super) fn needs(file: &GgufFile<'a>) -> usize {
        match (
            Family::of(&file.metadata),
            file.tensor(EMBEDDING),
            file.tensor(HEAD),
        ) {
            (Ok(Family::Gpt2), Some(embedding), Some(head)) if look_alike(embedding, head) => {
                embedding.place().end.max(head.place().end)
            }
            _ => 0,
        }
    }

    /// Where the table of rotary factors lies, if the model has one.
    pub(super) fn table(&self, file: &GgufFile<'a>) -> Option<Range<usize>> {
        let table = file.tensor(ROPE_TABLE).filter(|_| self.family.is_rotary());
        table.map(|table| table.place().clone())
    }

    /// The model of a file of which at least [`needs`](Self::needs) bytes were read. A head whose data were not read is not
    /// taken to be tied, and a table of rotary factors whose data were not read scales nothing.
    pub(super) fn new(file: &GgufFile<'a>) -> Result<Self> {
        refuse_parts(&file.metadata)?;
        let family = Family::of(&file.metadata)?;
        let embedding = file
            .tensor(EMBEDDING)
            .ok_or_else(|| Error::tensor(EMBEDDING, "is missing"))?;
        let tied = match file.tensor(HEAD) {
            None => true,
            // Converters of GPT-2 used to store the embedding a second time as the head.
            Some(head) => {
                look_alike(embedding, head) && !head.data().is_empty() && head.data() == embedding.data()
            }
        };
        let shape = family.read(file, embedding.rows(), tied)?;
        let mut parameters = Vec::with_capacity(file.tensors.len());
        for tensor in &file.tensors {
            let name = tensor.name();
            if name == ROPE_TABLE && family.is_rotary() || name == HEAD && tied {
                continue;
            }
            let Some((name, arrangement)) = shape.parameter(name) else {
                let problem = format!("has no place in a model of architecture `{}`", family.name());
                return Err(Error::tensor(shown(name), problem));
            };
            parameters.push(GgufParameter::new(name, arrangement, tensor)?);
        }
        Ok(Self {
            family,
            config: shape.config,
            parameters,
        })
    }

    /// The equivalent `config.json`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The options that [`config`](Self::config) says, checked. What is wrong with them is said of the file's own key.
    pub(super) fn checked_config(&self) -> Result<Config> {
        Config::from_json(self.config.to_string().as_bytes()).map_err(|error| match error {
            Error::Config { key, problem } => self.family.error_of_config(&key, &problem),
            other => other,
        })
    }

    /// The parameters in the order of the file; a tied head is not among them.
    pub fn parameters(&self) -> &[GgufParameter<'a>] {
        &self.parameters
    }
}

fn look_alike(one: &GgufTensor<'_>, other: &GgufTensor<'_>) -> bool {
    one.kind() == other.kind() && one.shape() == other.shape()
}

/// Refuses files that hold something else than a whole model.
fn refuse_parts(metadata: &GgufMetadata<'_>) -> Result<()> {
    let kind = metadata.optional_text("general.type")?.unwrap_or("model");
    if kind != "model" {
        let problem = format!("is `{}`: only a `model` can be imported", shown(kind));
        return Err(Error::gguf_key("general.type", problem));
    }
    if let Some(count) = metadata.optional_size("split.count")?.filter(|&count| count > 1) {
        let problem =
            format!("says that this is one of {count} files: merge them first (`llama-gguf-split --merge`)");
        return Err(Error::gguf_key("split.count", problem));
    }
    // The blocks had other layouts before version 2.
    match metadata.optional_size("general.quantization_version")? {
        None | Some(2) => Ok(()),
        Some(version) => {
            let problem = format!("is {version}: only version 2 of the quantised blocks is supported");
            Err(Error::gguf_key("general.quantization_version", problem))
        }
    }
}

/// How rows and columns of a tensor lie in the file, against the Hugging Face form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// In the same order.
    AsStored,
    /// With the rows of each head in another order; see [`stored_row`].
    RotaryPairs {
        /// Rows of a head.
        head_width: usize,
    },
    /// With rows as columns: GPT-2's `Conv1D` holds `[in, out]`, a GGUF file `[out, in]`.
    Transposed,
}

/// A parameter of a model under its Hugging Face name.
#[derive(Clone, Debug)]
pub struct GgufParameter<'a> {
    name: String,
    shape: Vec<usize>,
    arrangement: Arrangement,
    stored: GgufTensor<'a>,
}

impl<'a> GgufParameter<'a> {
    fn new(name: String, arrangement: Arrangement, stored: &GgufTensor<'a>) -> Result<Self> {
        let refuse = |problem: String| Err(Error::tensor(shown(stored.name()), problem));
        let mut shape = stored.shape().to_vec();
        match arrangement {
            Arrangement::AsStored => {}
            Arrangement::RotaryPairs { head_width } => {
                if shape.len() > 2 || !shape[0].is_multiple_of(head_width) || !head_width.is_multiple_of(2) {
                    return refuse(format!(
                        "has shape {shape:?}, whose rows are not in heads of {head_width} rows, an even number"
                    ));
                }
                if shape.len() == 1 && stored.kind().block_length() > 1 {
                    return refuse(format!(
                        "is a bias of type {}: only F32, F16 and BF16 are supported",
                        stored.kind()
                    ));
                }
            }
            Arrangement::Transposed => {
                if shape.len() != 2 {
                    return refuse(format!("has shape {shape:?}, where a matrix is needed"));
                }
                shape.reverse();
            }
        }
        Ok(Self {
            name,
            shape,
            arrangement,
            stored: stored.clone(),
        })
    }

    /// The same parameter with its blocks, of a file whose head alone was read.
    pub(super) fn with_data<'b>(&self, data: &'b [u8]) -> GgufParameter<'b>
    where
        'a: 'b,
    {
        GgufParameter {
            stored: self.stored.with_data(data),
            ..self.clone()
        }
    }

    /// Its Hugging Face name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Hugging Face shape: `[out, in]` for a matrix, `[in, out]` for those of GPT-2's blocks.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How its values are stored.
    pub fn kind(&self) -> TensorType {
        self.stored.kind()
    }

    /// The tensor of the file, by its own name and in its own order.
    pub fn stored(&self) -> &GgufTensor<'a> {
        &self.stored
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Never: dimensions of zero are refused.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// The blocks of a row of the Hugging Face form, as they are stored; `None` where there is no such row, or where
    /// rows are columns of the file.
    pub fn row_blocks(&self, row: usize) -> Option<&'a [u8]> {
        if row >= self.stored.rows() {
            return None;
        }
        match self.arrangement {
            Arrangement::AsStored => Some(self.stored.row(row)),
            Arrangement::RotaryPairs { head_width } if self.shape.len() == 2 => {
                Some(self.stored.row(stored_row(row, head_width)))
            }
            Arrangement::RotaryPairs { .. } | Arrangement::Transposed => None,
        }
    }

    /// The row of the file that holds one output of a matrix, whichever way its Hugging Face form is turned.
    pub(super) fn row_of_output(&self, output: usize) -> usize {
        match self.arrangement {
            Arrangement::RotaryPairs { head_width } => stored_row(output, head_width),
            Arrangement::AsStored | Arrangement::Transposed => output,
        }
    }

    /// Dequantises it to f32 in the order of its Hugging Face form.
    ///
    /// # Errors
    /// A target of another length than [`len`](Self::len), or a value that is not finite, by the file's name.
    pub fn dequantise(&self, target: &mut [f32]) -> Result<()> {
        self.stored.check_target(target)?;
        match self.arrangement {
            Arrangement::AsStored => return self.stored.dequantise(target),
            Arrangement::RotaryPairs { head_width } => self.dequantise_pairs(head_width, target),
            Arrangement::Transposed => self.dequantise_transposed(target),
        }
        self.stored.check_finite(target)
    }

    fn dequantise_pairs(&self, head_width: usize, target: &mut [f32]) {
        if self.shape.len() == 1 {
            let mut stored = vec![0.0; target.len()];
            self.stored.dequantise_row(0, &mut stored);
            for (row, value) in target.iter_mut().enumerate() {
                *value = stored[stored_row(row, head_width)];
            }
        } else {
            for (row, values) in target.chunks_exact_mut(self.stored.row_length()).enumerate() {
                self.stored.dequantise_row(stored_row(row, head_width), values);
            }
        }
    }

    fn dequantise_transposed(&self, target: &mut [f32]) {
        let mut stored = vec![0.0; self.stored.row_length()];
        let rows = self.stored.rows();
        for row in 0..rows {
            self.stored.dequantise_row(row, &mut stored);
            for (values, &value) in target.chunks_exact_mut(rows).zip(&stored) {
                values[row] = value;
            }
        }
    }
}

/// The row of the file that holds a row of the Hugging Face form, for the query and key matrices of `llama`.
///
/// A rotary embedding turns pairs of a head's `w` numbers. Hugging Face pairs number j with number j + w/2; llama.cpp
/// pairs neighbours, 2 j with 2 j + 1, in this architecture. So that both compute the same, the converter moves the
/// rows of each head (`LlamaModel.permute` in `convert_hf_to_gguf.py`):
///
/// ```text
/// weights.reshape(heads, 2, w / 2, columns).swapaxes(1, 2).reshape(heads * w, columns)
/// ```
///
/// that is, row `t w/2 + j` of a head (t = 0, 1; j < w/2) becomes its row `2 j + t`. This is the inverse look-up. The
/// scores do not change: queries and keys are moved alike, and a dot product has no order.
fn stored_row(row: usize, head_width: usize) -> usize {
    let (head, place) = (row / head_width, row % head_width);
    let (half, pair) = (place / (head_width / 2), place % (head_width / 2));
    head * head_width + 2 * pair + half
}

#[cfg(test)]
mod tests {
    use super::stored_row;

    #[test]
    fn rows_of_a_head_return_from_their_pairs() {
        let rows: Vec<usize> = (0..12).map(|row| stored_row(row, 6)).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}
