//! Public error codes and their pages.
//!
//! A room's error answers `fn code(…) -> &'static str`; the strings in such functions are the public codes, and this
//! check finds them there, so that a code cannot be added without its page nor a page outlive its code.

use std::collections::BTreeMap;

use anyhow::Result;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Fault;
use super::tokens::{flatten, is_sign, is_word, line_of};
use crate::repository::{Repository, TextFile};
use crate::rules;

/// Finds codes without a page and pages without a code.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let sources = repository
        .rust()
        .filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"));
    let codes: BTreeMap<_, _> = sources.flat_map(codes_of).collect();
    let folder = format!("{}/", rules::ERROR_PAGES);
    let pages = repository
        .files
        .iter()
        .filter_map(|file| file.path.strip_prefix(&folder));
    let pages: Vec<_> = pages
        .filter(|page| !rules::ERROR_PAGES_WITHOUT_CODE.contains(page))
        .collect();

    let without_page = codes
        .iter()
        .filter(|(code, _)| !pages.contains(&format!("{code}.md").as_str()));
    let mut faults: Vec<_> = without_page
        .map(|(code, place)| {
            let what = format!(
                "the error `{code}` has no page; write {folder}{code}.md: what happened, what to do."
            );
            Fault::new(place, what)
        })
        .collect();
    let without_code = pages.iter().filter(|page| {
        page.strip_suffix(".md")
            .is_none_or(|code| !codes.contains_key(code))
    });
    faults.extend(
        without_code.map(|page| Fault::new(format!("{folder}{page}"), "no error has this code any more.")),
    );
    Ok(faults)
}

/// The codes in `file`, each with where it stands.
fn codes_of(file: &TextFile) -> Vec<(String, String)> {
    let Ok(stream) = file.text.parse::<TokenStream>() else {
        return Vec::new();
    };
    let tokens = flatten(stream);
    let starts = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| is_word(&pair[0], "fn") && is_word(&pair[1], "code"));
    let bodies = starts.filter_map(|(start, _)| static_str_body(&tokens[start + 2..]));
    let literals = bodies.flat_map(flatten).filter_map(|token| {
        let TokenTree::Literal(literal) = &token else {
            return None;
        };
        let text = literal.to_string();
        let code = text.strip_prefix('"')?.strip_suffix('"')?;
        Some((code.to_owned(), format!("{}:{}", file.path, line_of(&token))))
    });
    literals.collect()
}

/// The body of a function whose tokens after its name are `rest`, if it returns `&'static str`.
fn static_str_body(rest: &[TokenTree]) -> Option<TokenStream> {
    let is_body =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    let end = rest
        .iter()
        .position(|token| is_body(token) || is_sign(token, ';'))?;
    let TokenTree::Group(body) = &rest[end] else {
        return None;
    };
    let signature = &rest[..end];
    let returns =
        signature.len() >= 2 && is_word(&signature[end - 1], "str") && is_word(&signature[end - 2], "static");
    returns.then(|| body.stream())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::made_up;

    const SOURCE: &str = r#"
        impl Error {
            /// The public code.
            pub fn code(&self) -> &'static str {
                match self {
                    Self::OrderUsed => "order_used",
                    Self::Chain(error) => error.code(),
                }
            }
            fn code_length(&self) -> &'static str { "not one" }
        }
        trait Coded { fn code(&self) -> &'static str; }
        struct Contract { code: Vec<u8> }
        impl Contract { fn code(&self) -> &str { "not one either" } }
    "#;

    #[test]
    fn codes_and_pages_that_match_pass() {
        let pages = [
            ("docs/errors/README.md", "Errors"),
            ("docs/errors/order_used.md", "Used"),
        ];
        let files = [("crates/a/src/error.rs", SOURCE), pages[0], pages[1]];
        assert_eq!(check(&made_up(&files)).unwrap(), []);
    }

    #[test]
    fn a_code_without_page_and_a_page_without_code_fail() {
        let files = [("crates/a/src/error.rs", SOURCE), ("docs/errors/gone.md", "Gone")];
        let faults = check(&made_up(&files)).unwrap();
        let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(places, ["crates/a/src/error.rs:6", "docs/errors/gone.md"]);
    }
}
