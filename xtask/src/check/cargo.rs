//! Cargo's own account of the workspace.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A package that some build has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Built {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it lies in this repository.
    pub is_ours: bool,
    /// The features it is built with, joined by commas. A package built for the build itself and for what is built
    /// is here once for each set.
    pub features: String,
}

/// Every package that `cargo tree` finds with `arguments`.
///
/// Unlike the lock file this leaves out what no chosen feature builds.
///
/// # Errors
/// When cargo cannot be run or refuses.
pub fn tree(root: &Path, arguments: &[&str]) -> Result<BTreeSet<Built>> {
    let format = ["tree", "--prefix", "none", "--format", "{p};{f}"];
    Ok(parse_tree(&run(root, &[&format[..], arguments].concat())?))
}

/// `cargo metadata` of the workspace for every platform.
///
/// # Errors
/// When cargo cannot be run, or cannot reach the registry where that is needed.
pub fn metadata(root: &Path) -> Result<Value> {
    let text = run(root, &["metadata", "--format-version", "1"])?;
    serde_json::from_str(&text).context("cargo metadata did not answer in JSON")
}

fn run(root: &Path, arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(arguments)
        .output()
        .context("cannot run cargo; is it on PATH?")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo {} failed: {complaint}",
        arguments[0]
    );
    String::from_utf8(output.stdout).with_context(|| format!("cargo {} answered no UTF-8", arguments[0]))
}

/// Reads lines such as `serde v1.0.229 (proc-macro);default,std (*)`.
fn parse_tree(text: &str) -> BTreeSet<Built> {
    let packages = text.lines().filter_map(|line| {
        let (package, features) = line.split_once(';')?;
        let (name, rest) = package.split_once(" v")?;
        let version = rest.split(' ').next()?;
        let features = features.trim_end_matches("(*)").trim_end();
        let is_ours = rest.contains(" (/") || rest.contains(":\\");
        Some(Built {
            name: name.to_owned(),
            version: version.to_owned(),
            is_ours,
            features: features.to_owned(),
        })
    });
    packages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_cargo_tree_prints() {
        let text = "a v1.2.3 (/somewhere);\nb v0.1.0 (proc-macro);default,std (*)\n\nb v0.1.0 (proc-macro);default,std\n";
        let built = |name: &str, version: &str, is_ours, features: &str| Built {
            name: name.to_owned(),
            version: version.to_owned(),
            is_ours,
            features: features.to_owned(),
        };
        let expected = [
            built("a", "1.2.3", true, ""),
            built("b", "0.1.0", false, "default,std"),
        ];
        assert_eq!(parse_tree(text), expected.into());
    }
}
