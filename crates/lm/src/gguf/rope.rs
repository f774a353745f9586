//! How rotary frequencies are scaled: from a file's keys and its table of factors to a `rope_scaling` object.

use serde_json::{Value, json};

use super::GgufFile;
use super::families::decimal;
use super::metadata::shown;
use super::model::ROPE_TABLE as TABLE;
use crate::error::{Error, Result};

/// The constants that every Llama 3 has; only `factor` and the original context differ.
const LOW_FREQUENCY_FACTOR: f64 = 1.0;
const HIGH_FREQUENCY_FACTOR: f64 = 4.0;
/// Tables are computed in 32 bits by converters, with errors far below this part of a value.
const TOLERANCE: f64 = 1e-4;

/// The `rope_scaling` of a model, or none. `theta` is the base of the frequencies, `width` that of a head.
pub(super) fn scaling(file: &GgufFile<'_>, name: &str, theta: f32, width: usize) -> Result<Option<Value>> {
    let metadata = file.metadata();
    let key = |part: &str| format!("{name}.rope.scaling.{part}");
    // llama.cpp takes a factor without a type as linear; 0 stands for none, as does a factor of 1.
    let kind = metadata.optional_text(&key("type"))?.unwrap_or("linear");
    let factor = match metadata.optional_number(&key("factor"))? {
        Some(factor) => Some(factor),
        None => metadata.optional_number(&format!("{name}.rope.scale_linear"))?,
    };
    let factor = factor.filter(|&factor| factor != 0.0 && factor != 1.0);
    if factor.is_some_and(|factor| factor < 1.0) {
        return Err(Error::gguf_key(
            key("factor"),
            "is below 1: contexts can only be stretched",
        ));
    }
    let original = metadata.optional_size(&key("original_context_length"))?;
    let scaled = match (kind, factor) {
        ("none", _) | ("linear" | "yarn", None) => None,
        ("linear", Some(factor)) => Some(json!({"rope_type": "linear", "factor": decimal(factor)})),
        ("yarn", Some(factor)) => Some(yarn(file, name, factor, original)?),
        (other, _) => {
            let problem = format!("is `{}`: `none`, `linear` and `yarn` are supported", shown(other));
            return Err(Error::gguf_key(key("type"), problem));
        }
    };
    match (table(file, width)?, scaled) {
        (None, scaled) => Ok(scaled),
        (Some(factors), None) => recognise(&factors, f64::from(theta), original),
        (Some(_), Some(_)) => Err(Error::tensor(
            TABLE,
            format!("scales frequencies that key `{}` scales already", key("type")),
        )),
    }
}

fn yarn(file: &GgufFile<'_>, name: &str, factor: f32, original: Option<usize>) -> Result<Value> {
    let key = |part: &str| format!("{name}.rope.scaling.{part}");
    let number = |part: &str| file.metadata().optional_number(&key(part));
    for part in ["yarn_ext_factor", "yarn_attn_factor"] {
        if number(part)?.is_some_and(|number| number != 1.0) {
            return Err(Error::gguf_key(key(part), "is not 1: only 1 is supported"));
        }
    }
    let Some(original) = original else {
        return Err(Error::gguf_key(
            key("original_context_length"),
            "is missing: `yarn` needs it",
        ));
    };
    let mut scaling = json!({
        "rope_type": "yarn",
        "factor": decimal(factor),
        "original_max_position_embeddings": original,
    });
    for (part, option) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
        if let Some(beta) = number(part)? {
            scaling[option] = decimal(beta);
        }
    }
    Ok(scaling)
}

/// The factors by which each frequency of a head is divided; none where the table's data were not read.
fn table(file: &GgufFile<'_>, width: usize) -> Result<Option<Vec<f32>>> {
    let Some(tensor) = file.tensor(TABLE) else {
        return Ok(None);
    };
    if tensor.len() != width / 2 {
        let problem = format!(
            "has {} factors, for heads with {} frequencies",
            tensor.len(),
            width / 2
        );
        return Err(Error::tensor(TABLE, problem));
    }
    if tensor.data().is_empty() {
        return Ok(None);
    }
    let mut factors = vec![0.0; tensor.len()];
    tensor.dequantise(&mut factors)?;
    Ok(Some(factors))
}

