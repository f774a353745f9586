//! Values as text.
//!
//! The library does not pay for what it goes through to write, sort or compare a list, and a list that holds another
//! one twice, and that one another, is small and endless to write. Templates print texts and numbers; lists and maps
//! they write with `tojson`, which pays. What would go through values otherwise is taken out.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value, escape_formatter};

/// Filters that compare or write values of any kind.
pub(super) const WITHOUT: [&str; 9] = [
    "batch", "chain", "dictsort", "groupby", "max", "min", "pprint", "sort", "unique",
];

/// Writes what `{{ … }}` prints, `True`, `False` and `None` as Python does.
pub(super) fn format(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    check(value)?;
    let python = match value.kind() {
        ValueKind::Bool => {
            if value.is_true() {
                "True"
            } else {
                "False"
            }
        }
        ValueKind::None => "None",
        _ => return escape_formatter(output, state, value),
    };
    output.write_str(python).map_err(Error::from)
}

/// The filter `string`.
pub(super) fn string(value: &Value) -> Result<Value, Error> {
    check(value)?;
    Ok(match value.as_str() {
        Some(_) => value.clone(),
        None => Value::from(value.to_string()),
    })
}

/// The filter `join`.
pub(super) fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    separator: Option<&str>,
) -> Result<Value, Error> {
    let separator = separator.unwrap_or_default();
    let mut text = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        check(&item)?;
        let item = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
        let separator = if index == 0 { "" } else { separator };
        state.consume_fuel(1 + (item.len() + separator.len()) as u64 / 64)?;
        text.push_str(separator);
        text.push_str(&item);
    }
    Ok(Value::from(text))
}

fn check(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Plain => {
            let problem = format!("a {} cannot be written as text: use `tojson`", value.kind());
            Err(Error::new(ErrorKind::InvalidOperation, problem))
        }
        _ => Ok(()),
    }
}
