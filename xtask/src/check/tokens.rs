//! Rust sources as tokens.

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
}
