//! Values as text.
//!
//! Templates print texts and numbers; lists and maps they write with `tojson`, which pays for what it goes through.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Filters that compare or write values of any kind, and are not worth a check.
pub(super) const WITHOUT: [&str; 15] = [
    "abs", "batch", "chain", "dictsort", "e", "escape", "groupby", "max", "min", "pprint", "round", "slice",
    "sort", "sum", "unique",
];

/// Writes what `{{ … }}` prints.
pub(super) fn format(output: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    output.write_str(&text(value)?).map_err(Error::from)
}

/// The filter `string`.
pub(super) fn string(value: &Value) -> Result<Value, Error> {
    text(value).map(Value::from)
}

/// The filter `join`.
pub(super) fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    separator: Option<&str>,
) -> Result<Value, Error> {
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        let item = text(&item)?;
        let separator = if index == 0 { "" } else { separator };
        state.consume_fuel(1 + (item.len() + separator.len()) as u64 / 64)?;
        joined.push_str(separator);
        joined.push_str(&item);
    }
    Ok(Value::from(joined))
}

/// A value as text: `True`, `False` and `None` as in Python.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    check(value)?;
    Ok(match value.kind() {
        ValueKind::Bool if value.is_true() => "True".to_owned(),
        ValueKind::Bool => "False".to_owned(),
        ValueKind::None => "None".to_owned(),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    })
}

/// Refuses what would have to be gone through.
pub(super) fn check(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Plain => {
            let problem = format!(
                "a {} is used as a text or a number: use `tojson` to write it",
                value.kind()
            );
            Err(Error::new(ErrorKind::InvalidOperation, problem))
        }
        _ => Ok(()),
    }
}
