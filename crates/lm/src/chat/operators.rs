//! Operators and filters that work on texts and numbers only.
//!
//! The library pays for a list that is made, but not in full for one that is compared or written: a list that holds
//! another one twice, and that one another, is small and endless to go through, and a namespace that holds itself has
//! no end at all. So whatever would go through a list or a map says no. For operators there is no hook: their
//! instructions are replaced, one by one, by calls of filters of our own.

use minijinja::machinery::{self, Instruction, Instructions, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

use super::values::{check, text};

/// No place in the library's cache of filters.
const NOT_CACHED: u8 = !0;

/// Refuses lists that are repeated: constants are computed while a template is read, where nothing pays for a list of
/// a hundred million items.
pub(super) fn check_constants(source: &str, syntax: SyntaxConfig) -> Result<(), Error> {
    let mut before_is_bracket = false;
    let mut before_is_times = false;
    for token in machinery::tokenize(source, false, syntax) {
        let (token, span) = token?;
        let opens = matches!(token, Token::BracketOpen | Token::ParenOpen);
        let is_times = matches!(token, Token::Mul);
        if (before_is_times && opens) || (before_is_bracket && is_times) {
            let line = span.start_line;
            let problem =
                format!("line {line}: `*` beside a bracket is not supported: it could repeat a list");
            return Err(Error::new(ErrorKind::SyntaxError, problem));
        }
        before_is_times = is_times;
        before_is_bracket = matches!(token, Token::BracketClose | Token::ParenClose);
    }
    Ok(())
}

/// A template's program with its comparing and joining operators replaced.
pub(super) fn checked<'source>(program: &Instructions<'source>) -> Result<Instructions<'source>, Error> {
    let mut checked = Instructions::new(program.name(), program.source());
    for index in 0.. {
        let Some(instruction) = program.get(index) else {
            break;
        };
        let line = program.get_line(index).unwrap_or_default();
        let (name, count) = match instruction {
            Instruction::StringConcat => ("operator_concat", 2),
            Instruction::Eq => ("operator_eq", 2),
            Instruction::Ne => ("operator_ne", 2),
            Instruction::Lt => ("operator_lt", 2),
            Instruction::Lte => ("operator_le", 2),
            Instruction::Gt => ("operator_gt", 2),
            Instruction::Gte => ("operator_ge", 2),
            Instruction::In => ("operator_in", 2),
            Instruction::BuildMap(pairs) => ("operator_map", pairs.saturating_mul(2)),
            Instruction::CompareAndPreserve(_) => {
                let problem =
                    format!("line {line}: chained comparisons are not supported: join two with `and`");
                return Err(Error::new(ErrorKind::SyntaxError, problem));
            }
            Instruction::CallMethod("changed", _) => {
                let problem = format!("line {line}: `changed` is not supported");
                return Err(Error::new(ErrorKind::SyntaxError, problem));
            }
            _ => {
                checked.add_with_line(instruction.clone(), line as u16);
                continue;
            }
        };
        let count = u16::try_from(count).map_err(|_| {
            Error::new(
                ErrorKind::SyntaxError,
                format!("line {line}: a map has too many keys"),
            )
        })?;
        checked.add_with_line(
            Instruction::ApplyFilter(name, Some(count), NOT_CACHED),
            line as u16,
        );
    }
    Ok(checked)
}

