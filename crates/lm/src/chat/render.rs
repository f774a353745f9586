//! Running a template.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::machinery::{self, Instructions};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error as TemplateError, ErrorKind, UndefinedBehavior, Value};

use super::{ChatOptions, Message, json, methods, operators, values};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Work for any conversation: an instruction costs 1, and so do 64 bytes that are made or looked at. It bounds time
/// and memory: a template can make 64 bytes for each unit.
const BASE_FUEL: u64 = 500_000;
/// Bytes of messages for which another unit is given.
const BYTES_PER_FUEL: u64 = 2;
/// Macros and loops inside each other.
const MAXIMUM_DEPTH: usize = 100;
/// Stack of the thread that runs a template. A value can be nested as deeply as the fuel allows, and the library goes
/// through it level by level when it lets it go.
const STACK: usize = 1 << 28;

/// Checks that a template parses.
pub(super) fn check(source: &str) -> Result<()> {
    with_stack(|| {
        let source = without_generation_tags(source);
        let environment = environment(0, None)?;
        program(&environment, &source).map(|_| ())
    })
}

/// The checked program of a template.
fn program<'e>(environment: &'e Environment<'e>, source: &'e str) -> Result<Instructions<'e>> {
    operators::check_constants(source, environment.syntax().clone())
        .and_then(|()| environment.template_from_str(source))
        .and_then(|template| operators::checked(&machinery::get_compiled_template(&template).instructions))
        .map_err(|error| failed("does not parse", &error))
}

/// Renders messages with these contents instead of their own.
pub(super) fn render(
    source: &str,
    tokenizer: &Tokenizer,
    messages: &[Message],
    contents: &[&str],
    options: &ChatOptions,
) -> Result<String> {
    if let Some(date) = options.date.filter(|date| !date.is_valid()) {
        return Err(Error::options(
            "date",
            format!("is {date:?}: there is no such day"),
        ));
    }
    let name = |token: Option<u32>| {
        let bytes = tokenizer.token_bytes(token?)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let (bos, eos) = (name(tokenizer.bos_token()), name(tokenizer.end_of_text()));
    let bytes: u64 = contents.iter().map(|content| content.len() as u64).sum();
    with_stack(|| {
        let source = without_generation_tags(source);
        let environment = environment(bytes, Some(options))?;
        let program = program(&environment, &source)?;
        let turn = |(message, content): (&Message, &&str)| {
            Value::from_pairs([("role", message.role.name()), ("content", content)])
        };
        let messages: Vec<Value> = messages.iter().zip(contents).map(turn).collect();
        let mut context = vec![
            ("messages", Value::from(messages)),
            (
                "add_generation_prompt",
                Value::from(options.add_generation_prompt),
            ),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ];
        context.extend(bos.map(|name| ("bos_token", Value::from(name))));
        context.extend(eos.map(|name| ("eos_token", Value::from(name))));
        let (mut text, blocks) = (String::new(), BTreeMap::new());
        let mut output = machinery::make_string_output(&mut text);
        let context = Value::from_pairs(context);
        machinery::eval(
            &environment,
            &program,
            context,
            &blocks,
            &mut output,
            AutoEscape::None,
        )
        .map(|_| ())
        .map_err(|error| failed("fails", &error))?;
        Ok(text)
    })
}

/// An environment like that of `transformers`.
fn environment(bytes: u64, options: Option<&ChatOptions>) -> Result<Environment<'static>> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(|error| Error::Bug {
            problem: format!("the template syntax is refused: {error}"),
        })?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_recursion_limit(MAXIMUM_DEPTH);
    environment.set_fuel(Some(BASE_FUEL + bytes / BYTES_PER_FUEL));
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(values::format);
    operators::install(&mut environment);
    environment.add_filter("tojson", json::to_json);
    environment.add_filter("string", values::string);
    environment.add_filter("join", values::join);
    for name in values::WITHOUT {
        environment.remove_filter(name);
    }
    environment.add_function("raise_exception", |message: &Value| {
        values::check(message)?;
        Err::<Value, _>(TemplateError::new(
            ErrorKind::InvalidOperation,
            message.to_string(),
        ))
    });
    // Templates ask whether it is defined, and have a day of their own where it is not.
    if let Some(date) = options.and_then(|options| options.date) {
        environment.add_function("strftime_now", move |pattern: &Value| {
            let pattern = pattern.as_str().unwrap_or("%");
            date.format(pattern).ok_or_else(|| {
                let problem = format!("`strftime_now` does not know the format `{pattern}`");
                TemplateError::new(ErrorKind::InvalidOperation, problem)
            })
        });
    }
    Ok(environment)
}

/// `{% generation %}` marks what the model says, for training; here it is a block like any other.
fn without_generation_tags(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        text.push_str(before);
        let name = tag.trim_start_matches(['-', '+']).trim_start();
        let replaced = [("endgeneration", "endif"), ("generation", "if true")]
            .into_iter()
            .find_map(|(old, new)| {
                let after = name.strip_prefix(old)?;
                let ends = after
                    .trim_start()
                    .trim_start_matches(['-', '+'])
                    .starts_with("%}");
                ends.then(|| (tag.len() - name.len(), new, after))
            });
        match replaced {
            Some((head, new, after)) => {
                text.push_str(&tag[..head]);
                text.push_str(new);
                rest = after;
            }
            None => rest = tag,
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn with_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|source| Error::chat_template(format!("got no thread to run in: {source}")))?;
        thread.join().unwrap_or_else(|_| {
            Err(Error::Bug {
                problem: "rendering a chat template panicked".to_owned(),
            })
        })
    })
}

fn failed(action: &str, error: &TemplateError) -> Error {
    let line = error
        .line()
        .map(|line| format!(" at line {line}"))
        .unwrap_or_default();
    let detail = match error.kind() {
        ErrorKind::OutOfFuel => "it does more work than a template needs".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    Error::chat_template(format!("{action}{line}: {detail}"))
}
