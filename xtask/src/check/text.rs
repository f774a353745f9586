//! All text files: private keys, and paths that exist on one machine only.

use anyhow::Result;

use super::Fault;
use crate::repository::{Repository, TextFile};
use crate::rules;

/// Hexadecimal digits of a 32-byte key.
const KEY_DIGITS: usize = 64;

/// Finds private keys outside the devnet's own file, and paths of one machine.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let files = repository
        .files
        .iter()
        .filter(|file| file.path != rules::THIS_FILE);
    Ok(files
        .flat_map(|file| key_faults(file).into_iter().chain(path_faults(file)))
        .collect())
}

/// A key is 64 hexadecimal digits that are a well-known account's, or that a word on the line calls a key.
///
/// Digests have the same form, so that a key which nothing on its line betrays is not found.
fn key_faults(file: &TextFile) -> Vec<Fault> {
    if file.path.starts_with(rules::DEVNET_KEYS) {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| {
        let lower = line.to_lowercase();
        let named = rules::KEY_WORDS.iter().any(|word| lower.contains(word));
        hex_runs(&lower).any(|run| {
            named
                || rules::DEVNET_KEY_STARTS
                    .iter()
                    .any(|start| run.starts_with(start))
        })
    });
    let what = format!(
        "holds a private key; the devnet's stay under {}, others in no file.",
        rules::DEVNET_KEYS
    );
    found
        .map(|(index, _)| Fault::at(&file.path, index + 1, what.clone()))
        .collect()
}

/// Every run of exactly 64 hexadecimal digits in `line`.
fn hex_runs(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_ascii_alphanumeric())
        .map(|word| word.strip_prefix("0x").unwrap_or(word))
        .filter(|word| word.len() == KEY_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn path_faults(file: &TextFile) -> Vec<Fault> {
    let lines = file.text.lines().enumerate();
    let found = lines.flat_map(|(index, line)| {
        let starts = rules::MACHINE_PATHS
            .iter()
            .filter(|start| starts_path(line, start));
        starts.map(move |start| {
            let what =
                format!("a path under {start} exists on one machine only; make it relative or an argument.");
            Fault::at(&file.path, index + 1, what)
        })
    });
    found.collect()
}

/// Whether a path in `line` begins with `start`, rather than having it in its middle.
fn starts_path(line: &str, start: &str) -> bool {
    let continues = |character: char| character.is_alphanumeric() || "._-/~}>)*".contains(character);
    line.match_indices(start)
        .any(|(index, _)| !line[..index].ends_with(continues))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn keys_fail_outside_the_devnet() {
        let digits = format!("{}{}", rules::DEVNET_KEY_STARTS[0], "1".repeat(52));
        let known = format!("let a = \"0x{digits}\";\n");
        assert_eq!(key_faults(&file("docs/a.md", &known)).len(), 1);
        assert_eq!(
            key_faults(&file(&format!("{}accounts.rs", rules::DEVNET_KEYS), &known)),
            []
        );
        let named = format!("{} = {}", "secret", "5A".repeat(32));
        assert_eq!(key_faults(&file("docs/a.md", &named)).len(), 1);
    }

    #[test]
    fn digests_and_longer_runs_pass() {
        let digest = format!("let root = \"{}\";\n", "ab".repeat(32));
        assert_eq!(key_faults(&file("docs/a.md", &digest)), []);
        let longer = format!("{} {}", "private", "ab".repeat(33));
        assert_eq!(key_faults(&file("docs/a.md", &longer)), []);
    }

    #[test]
    fn paths_of_one_machine_fail() {
        for start in rules::MACHINE_PATHS {
            let faults = path_faults(&file("docs/a.md", &format!("first\nsee `{start}somebody`\n")));
            assert_eq!(faults.len(), 1, "{start}");
            assert_eq!(faults[0].place, "docs/a.md:2");
        }
        let inside = format!(
            "https://example.org{}x and ../a{}b",
            rules::MACHINE_PATHS[0],
            rules::MACHINE_PATHS[1]
        );
        assert_eq!(path_faults(&file("docs/a.md", &inside)), []);
    }
}
