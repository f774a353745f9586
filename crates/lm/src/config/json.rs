//! Values of a `config.json`, with refusals that name the key.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The value of a key that is there and not null.
pub(super) fn given<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

/// A whole number that must be there.
pub(super) fn size(map: &Map<String, Value>, key: &str) -> Result<usize> {
    let value = map
        .get(key)
        .ok_or_else(|| Error::config(key, "is missing: take config.json from where the model was saved"))?;
    let number = value
        .as_u64()
        .ok_or_else(|| Error::config(key, format!("is {value}: it must be a whole number")))?;
    usize::try_from(number).map_err(|_| Error::config(key, format!("is {number}: too large")))
}

/// A whole number, where one is given.
pub(super) fn size_if_given(map: &Map<String, Value>, key: &str) -> Result<Option<usize>> {
    given(map, key).map(|_| size(map, key)).transpose()
}

/// A number, where one is given.
pub(super) fn number_if_given(map: &Map<String, Value>, key: &str) -> Result<Option<f64>> {
    let number = |value: &Value| {
        value
            .as_f64()
            .ok_or_else(|| Error::config(key, format!("is {value}: it must be a number")))
    };
    given(map, key).map(number).transpose()
}

/// A truth value, `default` where none is given.
pub(super) fn truth(map: &Map<String, Value>, key: &str, default: bool) -> Result<bool> {
    match given(map, key) {
        None => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(value) => Err(Error::config(
            key,
            format!("is {value}: it must be true or false"),
        )),
    }
}

/// Refuses every key whose value is another than the one supported, which is also what its absence means.
pub(super) fn only(map: &Map<String, Value>, supported: &[(&str, Value)]) -> Result<()> {
    for (key, supported) in supported {
        match given(map, key) {
            Some(value) if value != supported => {
                return Err(Error::config(
                    *key,
                    format!("is {value}: only {supported} is supported"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The shortest decimal that reads back as the same f32, instead of all the digits of its f64.
pub(super) fn shortest(value: f32) -> f64 {
    value.to_string().parse::<f64>().unwrap_or(f64::from(value))
}
