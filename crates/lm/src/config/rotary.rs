//! Rotary positions (Su et al., arXiv 2104.09864): their frequencies, and the ways to stretch them to longer contexts.

use std::f64::consts::PI;

use serde_json::{Map, Value, json};

use super::json::{given, number_if_given, size_if_given, truth};
use crate::error::{Error, Result};

const MAXIMUM_THETA: f64 = 1e12;
const MAXIMUM_FACTOR: f64 = 1e6;

/// Rotary positions: pair i of a head of width d turns by position × theta^(−2i/d), with the two halves of a head as
/// pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// The base of the frequencies.
    pub theta: f64,
    /// How the frequencies are changed for longer contexts.
    pub scaling: RotaryScaling,
}

/// How the frequencies of rotary positions are changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RotaryScaling {
    /// Not at all.
    None,
    /// All divided by a factor (Chen et al., arXiv 2306.15595).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1's: low frequencies are divided by a factor, high ones kept, and those between interpolated.
    Llama3 {
        /// The factor.
        factor: f64,
        /// `original_context` / this is the wavelength above which a frequency is low.
        low_frequency_factor: f64,
        /// `original_context` / this is the wavelength below which a frequency is high.
        high_frequency_factor: f64,
        /// Context of the pre-training.
        original_context: usize,
    },
    /// YaRN (Peng et al., arXiv 2309.00071): a ramp over the pairs from kept to divided frequencies.
    Yarn {
        /// The factor.
        factor: f64,
        /// What cosines and sines are multiplied with.
        attention_factor: f64,
        /// Turns within the original context above which a frequency is kept.
        beta_fast: f64,
        /// Turns below which it is divided.
        beta_slow: f64,
        /// Context of the pre-training.
        original_context: usize,
        /// Whether the ramp begins and ends at whole pairs.
        truncate: bool,
    },
}

