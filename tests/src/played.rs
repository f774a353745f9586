//! The whole story, played once by the binary as `make demo` plays it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::files::tail;
use crate::keys::Keys;
use crate::process::{Process, posthuman_command};
use crate::recorder::{Recorder, Recording};

/// A story that takes longer than this hangs. It is meant to end within six minutes on two cores of its own.
const LONGEST: Duration = Duration::from_secs(40 * 60);
/// Devnet and node stop within this.
const STOP: Duration = Duration::from_secs(180);
/// Lines of stderr that a failure shows.
const SHOWN: usize = 40;

/// The story at its end, with devnet and node still up (`--keep`).
#[derive(Debug)]
pub struct Played {
    /// The object on the last line of stdout.
    pub said: Value,
    /// What the folder held at any time while it played, the chain's left out.
    pub recording: Recording,
    process: Process,
    lines: Receiver<String>,
    printed: Vec<String>,
    folder: TempDir,
}

impl Played {
    /// Plays it.
    ///
    /// # Errors
    /// It fails, says no JSON, or takes longer than 40 minutes.
    pub fn play() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("posthuman-e2e-story-")
            .tempdir()?;
        let (data, stderr) = (folder.path().join("data"), folder.path().join("demo.err"));
        let mut command = posthuman_command()?;
        command.args(["demo", "--json", "--keep", "--data"]).arg(&data);
        // A setting for another node, which the one of the story does not take.
        command.env("POSTHUMAN_WORKERS", "no number");
        // Whatever it writes aside is searched as well.
        let scratch = folder.path().join("scratch");
        std::fs::create_dir(&scratch)?;
        command.env("TMPDIR", &scratch);
        // The chain forgets nothing, so that what it holds at the end is what it ever held.
        let recorder = Recorder::start(folder.path().to_owned(), data.join("devnet"));
        let mut process = Process::spawn(command, Stdio::piped(), File::create(&stderr)?.into())?;
        let stdout = process.child().stdout.take().context("the demo has no stdout")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more after a failure.
                let _ = sender.send(line);
            }
        });
        let Ok((said, printed)) = read_object(&lines) else {
            let status = process.wait(Duration::from_secs(5));
            bail!(
                "the demo tells no story ({status:?}); its stderr ends with\n{}",
                tail(&stderr, SHOWN)
            );
        };
        Ok(Self {
            said,
            recording: recorder.finish()?,
            process,
            lines,
            printed,
            folder,
        })
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that the story left: the data folder, what the binary wrote to stderr, what it wrote aside.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The node's keys.
    pub fn keys(&self) -> Keys {
        Keys::of(&self.data())
    }

    /// What stderr holds.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("demo.err")).unwrap_or_default()
    }

    /// Stops devnet and node as Ctrl-C does, and answers how the binary ended and every line of its stdout.
    ///
    /// # Errors
    /// It does not stop.
    pub fn end(&mut self) -> anyhow::Result<(ExitStatus, Vec<String>)> {
        let status = self.process.stop(STOP)?;
        self.printed.extend(self.lines.iter());
        Ok((status, self.printed.clone()))
    }
}

/// Waits for the line that is a JSON object; answers it and all lines up to it.
fn read_object(lines: &Receiver<String>) -> anyhow::Result<(Value, Vec<String>)> {
    let until = Instant::now() + LONGEST;
    let mut printed = Vec::new();
    loop {
        let line = lines.recv_timeout(until.saturating_duration_since(Instant::now()))?;
        let object = serde_json::from_str::<Value>(&line).ok().filter(Value::is_object);
        printed.push(line);
        if let Some(object) = object {
            return Ok((object, printed));
        }
    }
}
