//! The repository as the checks see it: every text file of it, read once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::rules;

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Path from the root, with forward slashes.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl TextFile {
    /// Whether the file is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// What the checks read.
#[derive(Debug)]
pub struct Repository {
    /// Where it lies.
    pub root: PathBuf,
    /// Every text file, by path. Files that are not UTF-8 (pictures, fixtures) are left out.
    pub files: Vec<TextFile>,
    /// Every path, folders and files that are not text included; what a link may point to.
    pub paths: std::collections::BTreeSet<String>,
}

impl Repository {
    /// Reads the repository under `root`, without build outputs and installed packages.
    ///
    /// Reads the folder rather than git, so that it works in an unpacked archive too and sees a new file before its
    /// first commit.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub fn read(root: PathBuf) -> Result<Self> {
        let mut repository = Self {
            root: root.clone(),
            files: Vec::new(),
            paths: [String::new()].into(),
        };
        repository.read_folder(&root)?;
        repository.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(repository)
    }

    /// The text at `path`, if there is such a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    }

    /// The Rust sources.
    pub fn rust(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.is_rust())
    }

    fn read_folder(&mut self, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if rules::SKIPPED_FOLDERS.contains(&name.as_str()) {
                continue;
            }
            self.read_entry(&entry.path(), &name)?;
        }
        Ok(())
    }

    fn read_entry(&mut self, path: &Path, name: &str) -> Result<()> {
        let relative = path
            .strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/");
        let kind = fs::symlink_metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.paths.insert(relative.clone());
        if kind.is_dir() {
            return self.read_folder(path);
        }
        if !kind.is_file() || rules::SKIPPED_FILES.contains(&name) {
            return Ok(());
        }
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes) {
            self.files.push(TextFile { path: relative, text });
        }
        Ok(())
    }
}

/// The root of this repository: the folder above this package.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// A repository made up of `files` (path, text), for the checks' own tests.
#[cfg(test)]
pub fn made_up(files: &[(&str, &str)]) -> Repository {
    let mut paths = std::collections::BTreeSet::from([String::new()]);
    for (path, _) in files {
        let parents = Path::new(path)
            .ancestors()
            .map(|part| part.to_string_lossy().into_owned());
        paths.extend(parents);
    }
    let files = files
        .iter()
        .map(|(path, text)| TextFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    Repository {
        root: PathBuf::from("made-up"),
        files,
        paths,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_repository_without_build_outputs() {
        let repository = Repository::read(root()).unwrap();
        assert!(repository.text("Cargo.toml").is_some());
        assert!(repository.text("xtask/src/repository.rs").is_some());
        assert!(repository.paths.contains("xtask/src"));
        assert!(
            !repository
                .paths
                .iter()
                .any(|path| path.contains("node_modules") || path.starts_with("target"))
        );
    }
}