impl Rotary {
    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters` with both, as newer versions of `transformers` write
    /// them.
    pub(super) fn read(map: &Map<String, Value>, context: usize) -> Result<Self> {
        let (key, parameters) = match (given(map, "rope_parameters"), given(map, "rope_scaling")) {
            (Some(value), _) => ("rope_parameters", Some(value)),
            (None, value) => ("rope_scaling", value),
        };
        let empty = Map::new();
        let parameters = match parameters {
            None => &empty,
            Some(Value::Object(parameters)) => parameters,
            Some(value) => return Err(Error::config(key, format!("is {value}: it must be an object"))),
        };
        for map in [map, parameters] {
            match number_if_given(map, "partial_rotary_factor")? {
                Some(share) if share != 1.0 => {
                    let problem = format!("is {share}: only whole heads are rotated here");
                    return Err(Error::config("partial_rotary_factor", problem));
                }
                _ => {}
            }
        }
        let theta = match number_if_given(parameters, "rope_theta")? {
            Some(theta) => theta,
            None => number_if_given(map, "rope_theta")?.unwrap_or(10_000.0),
        };
        // Some files give it beside the parameters, which counts more.
        let original = "original_max_position_embeddings";
        let original_context = match size_if_given(map, original)? {
            Some(size) => size,
            None => size_if_given(parameters, original)?.unwrap_or(context),
        };
        Ok(Self {
            theta,
            scaling: RotaryScaling::read(key, parameters, original_context)?,
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        range("rope_theta", self.theta, 1.0, MAXIMUM_THETA)?;
        // Above 1, not at it: YaRN divides by its logarithm.
        if self.theta == 1.0 {
            return Err(Error::config("rope_theta", "is 1: it must be above"));
        }
        match &self.scaling {
            RotaryScaling::None => Ok(()),
            RotaryScaling::Linear { factor } => range("factor", *factor, 1.0, MAXIMUM_FACTOR),
            RotaryScaling::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            } => {
                range("factor", *factor, 1.0, MAXIMUM_FACTOR)?;
                range("low_freq_factor", *low_frequency_factor, 1e-6, MAXIMUM_FACTOR)?;
                range("high_freq_factor", *high_frequency_factor, 1e-6, MAXIMUM_FACTOR)?;
                if high_frequency_factor <= low_frequency_factor {
                    let problem = format!("is {high_frequency_factor}: it must be above `low_freq_factor`");
                    return Err(Error::config("high_freq_factor", problem));
                }
                check_original_context(*original_context)
            }
            RotaryScaling::Yarn {
                factor,
                attention_factor,
                beta_fast,
                beta_slow,
                original_context,
                ..
            } => {
                range("factor", *factor, 1.0, MAXIMUM_FACTOR)?;
                range("attention_factor", *attention_factor, 1e-6, MAXIMUM_FACTOR)?;
                range("beta_fast", *beta_fast, 1e-6, MAXIMUM_FACTOR)?;
                range("beta_slow", *beta_slow, 1e-6, MAXIMUM_FACTOR)?;
                check_original_context(*original_context)
            }
        }
    }

    /// What a position is multiplied with for the angle of each of a head's pairs, in f64 and by `libm` alone.
    pub(crate) fn frequencies(&self, head_width: usize) -> Vec<f64> {
        let width = head_width as f64;
        let plain = (0..head_width / 2).map(|pair| 1.0 / libm::pow(self.theta, 2.0 * pair as f64 / width));
        match &self.scaling {
            RotaryScaling::None => plain.collect(),
            RotaryScaling::Linear { factor } => plain.map(|frequency| frequency / factor).collect(),
            RotaryScaling::Llama3 {
                factor,
                low_frequency_factor: low,
                high_frequency_factor: high,
                original_context,
            } => plain
                .map(|frequency| {
                    // How often the pair turns within the original context.
                    let turns = *original_context as f64 * frequency / (2.0 * PI);
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * frequency / factor + kept * frequency
                })
                .collect(),
            RotaryScaling::Yarn { factor, .. } => {
                let [first, last] = self.ramp(width);
                plain
                    .enumerate()
                    .map(|(pair, frequency)| {
                        let divided = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                        divided * frequency / factor + (1.0 - divided) * frequency
                    })
                    .collect()
            }
        }
    }

    /// What cosines and sines are multiplied with.
    pub(crate) fn attention_factor(&self) -> f64 {
        match self.scaling {
            RotaryScaling::Yarn { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }

    /// The pairs between which YaRN goes from kept to divided frequencies.
    fn ramp(&self, width: f64) -> [f64; 2] {
        let RotaryScaling::Yarn {
            beta_fast,
            beta_slow,
            original_context,
            truncate,
            ..
        } = self.scaling
        else {
            return [0.0, 1.0];
        };
        // The pair that makes so many turns within the original context.
        let pair = |turns: f64| {
            width * libm::log(original_context as f64 / (turns * 2.0 * PI)) / (2.0 * libm::log(self.theta))
        };
        let (mut first, mut last) = (pair(beta_fast), pair(beta_slow));
        if truncate {
            (first, last) = (libm::floor(first), libm::ceil(last));
        }
        (first, last) = (first.max(0.0), last.min(width - 1.0));
        // As in `transformers`: a ramp of no length becomes a step.
        [first, if first == last { last + 0.001 } else { last }]
    }
}

impl RotaryScaling {
    /// `key` is where the parameters stand.
    fn read(key: &str, parameters: &Map<String, Value>, original_context: usize) -> Result<Self> {
        let kind = given(parameters, "rope_type").or(given(parameters, "type"));
        let needed = |name: &'static str| {
            number_if_given(parameters, name)?
                .ok_or_else(|| Error::config(name, format!("is missing in `{key}`")))
        };
        match kind.map_or(Some("default"), Value::as_str) {
            Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear {
                factor: needed("factor")?,
            }),
            Some("llama3") => Ok(Self::Llama3 {
                factor: needed("factor")?,
                low_frequency_factor: needed("low_freq_factor")?,
                high_frequency_factor: needed("high_freq_factor")?,
                original_context,
            }),
            Some("yarn") => {
                let factor = needed("factor")?;
                Ok(Self::Yarn {
                    factor,
                    attention_factor: attention_factor(parameters, factor)?,
                    beta_fast: number_if_given(parameters, "beta_fast")?.unwrap_or(32.0),
                    beta_slow: number_if_given(parameters, "beta_slow")?.unwrap_or(1.0),
                    original_context,
                    truncate: truth(parameters, "truncate", true)?,
                })
            }
            Some("dynamic") => Err(Error::config(
                key,
                "is of type `dynamic`, which changes the angles of what was read as the text grows, so that no keys \
                 could be kept: only `linear`, `llama3` and `yarn` are supported",
            )),
            _ => Err(Error::config(
                key,
                format!(
                    "is of type {}: only `default`, `linear`, `llama3` and `yarn` are supported",
                    kind.unwrap_or(&Value::Null)
                ),
            )),
        }
    }

    /// As `rope_scaling` holds it.
    pub(super) fn write(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Linear { factor } => Some(json!({ "rope_type": "linear", "factor": factor })),
            Self::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            } => Some(json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_frequency_factor,
                "high_freq_factor": high_frequency_factor,
                "original_max_position_embeddings": original_context,
            })),
            Self::Yarn {
                factor,
                attention_factor,
                beta_fast,
                beta_slow,
                original_context,
                truncate,
            } => Some(json!({
                "rope_type": "yarn",
                "factor": factor,
                "attention_factor": attention_factor,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "original_max_position_embeddings": original_context,
                "truncate": truncate,
            })),
        }
    }
}

/// YaRN's factor as it is given, or as it follows from the others.
fn attention_factor(parameters: &Map<String, Value>, factor: f64) -> Result<f64> {
    let scale = |weight: f64| {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * weight * libm::log(factor) + 1.0
        }
    };
    if let Some(given) = number_if_given(parameters, "attention_factor")? {
        return Ok(given);
    }
    let weight = |key| Ok::<_, Error>(number_if_given(parameters, key)?.filter(|&weight| weight != 0.0));
    Ok(match (weight("mscale")?, weight("mscale_all_dim")?) {
        (Some(one), Some(all)) => scale(one) / scale(all),
        _ => scale(1.0),
    })
}

fn check_original_context(value: usize) -> Result<()> {
    range(
        "original_max_position_embeddings",
        value as f64,
        1.0,
        super::MAXIMUM_CONTEXT as f64,
    )
}

fn range(key: &str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(Error::config(
            key,
            format!("is {value}: it must be between {least} and {most}"),
        ))
    }
}
