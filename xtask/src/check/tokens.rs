//! Rust sources as tokens, and cargo's own account of a build.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use proc_macro2::{TokenStream, TokenTree};

/// Every token of `stream`, with what stands inside brackets after the bracket itself.
///
/// Comments and what is inside string literals are no tokens, so that a word in prose is never taken for code.
pub fn flatten(stream: TokenStream) -> Vec<TokenTree> {
    let mut tokens = Vec::new();
    for token in stream {
        tokens.push(token.clone());
        if let TokenTree::Group(group) = token {
            tokens.extend(flatten(group.stream()));
        }
    }
    tokens
}

/// Whether `token` is the identifier or keyword `word`.
pub fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

/// Whether `token` is the sign `sign`.
pub fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// The line that `token` stands on, counted from 1.
pub fn line_of(token: &TokenTree) -> usize {
    token.span().start().line
}

/// Name and version of every package that `cargo tree` finds with `arguments`, for every platform.
///
/// Unlike the lock file this leaves out what no chosen feature builds.
///
/// # Errors
/// When cargo cannot be run or refuses.
pub fn cargo_tree(root: &Path, arguments: &[&str]) -> Result<Vec<(String, String)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["tree", "--target", "all", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .output()
        .context("cannot run cargo tree")?;
    ensure!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(parse_tree(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads lines such as `serde v1.0.229 (proc-macro) (*)`.
fn parse_tree(text: &str) -> Vec<(String, String)> {
    let mut packages: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let version = words.next()?.strip_prefix('v')?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_tokens() {
        let tokens = flatten(
            "fn f() { /* unsafe */ g(\"unsafe\"); // unsafe\n}"
                .parse()
                .unwrap(),
        );
        assert!(!tokens.iter().any(|token| is_word(token, "unsafe")));
        let tokens = flatten("fn f() {\n unsafe { g() } }".parse().unwrap());
        let found = tokens.iter().find(|token| is_word(token, "unsafe")).unwrap();
        assert_eq!(line_of(found), 2);
    }

    #[test]
    fn reads_what_cargo_tree_prints() {
        let text = "a v1.2.3 (/somewhere)\nb v0.1.0 (proc-macro) (*)\n\nb v0.1.0 (proc-macro)\n";
        let expected =
            [("a", "1.2.3"), ("b", "0.1.0")].map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(parse_tree(text), expected);
    }
}
