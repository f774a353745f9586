//! The serialised state of a training.
//!
//! A safetensors file with three flat tensors in the canonical order of the parameters (`parameters`, `first_moment`,
//! `second_moment`) and metadata: `arithmetic` (where it is not f32), `config`, `data` (digest), `engine`, `format`,
//! `options`, `step`. The position in the order of the text follows from the seed and the step, so that no generator's
//! state is kept.

use std::collections::HashMap;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use super::options::TrainOptions;
use super::trainer::{Moments, Trainer};
use crate::arithmetic::Arithmetic;
use crate::config::Config;
use crate::data::TrainingData;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tensor_file::FileTensor;
use crate::{engine_version, tensor_file};

/// Of a training in f32.
const FORMAT: &str = "posthuman-checkpoint/1";
/// Of a training in another arithmetic, which it names.
const FORMAT_WITH_ARITHMETIC: &str = "posthuman-checkpoint/2";
const TENSORS: [&str; 3] = ["parameters", "first_moment", "second_moment"];

/// What a checkpoint holds.
pub(super) struct Saved {
    pub model: Model,
    pub options: TrainOptions,
    pub moments: Moments,
    pub step: u64,
}

pub(super) fn write(trainer: &Trainer) -> Result<Vec<u8>> {
    let options = serde_json::to_string(&trainer.options).map_err(|source| Error::Json {
        what: "the training's options",
        source,
    })?;
    let arithmetic = trainer.model.arithmetic();
    let (format, named) = match arithmetic {
        Arithmetic::F32 => (FORMAT, None),
        other => (
            FORMAT_WITH_ARITHMETIC,
            Some(("arithmetic", other.name().to_owned())),
        ),
    };
    let metadata = [
        ("config", trainer.model.config().to_json()),
        ("data", hexadecimal(&trainer.data.digest())),
        ("engine", engine_version().to_owned()),
        ("format", format.to_owned()),
        ("options", options),
        ("step", trainer.step.to_string()),
    ];
    let metadata: Vec<(&str, &str)> = named
        .iter()
        .chain(&metadata)
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let shape = [trainer.model.parameters().len()];
    let mut bytes = tensor_file::head(&metadata, &TENSORS.map(|name| FileTensor::f32(name, &shape)));
    bytes.reserve_exact(TENSORS.len() * 4 * shape[0]);
    for values in [
        trainer.model.parameters(),
        &trainer.moments.first,
        &trainer.moments.second,
    ] {
        tensor_file::push_values(&mut bytes, values);
    }
    Ok(bytes)
}

pub(super) fn read(bytes: &[u8], data: &TrainingData) -> Result<Saved> {
    let file = tensor_file::read(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|source| Error::TensorFile { source })?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let field = |key: &str| {
        metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| refusal(format!("has no `{key}`")))
    };
    let format = field("format")?;
    if ![FORMAT, FORMAT_WITH_ARITHMETIC].contains(&format) {
        return Err(refusal(format!(
            "is of format `{format}`, where this engine reads `{FORMAT}` and `{FORMAT_WITH_ARITHMETIC}`"
        )));
    }
    let engine = field("engine")?;
    if engine != engine_version() {
        let problem = format!(
            "was made by engine `{engine}`; `{}` would give other bits",
            engine_version()
        );
        return Err(refusal(problem));
    }
    if field("data")? != hexadecimal(&data.digest()) {
        return Err(refusal(
            "belongs to another text or tokenizer: resume it with the data that it was made with".to_owned(),
        ));
    }
    parts(&file, &metadata)
}

fn parts(file: &SafeTensors<'_>, metadata: &HashMap<String, String>) -> Result<Saved> {
    let text = |key: &str| metadata.get(key).map_or("", String::as_str);
    let config = Config::from_json(text("config").as_bytes())?;
    let options: TrainOptions = serde_json::from_str(text("options")).map_err(|source| Error::Json {
        what: "the checkpoint's options",
        source,
    })?;
    let step = text("step")
        .parse()
        .map_err(|_| refusal(format!("has step `{}`, which is no number", text("step"))))?;
    if step > options.steps {
        return Err(refusal(format!("is at step {step} of {}", options.steps)));
    }
    let arithmetic = metadata.get("arithmetic").map_or("f32", String::as_str);
    let count = config.parameter_count();
    let [parameters, first, second] = TENSORS.map(|name| numbers(file, name, count));
    Ok(Saved {
        model: Model::from_parameters(config, parameters?)?
            .with_arithmetic(Arithmetic::named(arithmetic)?)?,
        options,
        moments: Moments {
            first: first?,
            second: second?,
        },
        step,
    })
}

fn numbers(file: &SafeTensors<'_>, name: &str, count: usize) -> Result<Vec<f32>> {
    let view = file
        .tensor(name)
        .map_err(|_| Error::tensor(name, "is missing from the checkpoint"))?;
    if view.dtype() != Dtype::F32 || view.shape() != [count] {
        return Err(Error::tensor(
            name,
            format!("of the checkpoint is not {count} numbers of type F32"),
        ));
    }
    let (chunks, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(Error::tensor(
            name,
            "of the checkpoint holds a value that is not finite",
        ))
    }
}

fn refusal(problem: String) -> Error {
    Error::Checkpoint { problem }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
