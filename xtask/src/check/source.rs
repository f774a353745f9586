//! Rust sources: their length, marks of unfinished work, ignored tests and unsafe code.

use anyhow::Result;
use proc_macro2::TokenStream;

use super::Fault;
use super::tokens::{flatten, is_sign, is_word, line_of};
use crate::repository::{Repository, TextFile};
use crate::rules::{self, Allowed};

/// Finds sources that are too long, unfinished, or unsafe where nobody expects it.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let sources: Vec<_> = repository
        .rust()
        .filter(|file| file.path != rules::THIS_FILE)
        .collect();
    let mut faults = Vec::new();
    for file in &sources {
        faults.extend(length_fault(file, rules::LONG_FILES));
        faults.extend(mark_faults(file));
        faults.extend(token_faults(file, rules::UNSAFE_FILES));
    }
    faults.extend(stale(rules::LONG_FILES, |path| {
        sources
            .iter()
            .any(|file| file.path == path && file.text.lines().count() > rules::LINES_SOFT)
    }));
    faults.extend(stale(rules::UNSAFE_FILES, |path| {
        sources.iter().any(|file| file.path == path && has_unsafe(file))
    }));
    Ok(faults)
}

fn length_fault(file: &TextFile, allowed: &[Allowed]) -> Option<Fault> {
    let lines = file.text.lines().count();
    let excused = allowed.iter().any(|entry| entry.path == file.path);
    if lines <= rules::LINES_SOFT || (excused && lines <= rules::LINES_HARD) {
        return None;
    }
    let what = format!(
        "has {lines} lines; split it by what it knows. Up to {} a reason in {} excuses it.",
        rules::LINES_HARD,
        rules::THIS_FILE
    );
    Some(Fault::new(&file.path, what))
}

/// Marks of unfinished work, in comments and strings too.
fn mark_faults(file: &TextFile) -> Vec<Fault> {
    let lines = file.text.lines().enumerate();
    let found = lines.flat_map(|(index, line)| {
        let marks = rules::UNFINISHED_MARKS.iter().filter(|mark| has_word(line, mark));
        marks.map(move |mark| Fault::at(&file.path, index + 1, format!("finish what `{mark}` stands for.")))
    });
    found.collect()
}

/// Whether `line` holds `word` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric();
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(is_part) && !line[start + word.len()..].starts_with(is_part)
    })
}

fn token_faults(file: &TextFile, unsafe_files: &[Allowed]) -> Vec<Fault> {
    let Ok(stream) = file.text.parse::<TokenStream>() else {
        return vec![Fault::new(
            &file.path,
            "cannot be read as Rust; is a bracket or a quote missing?",
        )];
    };
    let may_be_unsafe = unsafe_files.iter().any(|entry| entry.path == file.path);
    let tokens = flatten(stream);
    let mut faults = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        let line = line_of(token);
        let is_macro = next.is_some_and(|next| is_sign(next, '!'));
        if is_macro && (is_word(token, "todo") || is_word(token, "unimplemented")) {
            faults.push(Fault::at(
                &file.path,
                line,
                format!("`{token}!` would panic; write what belongs there."),
            ));
        }
        let after = tokens.get(index + 2);
        if is_sign(token, '#') && after.is_some_and(|after| is_word(after, "ignore")) {
            let what =
                "a test that does not run says nothing; make it run, or assert what holds today and why.";
            faults.push(Fault::at(&file.path, line, what));
        }
        if is_word(token, "unsafe") && !may_be_unsafe {
            let what = format!(
                "`unsafe` in a file that {} does not list; do without, or list it.",
                rules::THIS_FILE
            );
            faults.push(Fault::at(&file.path, line, what));
        }
    }
    faults
}

fn has_unsafe(file: &TextFile) -> bool {
    file.text
        .parse()
        .is_ok_and(|stream| flatten(stream).iter().any(|token| is_word(token, "unsafe")))
}

/// A permission that nothing needs any more would cover the next use unseen.
fn stale(allowed: &[Allowed], is_needed: impl Fn(&str) -> bool) -> Vec<Fault> {
    let unneeded = allowed.iter().filter(|entry| !is_needed(entry.path));
    let explain = |entry: &Allowed| {
        let what = format!(
            "{} no longer needs to be listed ({}); remove it.",
            entry.path, entry.reason
        );
        Fault::new(rules::THIS_FILE, what)
    };
    unneeded.map(explain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile {
            path: "crates/a/src/lib.rs".to_owned(),
            text: text.to_owned(),
        }
    }

    const LISTED: &[Allowed] = &[Allowed {
        path: "crates/a/src/lib.rs",
        reason: "a test",
    }];

    #[test]
    fn long_files_fail_unless_excused_and_very_long_ones_always() {
        let of = |lines: usize| file(&"//\n".repeat(lines));
        assert_eq!(length_fault(&of(rules::LINES_SOFT), &[]), None);
        assert!(length_fault(&of(rules::LINES_SOFT + 1), &[]).is_some());
        assert_eq!(length_fault(&of(rules::LINES_HARD), LISTED), None);
        assert!(length_fault(&of(rules::LINES_HARD + 1), LISTED).is_some());
    }

    #[test]
    fn marks_fail_as_words_and_name_their_line() {
        for mark in rules::UNFINISHED_MARKS {
            let faults = mark_faults(&file(&format!("//\n// {mark}: later\n")));
            assert_eq!(faults.len(), 1, "{mark}");
            assert_eq!(faults[0].place, "crates/a/src/lib.rs:2");
            assert_eq!(mark_faults(&file(&format!("// a{mark}b\n"))), []);
        }
    }

    #[test]
    fn unfinished_macros_and_ignored_tests_fail() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "#[test]\n#[ignore]\nfn f() {}",
            "#[ignore = \"slow\"] fn f() {}",
        ] {
            assert_eq!(token_faults(&file(text), &[]).len(), 1, "{text}");
        }
        assert_eq!(
            token_faults(&file("fn todo() { ignore(unimplemented) }"), &[]),
            []
        );
    }

    #[test]
    fn unsafe_code_fails_unless_listed() {
        let code = "fn f() { unsafe { g() } }";
        assert_eq!(token_faults(&file(code), &[]).len(), 1);
        assert_eq!(token_faults(&file(code), LISTED), []);
        assert_eq!(
            token_faults(&file("// unsafe\nconst A: &str = \"unsafe\";"), &[]),
            []
        );
    }

    #[test]
    fn what_is_listed_for_nothing_fails() {
        assert_eq!(stale(LISTED, |_| false).len(), 1);
        assert_eq!(stale(LISTED, |_| true), []);
        assert!(has_unsafe(&file("unsafe fn f() {}")));
        assert!(!has_unsafe(&file("fn f() {}")));
    }

    #[test]
    fn what_is_no_rust_fails() {
        assert_eq!(token_faults(&file("fn f( {"), &[]).len(), 1);
    }
}
