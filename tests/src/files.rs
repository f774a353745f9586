//! Where things are, and copies of folders.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the repository")
        .to_owned()
}

/// The packages that `make contracts` installs.
pub fn contracts() -> PathBuf {
    repository().join("contracts")
}

/// The binary `posthuman` that the same build put beside the tests.
///
/// # Errors
/// It was not built, or this is no test of the package.
pub fn binary() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("this process has no executable")?;
    // Tests lie in `deps/`, one folder below the binaries.
    let folder = here
        .parent()
        .and_then(Path::parent)
        .context("the executable of the tests lies in no folder")?;
    let binary = folder.join("posthuman");
    ensure!(
        binary.is_file(),
        "{} is missing: run `cargo build` first, as `make test` does",
        binary.display()
    );
    Ok(binary)
}

/// Copies a folder with all that is in it. Permissions of files are kept.
///
/// # Errors
/// Something cannot be read or written, or is neither a file nor a folder.
pub fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            ensure!(
                kind.is_file(),
                "{} is neither a file nor a folder",
                source.display()
            );
            std::fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Every file under a folder. What disappears in between is left out, as a folder in use does not stand still.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The last lines of a text file, for a failure that has nothing better to say.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