/// Adds the filters that stand for operators, and puts a check before those that write or compare values.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("operator_concat", |one: &Value, other: &Value| {
        Ok::<Value, Error>(Value::from(text(one)? + &text(other)?))
    });
    environment.add_filter("operator_map", |items: Rest<Value>| {
        let (pairs, _) = items.as_chunks::<2>();
        pairs.iter().try_for_each(|[key, _]| check(key))?;
        let pairs = pairs.iter().map(|[key, value]| (key.clone(), value.clone()));
        Ok::<Value, Error>(Value::from_pairs(pairs))
    });
    environment.add_filter("operator_in", contains);
    environment.add_test("in", contains);
    type Compare = fn(&Value, &Value) -> bool;
    let comparisons: [(&[&'static str], Compare); 6] = [
        (&["eq", "equalto", "=="], |one, other| one == other),
        (&["ne", "!="], |one, other| one != other),
        (&["lt", "lessthan", "<"], |one, other| one < other),
        (&["le", "<="], |one, other| one <= other),
        (&["gt", "greaterthan", ">"], |one, other| one > other),
        (&["ge", ">="], |one, other| one >= other),
    ];
    for (names, compare) in comparisons {
        let compare = move |one: &Value, other: &Value| {
            comparable(one, other)?;
            Ok::<bool, Error>(compare(one, other))
        };
        environment.add_filter(format!("operator_{}", names[0]), compare);
        for &name in names {
            environment.add_test(name, compare);
        }
    }
    install_checked_filters(environment);
}

/// The library's filters on texts and numbers, with a check before each.
fn install_checked_filters(environment: &mut Environment<'_>) {
    for (name, filter) in [
        ("capitalize", Value::from_function(filters::capitalize)),
        ("format", Value::from_function(filters::format)),
        ("indent", Value::from_function(filters::indent)),
        ("int", Value::from_function(filters::int)),
        ("float", Value::from_function(filters::float)),
        ("lines", Value::from_function(filters::lines)),
        ("lower", Value::from_function(filters::lower)),
        ("replace", Value::from_function(filters::replace)),
        ("safe", Value::from_function(filters::safe)),
        ("split", Value::from_function(filters::split)),
        ("title", Value::from_function(filters::title)),
        ("trim", Value::from_function(filters::trim)),
        ("upper", Value::from_function(filters::upper)),
    ] {
        environment.add_filter(name, move |state: &mut State<'_, '_>, arguments: Rest<Value>| {
            let mut widest = 0;
            for argument in arguments.iter().skip(1) {
                widest = widest.max(check_argument(argument)?);
            }
            if let Some(first) = arguments.first() {
                check(first)?;
                if name == "indent" {
                    // The one filter that does not pay beforehand for what it makes.
                    let lines = first.as_str().map_or(1, |text| text.lines().count() + 1);
                    state.consume_fuel(1 + (lines as u64).saturating_mul(widest) / 64)?;
                }
            }
            filter.call(state, &arguments)
        });
    }
}

/// Checks that an argument is a text or a number; named ones come in a map. Gives the largest number or length.
pub(super) fn check_argument(argument: &Value) -> Result<u64, Error> {
    let size = |value: &Value| {
        check(value)?;
        let length = value.as_str().map(|text| text.len() as u64);
        Ok(length
            .or_else(|| value.as_usize().map(|count| count as u64))
            .unwrap_or(0))
    };
    if !argument.is_kwargs() {
        return size(argument);
    }
    let mut largest = 0;
    for name in argument.try_iter()? {
        largest = largest.max(size(&argument.get_item(&name)?)?);
    }
    Ok(largest)
}

/// Two values of which at most one is a list or a map compare at once.
fn comparable(one: &Value, other: &Value) -> Result<(), Error> {
    check(one).or_else(|_| check(other))
}

/// Whether a text holds a text, a list an item or a map a key.
fn contains(state: &State<'_, '_>, item: &Value, container: &Value) -> Result<bool, Error> {
    check(item)?;
    if container.is_undefined() {
        return Ok(false);
    }
    if let Some(text) = container.as_str() {
        state.consume_fuel(1 + text.len() as u64 / 64)?;
        return Ok(text.contains(&self::text(item)?));
    }
    if container.kind() == minijinja::value::ValueKind::Map {
        return Ok(!container.get_item(item)?.is_undefined());
    }
    for candidate in container.try_iter()? {
        let size = candidate.as_str().map_or(0, str::len) as u64;
        state.consume_fuel(1 + size / 64)?;
        if candidate == *item {
            return Ok(true);
        }
    }
    Ok(false)
}