/// Finds the options of Llama 3's scaling that give a table.
///
/// The table holds no options, only their result; but the formula has few that are in use. The lowest frequencies are
/// divided by `factor` itself, so it is the last entry; the original context is a power of two.
fn recognise(factors: &[f32], theta: f64, original: Option<usize>) -> Result<Option<Value>> {
    if factors.iter().all(|&factor| factor == 1.0) {
        return Ok(None);
    }
    let last = factors.last().copied().unwrap_or(1.0);
    // 8192 first, which every Llama 3 has: where a small head leaves several possible, they are equivalent.
    let contexts = original
        .into_iter()
        .chain([8192])
        .chain((10..=17).map(|power| 1 << power));
    for context in contexts {
        let expected = llama3(factors.len(), theta, f64::from(last), context as f64);
        let near =
            |(&factor, expected): (&f32, f64)| (f64::from(factor) - expected).abs() <= TOLERANCE * expected;
        if factors.iter().zip(expected).all(near) {
            return Ok(Some(json!({
                "rope_type": "llama3",
                "factor": decimal(last),
                "low_freq_factor": LOW_FREQUENCY_FACTOR,
                "high_freq_factor": HIGH_FREQUENCY_FACTOR,
                "original_max_position_embeddings": context,
            })));
        }
    }
    Err(Error::tensor(
        TABLE,
        "scales frequencies by another formula than Llama 3's, which is the only table supported",
    ))
}

/// Llama 3's factors, as its converter computes them: wavelengths above the original context are divided by `factor`,
/// those below a quarter of it stay, and between them the two are blended.
fn llama3(count: usize, theta: f64, factor: f64, context: f64) -> impl Iterator<Item = f64> {
    (0..count).map(move |index| {
        let frequency = libm::pow(theta, -(index as f64) / count as f64);
        let turns = context * frequency / std::f64::consts::TAU;
        if turns > HIGH_FREQUENCY_FACTOR {
            1.0
        } else if turns < LOW_FREQUENCY_FACTOR {
            factor
        } else {
            let smooth = (turns - LOW_FREQUENCY_FACTOR) / (HIGH_FREQUENCY_FACTOR - LOW_FREQUENCY_FACTOR);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a converter computes it: by wavelengths, frequencies in 32 bits.
    fn table(theta: f32, width: usize, factor: f32, context: f32) -> Vec<f32> {
        let factors = (0..width).step_by(2).map(|index| {
            let frequency = 1.0 / libm::powf(theta, index as f32 / width as f32);
            let length = std::f32::consts::TAU / frequency;
            let smooth = (context / length - 1.0) / 3.0;
            match length {
                short if short < context / 4.0 => 1.0,
                long if long > context => factor,
                _ => 1.0 / ((1.0 - smooth) / factor + smooth),
            }
        });
        factors.collect()
    }

    #[test]
    fn the_tables_of_llama_3_are_recognised() {
        // Llama 3.1 and 3.3; 3.2 with 1 and 3 billion parameters; a context that is not theirs.
        for (width, factor, context) in [
            (128, 8.0, 8192),
            (64, 32.0, 8192),
            (128, 32.0, 8192),
            (96, 3.5, 4096),
        ] {
            let table = table(500_000.0, width, factor, context as f32);
            let found = recognise(&table, 500_000.0, None).unwrap().unwrap();
            let expected = json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": context,
            });
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_table_with_one_factor_changed_is_none_of_llama_3() {
        let good = table(500_000.0, 128, 8.0, 8192.0);
        for index in 0..good.len() {
            let mut table = good.clone();
            table[index] *= 1.01;
            assert!(recognise(&table, 500_000.0, None).is_err(), "{index}");
        }
    }
}
