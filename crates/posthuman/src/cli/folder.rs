//! Model folders on this machine, made ready to be sent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use posthuman_lm::{ModelFiles, describe_folder, describe_gguf, join_shards};
use posthuman_types::ArchitectureFacts;
use posthuman_types::api::{MODEL_FILES, WEIGHTS_FILE};
use tempfile::TempDir;

use super::Wrong;
use super::context::read_file;

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
        if let Source::File = kind(source)? {
            return Ok(Self::AsItIs(source.to_owned()));
        }
        if source.join(WEIGHTS_FILE).exists() {
            return Ok(Self::AsItIs(source.to_owned()));
        }
        join(&Directory(source.to_owned()))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        match self {
            Self::AsItIs(path) => path,
            Self::Joined(folder) => folder.path(),
        }
    }
}

/// What kind of model lies at a path.
enum Source {
    /// A Hugging Face folder.
    Folder,
    /// A GGUF file.
    File,
}

fn kind(source: &Path) -> Result<Source, Wrong> {
    let gguf = source
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let problem = match source {
        _ if source.is_dir() => return Ok(Source::Folder),
        _ if gguf => return Ok(Source::File),
        _ if source.exists() => "is neither a folder nor a `.gguf` file",
        _ => "does not exist",
    };
    Err(Wrong(format!(
        "{} {problem}; give a Hugging Face folder or a GGUF file",
        source.display()
    )))
}

/// What a model on this machine is. Of a folder's weights only the heads of its files are read.
///
/// # Errors
/// As [`Prepared::new`], and what the engine says of the files.
pub(super) fn describe(source: &Path) -> anyhow::Result<ArchitectureFacts> {
    let header = match kind(source)? {
        Source::Folder => describe_folder(&Directory(source.to_owned()))?,
        Source::File => describe_gguf(&read_file(source)?)?,
    };
    Ok(header.describe())
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

#[cfg(test)]
mod tests {
    use posthuman_lm::{Config, Model, Tokenizer};

    use super::*;

    #[test]
    fn a_model_on_this_machine_is_described() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lm/tests/fixtures/gguf");
        let facts = describe(&fixtures.join("llama_tiny.gguf")).unwrap();
        assert_eq!(facts.family, "llama");
        assert_eq!(facts.details.unwrap().tokenizer.kind, "BPE with byte fallback");

        let folder = tempfile::tempdir().unwrap();
        let tokenizer = Tokenizer::train(&["the whale, the whale"], 257).unwrap();
        let model = Model::random(Config::gpt2(257, 16, 16, 1, 2).unwrap(), 1).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("config.json", model.config().to_json().as_bytes());
        write("tokenizer.json", tokenizer.to_json());
        let weights = model.to_safetensors().unwrap();
        write("model.safetensors", &weights);
        let facts = describe(folder.path()).unwrap();
        assert_eq!((facts.family.as_str(), facts.precision.as_str()), ("gpt2", "f32"));
        assert_eq!(facts.parameters, model.config().parameter_count() as u64);
        // Values are not read: whoever imports the folder hears of them.
        write("model.safetensors", &weights[..weights.len() - 4]);
        assert!(
            describe(folder.path()).is_err(),
            "its head says how long a file is"
        );
    }

    #[test]
    fn what_is_no_model_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        fs::write(&text, "x").unwrap();
        let gguf = folder.path().join("x.GGUF");
        fs::write(&gguf, "GGML").unwrap();
        for (path, words) in [
            (folder.path().to_owned(), "config.json"),
            (text, "is neither a folder nor a `.gguf` file"),
            (folder.path().join("nothing"), "does not exist"),
            (gguf, "is no GGUF file"),
        ] {
            let error = format!("{:#}", describe(&path).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }
}
