//! Public error codes and their pages.
//!
//! The codes are read from the sources that [`rules::ERROR_CODES`] names, so that a code cannot be added without its
//! page nor a page outlive its code.

use std::collections::BTreeMap;

use anyhow::Result;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Fault;
use super::tokens::{flatten, is_sign, is_word, line_of};
use crate::repository::Repository;
use crate::rules::{self, ErrorCodes, ErrorCodesForm};

/// Finds codes without a page and pages without a code.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    Ok(faults(repository, rules::ERROR_CODES))
}

fn faults(repository: &Repository, sources: &[ErrorCodes]) -> Vec<Fault> {
    let folder = format!("{}/", rules::ERROR_PAGES);
    let pages = repository
        .files
        .iter()
        .filter_map(|file| file.path.strip_prefix(&folder));
    let pages: Vec<_> = pages
        .filter(|page| !rules::ERROR_PAGES_WITHOUT_CODE.contains(page))
        .collect();

    let mut faults = Vec::new();
    let mut codes = BTreeMap::new();
    for source in sources {
        let found = repository
            .text(source.file)
            .map(|text| codes_of(text, &source.form))
            .unwrap_or_default();
        if found.is_empty() {
            let what = format!("{} holds no error codes; name where they are now.", source.file);
            faults.push(Fault::new(rules::THIS_FILE, what));
        }
        codes.extend(found.into_iter().map(|(code, line)| (code, (source.file, line))));
    }
    for (code, (file, line)) in &codes {
        if !pages.contains(&format!("{code}.md").as_str()) {
            let what = format!(
                "the error `{code}` has no page; write {folder}{code}.md: what happened, what to do."
            );
            faults.push(Fault::at(file, *line, what));
        }
    }
    let without_code = pages.iter().filter(|page| {
        page.strip_suffix(".md")
            .is_none_or(|code| !codes.contains_key(code))
    });
    faults.extend(
        without_code.map(|page| Fault::new(format!("{folder}{page}"), "no error has this code any more.")),
    );
    faults
}

/// The codes in `text`, each with its line; none where it is no Rust, which another check says.
fn codes_of(text: &str, form: &ErrorCodesForm) -> Vec<(String, usize)> {
    let tokens = text.parse::<TokenStream>().map(flatten).unwrap_or_default();
    match form {
        ErrorCodesForm::Rows(name) => {
            let is_call = |pair: &[TokenTree]| is_word(&pair[0], name) && is_sign(&pair[1], '!');
            bodies(&tokens, is_call)
                .flat_map(|body| row_codes(&flatten(body)))
                .collect()
        }
        ErrorCodesForm::Function(name) => {
            let is_function = |pair: &[TokenTree]| is_word(&pair[0], "fn") && is_word(&pair[1], name);
            bodies(&tokens, is_function)
                .flat_map(flatten)
                .filter_map(|token| literal(&token))
                .collect()
        }
    }
}

/// What stands in the braces after each pair of tokens that `starts` accepts; nothing where a semicolon comes first.
fn bodies(tokens: &[TokenTree], starts: impl Fn(&[TokenTree]) -> bool) -> impl Iterator<Item = TokenStream> {
    let after = tokens
        .windows(2)
        .enumerate()
        .filter(move |(_, pair)| starts(pair))
        .map(|(index, _)| index + 2);
    after.filter_map(|index| {
        let mut rest = tokens[index..].iter().take_while(|token| !is_sign(token, ';'));
        rest.find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        })
    })
}

/// The literal of each row between its variant and its class.
fn row_codes(tokens: &[TokenTree]) -> Vec<(String, usize)> {
    let is_ident = |token: &TokenTree| matches!(token, TokenTree::Ident(_));
    let rows = tokens
        .windows(3)
        .filter(|row| is_ident(&row[0]) && is_ident(&row[2]));
    rows.filter_map(|row| literal(&row[1])).collect()
}

/// The text of a plain string literal, and its line.
fn literal(token: &TokenTree) -> Option<(String, usize)> {
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    let text = literal.to_string();
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    Some((text.to_owned(), line_of(token)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::made_up;

    const FUNCTION: &str = r#"
        trait Coded { fn code(&self) -> &str; }
        impl Error {
            /// The public code.
            pub fn code(&self) -> &str {
                match self {
                    Self::Node { .. } => "node_strange",
                    Self::Other(error) => error.code(),
                }
            }
            fn class(&self) -> &str { "no code" }
        }
        impl Other { const NAME: &str = "no code either"; }
    "#;
    const ROWS: &str = r#"
        macro_rules! error_codes { ($($variant:ident $code:literal)*) => { const A: &[&str] = &["no code"]; } }
        error_codes! {
            OrderUsed "order_used" Conflict "It was used." "Buy another."
            BadSignature "bad_signature" Unauthorized "It is not yours." "Sign it."
        }
    "#;
    const SOURCES: &[ErrorCodes] = &[
        ErrorCodes {
            file: "function.rs",
            form: ErrorCodesForm::Function("code"),
        },
        ErrorCodes {
            file: "rows.rs",
            form: ErrorCodesForm::Rows("error_codes"),
        },
    ];

    #[test]
    fn codes_are_read_from_functions_and_rows() {
        let read = |text, index: usize| codes_of(text, &SOURCES[index].form);
        assert_eq!(read(FUNCTION, 0), [("node_strange".to_owned(), 7)]);
        assert_eq!(
            read(ROWS, 1),
            [("order_used".to_owned(), 4), ("bad_signature".to_owned(), 5)]
        );
    }

    #[test]
    fn codes_and_pages_that_match_pass() {
        let files = [
            ("function.rs", FUNCTION),
            ("rows.rs", ROWS),
            ("docs/errors/README.md", "Errors"),
            ("docs/errors/node_strange.md", "Strange"),
            ("docs/errors/order_used.md", "Used"),
            ("docs/errors/bad_signature.md", "Bad"),
        ];
        assert_eq!(faults(&made_up(&files), SOURCES), []);
    }

    #[test]
    fn a_code_without_page_and_a_page_without_code_fail() {
        let files = [("function.rs", FUNCTION), ("docs/errors/gone.md", "Gone")];
        let found = faults(&made_up(&files), &SOURCES[..1]);
        let places: Vec<_> = found.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(places, ["function.rs:7", "docs/errors/gone.md"]);
    }

    #[test]
    fn a_source_without_codes_fails() {
        for files in [&[][..], &[("function.rs", "fn other() -> &str { \"a\" }")]] {
            let found = faults(&made_up(files), &SOURCES[..1]);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].place, rules::THIS_FILE);
        }
    }
}
