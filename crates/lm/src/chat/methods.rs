//! Methods of Python's strings and dictionaries, which templates call, from `minijinja-contrib`; each is paid for
//! before it works, since what it makes can be far larger than what it is given.

use minijinja::{Error, ErrorKind, State, Value, value::ValueKind};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::operators::check_argument;

/// Bytes that one unit of fuel pays for.
const BYTES_PER_FUEL: usize = 64;

/// Calls a method that the value itself does not have.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => unknown_method_callback(state, value, method, arguments),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if method != "join" {
                for argument in arguments {
                    check_argument(argument)?;
                }
            }
            let argument = |index: usize| arguments.get(index).and_then(Value::as_str);
            let bytes = match method {
                // The filter pays for what it makes.
                "join" => {
                    let given = arguments.first().cloned().unwrap_or_default();
                    return state.apply_filter("join", &[given, value.clone()]);
                }
                "replace" => {
                    let (old, new) = (argument(0).unwrap_or_default(), argument(1).unwrap_or_default());
                    let places = text.matches(old).count();
                    text.len().saturating_add(places.saturating_mul(new.len()))
                }
                "split" | "splitlines" => {
                    text.len() + parts(text, argument(0)).saturating_mul(BYTES_PER_FUEL)
                }
                "strip" | "lstrip" | "rstrip" => text
                    .len()
                    .saturating_mul(argument(0).map_or(1, |set| set.len().max(1))),
                "startswith" | "endswith" if argument(0).is_none() => return Err(unknown(method)),
                "format" => return Err(unknown(method)),
                // Letters may have upper forms of three characters.
                _ => text.len().saturating_mul(3),
            };
            state.consume_fuel((bytes / BYTES_PER_FUEL) as u64 + 1)?;
            unknown_method_callback(state, value, method, arguments)
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn parts(text: &str, separator: Option<&str>) -> usize {
    match separator {
        Some(separator) => text.matches(separator).count() + 1,
        None => text.split_whitespace().count() + text.lines().count(),
    }
}

fn unknown(method: &str) -> Error {
    Error::new(
        ErrorKind::UnknownMethod,
        format!("`{method}` of a text is not supported with these arguments"),
    )
}
