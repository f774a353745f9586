//! The filter `tojson` as `transformers` defines it: Python's `json.dumps` with `ensure_ascii=False`.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

const MAXIMUM_DEPTH: usize = 64;
const MAXIMUM_INDENT: usize = 16;

/// Writes a value as JSON. Every value is paid for as it is written, since one that is held once may be found in many
/// places.
pub(super) fn to_json(state: &mut State<'_, '_>, value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    kwargs.assert_all_used()?;
    if indent.is_some_and(|indent| indent > MAXIMUM_INDENT) {
        return Err(wrong("is asked for too wide an indent"));
    }
    let mut text = String::new();
    write(state, &mut text, value, indent, 0)?;
    Ok(text)
}

fn write(
    state: &State<'_, '_>,
    text: &mut String,
    value: &Value,
    indent: Option<usize>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAXIMUM_DEPTH {
        return Err(wrong("meets a value that is nested too deeply"));
    }
    let size = value.as_str().map_or(0, str::len) + indent.unwrap_or(0) * depth;
    state.consume_fuel(1 + size as u64 / 16)?;
    match value.kind() {
        ValueKind::None => text.push_str("null"),
        ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => text.push_str(&value.to_string()),
        ValueKind::String => text.push_str(&quoted(value.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?;
            write_all(
                state,
                text,
                ['[', ']'],
                items.map(|item| (None, item)),
                indent,
                depth,
            )?;
        }
        ValueKind::Map => {
            let pairs = value.try_iter()?.map(|key| {
                let item = value.get_item(&key).unwrap_or_default();
                (Some(key), item)
            });
            write_all(state, text, ['{', '}'], pairs, indent, depth)?;
        }
        kind => return Err(wrong(&format!("meets a value of type {kind}"))),
    }
    Ok(())
}

fn write_all(
    state: &State<'_, '_>,
    text: &mut String,
    brackets: [char; 2],
    items: impl Iterator<Item = (Option<Value>, Value)>,
    indent: Option<usize>,
    depth: usize,
) -> Result<(), Error> {
    let line = |text: &mut String, depth: usize| {
        if let Some(indent) = indent {
            text.push('\n');
            text.push_str(&" ".repeat(indent * depth));
        }
    };
    text.push(brackets[0]);
    let mut empty = true;
    for (key, item) in items {
        if !empty {
            text.push_str(if indent.is_some() { "," } else { ", " });
        }
        empty = false;
        line(text, depth + 1);
        if let Some(key) = key {
            text.push_str(&quoted(&key.to_string()));
            text.push_str(": ");
        }
        write(state, text, &item, indent, depth + 1)?;
    }
    if !empty {
        line(text, depth);
    }
    text.push(brackets[1]);
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("`tojson` {problem}"))
}
