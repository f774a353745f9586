//! The manifests of the workspace, read as they are written.

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::repository::Repository;

/// One `Cargo.toml` of a member.
#[derive(Debug)]
pub struct Manifest {
    /// Its path from the root.
    pub path: String,
    /// What it says.
    pub table: Table,
}

/// One entry of a table of dependencies.
#[derive(Debug)]
pub struct Dependency<'a> {
    /// `dependencies`, `dev-dependencies` or `build-dependencies`.
    pub kind: &'static str,
    /// The key; members cannot rename, so it is the name in the workspace's table.
    pub name: &'a str,
    /// The value.
    pub value: &'a Value,
}

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

impl Manifest {
    /// Reads a manifest from its text.
    ///
    /// # Errors
    /// When the text is not TOML.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let table = text.parse().with_context(|| format!("{path} is not TOML"))?;
        Ok(Self {
            path: path.to_owned(),
            table,
        })
    }

    /// The folder that the manifest lies in.
    pub fn folder(&self) -> &str {
        self.path.strip_suffix("/Cargo.toml").unwrap_or("")
    }

    /// The package's name; empty where there is none.
    pub fn package(&self) -> &str {
        self.field("package", "name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The value of `key` in `[section]`.
    pub fn field(&self, section: &str, key: &str) -> Option<&Value> {
        self.table.get(section)?.get(key)
    }

    /// Every dependency of every kind, those of single targets included.
    pub fn dependencies(&self) -> Vec<Dependency<'_>> {
        let targets = self.table.get("target").and_then(Value::as_table);
        let of_targets = targets
            .into_iter()
            .flatten()
            .filter_map(|(_, value)| value.as_table());
        std::iter::once(&self.table)
            .chain(of_targets)
            .flat_map(|table| KINDS.map(|kind| (kind, table.get(kind).and_then(Value::as_table))))
            .flat_map(|(kind, entries)| {
                let entries = entries.into_iter().flatten();
                entries.map(move |(name, value)| Dependency { kind, name, value })
            })
            .collect()
    }
}

/// Every member's manifest.
///
/// # Errors
/// When one of them is not TOML.
pub fn members(repository: &Repository) -> Result<Vec<Manifest>> {
    let manifests = repository
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests
        .map(|file| Manifest::parse(&file.path, &file.text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_kind_of_dependency() {
        let text = r#"
            [package]
            name = "a"
            [dependencies]
            b.workspace = true
            [dev-dependencies]
            c.workspace = true
            [build-dependencies]
            d.workspace = true
            [target.'cfg(unix)'.dependencies]
            e.workspace = true
        "#;
        let manifest = Manifest::parse("crates/a/Cargo.toml", text).unwrap();
        assert_eq!((manifest.folder(), manifest.package()), ("crates/a", "a"));
        let found: Vec<_> = manifest.dependencies().iter().map(|d| (d.kind, d.name)).collect();
        let expected = [
            ("dependencies", "b"),
            ("dev-dependencies", "c"),
            ("build-dependencies", "d"),
            ("dependencies", "e"),
        ];
        assert_eq!(found, expected);
    }
}
