//! Model folders on this machine, made ready to be sent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use posthuman_lm::{ModelFiles, join_shards};
use posthuman_types::api::{MODEL_FILES, WEIGHTS_FILE};
use tempfile::TempDir;

use super::Wrong;

/// What is imported: a GGUF file, or a folder with its weights in one file.
pub(super) enum Prepared {
    AsItIs(PathBuf),
    /// A copy whose shards were joined; it goes when this does.
    Joined(TempDir),
}

impl Prepared {
    /// Looks at a folder or a file. Shards are joined in a temporary folder.
    ///
    /// # Errors
    /// What can be no model, with what to give instead; shards that do not fit together.
    pub fn new(source: &Path) -> anyhow::Result<Self> {
        if source.is_dir() {
            let folder = Directory(source.to_owned());
            if source.join(WEIGHTS_FILE).exists() {
                return Ok(Self::AsItIs(source.to_owned()));
            }
            return join(&folder);
        }
        let gguf = source
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if gguf {
            return Ok(Self::AsItIs(source.to_owned()));
        }
        let problem = if source.exists() {
            "is neither a folder nor a `.gguf` file"
        } else {
            "does not exist"
        };
        Err(Wrong(format!(
            "{} {problem}; give a Hugging Face folder or a GGUF file",
            source.display()
        ))
        .into())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        match self {
            Self::AsItIs(path) => path,
            Self::Joined(folder) => folder.path(),
        }
    }
}

fn join(folder: &Directory) -> anyhow::Result<Prepared> {
    let joined = tempfile::tempdir().context("cannot make a temporary folder to join shards in")?;
    for name in MODEL_FILES {
        let from = folder.0.join(name);
        if from.exists() {
            fs::copy(&from, joined.path().join(name))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    let path = joined.path().join(WEIGHTS_FILE);
    let mut file = BufWriter::new(File::create(&path).context("cannot join the shards")?);
    join_shards(folder, &mut file)?;
    file.flush().context("cannot join the shards")?;
    Ok(Prepared::Joined(joined))
}

/// A folder of the file system as the engine reads it.
pub(super) struct Directory(pub PathBuf);

impl ModelFiles for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn length(&self, name: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.0.join(name)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, name: &str, offset: u64, target: &mut [u8]) -> io::Result<()> {
        let mut file = File::open(self.0.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(target)
    }
}
