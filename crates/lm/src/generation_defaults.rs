//! How a model's maker advises to generate: `generation_config.json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::sampling::Sampling;

const FILE: &str = "generation_config.json";
const MAXIMUM_TOKENS: usize = 1 << 20;
/// `transformers` keeps that many candidates where a sampling model's file does not say.
const USUAL_TOP_K: usize = 50;

/// Keys that do not say how to generate, or are read elsewhere.
const NOT_ADVICE: [&str; 6] = [
    "_from_model_config",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "transformers_version",
    "use_cache",
];

/// What a model's maker advises, used where a buyer asks for nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationDefaults {
    /// Keys of the file, sorted, that would change a generation and that this engine does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// [`Sampling::maximum_tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_tokens: Option<usize>,
    /// [`Sampling::temperature`]; 0 where the file does not ask for `do_sample`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// [`Sampling::top_k`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// [`Sampling::top_p`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
}

impl GenerationDefaults {
    /// Reads a `generation_config.json` as `transformers` means it: without `do_sample` text is generated greedily;
    /// with it, temperature and `top_p` are 1 and `top_k` is 50 unless the file says otherwise.
    ///
    /// # Errors
    /// Bytes that are no JSON object, or a number out of its range, by its key.
    pub fn from_generation_config(json: &[u8]) -> Result<Self> {
        let map: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|source| Error::file(FILE, format!("is no JSON object: {source}")))?;
        let temperature = number(&map, "temperature")?;
        let top_p = number(&map, "top_p")?;
        let top_k = count(&map, "top_k")?;
        let sample = match given(&map, "do_sample") {
            None => None,
            Some(Value::Bool(sample)) => Some(*sample),
            Some(other) => {
                return Err(wrong(
                    "do_sample",
                    format!("is {other}: it must be true or false"),
                ));
            }
        };
        let silent = sample.is_none() && temperature.is_none() && top_p.is_none() && top_k.is_none();
        let mut defaults = Self {
            ignored: ignored(&map),
            maximum_tokens: count(&map, "max_new_tokens")?,
            ..Self::default()
        };
        if sample == Some(true) {
            defaults.temperature = Some(temperature.unwrap_or(1.0));
            defaults.top_k = Some(top_k.unwrap_or(USUAL_TOP_K));
            defaults.top_p = Some(top_p.unwrap_or(1.0));
        } else if !silent {
            defaults.temperature = Some(0.0);
        }
        defaults
            .check()
            .map_err(|error| Error::file(FILE, format!("asks for what cannot be done: {error}")))?;
        Ok(defaults)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub(crate) fn from_json(json: &str) -> Result<Self> {
        let defaults: Self = serde_json::from_str(json).map_err(|source| Error::Json {
            what: "the bundle's generation defaults",
            source,
        })?;
        defaults.check()?;
        Ok(defaults)
    }

    /// The same defaults give the same text.
    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| Error::Json {
            what: "the bundle's generation defaults",
            source,
        })
    }

    /// Whether nothing is advised.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The options of a generation for which nothing was asked.
    pub fn sampling(&self) -> Sampling {
        let usual = Sampling::default();
        Sampling {
            temperature: self.temperature.unwrap_or(usual.temperature),
            top_k: self.top_k.unwrap_or(usual.top_k),
            top_p: self.top_p.unwrap_or(usual.top_p),
            maximum_tokens: self.maximum_tokens.unwrap_or(usual.maximum_tokens),
            ..usual
        }
    }

    fn check(&self) -> Result<()> {
        if self.maximum_tokens.is_some_and(|count| count > MAXIMUM_TOKENS) {
            let problem = format!("is above {MAXIMUM_TOKENS}");
            return Err(Error::options("maximum_tokens", problem));
        }
        self.sampling().check()
    }
}

fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn number(map: &Map<String, Value>, key: &str) -> Result<Option<f64>> {
    given(map, key)
        .map(|value| {
            value
                .as_f64()
                .ok_or_else(|| wrong(key, format!("is {value}: it must be a number")))
        })
        .transpose()
}

fn count(map: &Map<String, Value>, key: &str) -> Result<Option<usize>> {
    given(map, key)
        .map(|value| {
            value
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .ok_or_else(|| wrong(key, format!("is {value}: it must be a whole number")))
        })
        .transpose()
}

fn wrong(key: &str, problem: String) -> Error {
    Error::file(FILE, format!("key `{key}` {problem}"))
}

fn ignored(map: &Map<String, Value>) -> Vec<String> {
    const KNOWN: [&str; 5] = ["do_sample", "max_new_tokens", "temperature", "top_k", "top_p"];
    let mut ignored: Vec<String> = map
        .iter()
        .filter(|(key, value)| {
            let known = KNOWN.contains(&key.as_str()) || NOT_ADVICE.contains(&key.as_str());
            !known && !is_neutral(key, value)
        })
        .map(|(key, _)| key.clone())
        .collect();
    ignored.sort();
    ignored
}

/// Values that ask for nothing: switched off, or the factor 1.
fn is_neutral(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => {
            let neutral = if key.ends_with("_penalty") || key.starts_with("num_") || key == "typical_p" {
                1.0
            } else {
                0.0
            };
            number.as_f64() == Some(neutral)
        }
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}
