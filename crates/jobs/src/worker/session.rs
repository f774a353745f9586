//! What a worker holds while it works: its folder, its descriptors and the line to the launcher.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use posthuman_proofs::{StatementFacts, build_statement, statement_bytes};
use posthuman_types::{Input, InputManifest, JobSpec, Progress};

use super::descriptors;
use super::stop::Stop;
use crate::handover::JobKeys;
use crate::protocol::{self, Ending, LauncherMessage, Start, WorkerMessage};
use crate::sandbox;
use crate::task::{FailureCode, Task};

pub(super) struct Session {
    pub(super) task: Task,
    pub(super) start: Start,
    pub(super) keys: JobKeys,
    pub(super) sealed_input: BufReader<File>,
    pub(super) sealed_output: BufWriter<File>,
    directory: PathBuf,
    /// Opened before the sandbox closed, since they lie outside of `outputs/`.
    progress: File,
    statement: File,
    cancelled: Arc<AtomicBool>,
}

impl Session {
    /// Opens the job's folder, locks the process up and takes over what the launcher hands over.
    pub(super) fn open(directory: &Path, locked: bool) -> Result<Self, Stop> {
        sandbox::tie_to_parent()?;
        let directory = directory
            .canonicalize()
            .map_err(Stop::io("opening the job's folder"))?;
        let json = fs::read(directory.join("job.json")).map_err(Stop::io("reading job.json"))?;
        let task: Task = serde_json::from_slice(&json).map_err(|error| Stop::internal(&error))?;
        let [progress, statement] =
            ["progress.jsonl", "statement.json"].map(|name| create(&directory.join(name)));
        sandbox::limit(task.limits())?;
        if locked {
            sandbox::enter(&directory)?;
        }
        let mut commands = BufReader::new(io::stdin());
        let start = match protocol::read_line(&mut commands) {
            Ok(Some(LauncherMessage::Start(start))) => start,
            Ok(_) => {
                return Err(Stop::Failed(
                    FailureCode::Protocol,
                    "the launcher did not say `start`".to_owned(),
                ));
            }
            Err(error) => return Err(Stop::failed(FailureCode::Protocol, &error)),
        };
        let [keys, input, output] = start.descriptors;
        if keys == input || input == output || keys == output {
            return Err(Stop::Failed(
                FailureCode::Protocol,
                "a descriptor was given twice".to_owned(),
            ));
        }
        let take = |number| descriptors::take(number).map_err(Stop::io("taking over a descriptor"));
        let keys = JobKeys::read(&mut take(keys)?).map_err(Stop::io("reading the job's keys"))?;
        let cancelled = Arc::new(AtomicBool::new(false));
        obey(commands, Arc::clone(&cancelled));
        Ok(Self {
            task,
            keys,
            sealed_input: BufReader::new(take(input)?),
            sealed_output: BufWriter::new(take(output)?),
            start,
            directory,
            progress: progress?,
            statement: statement?,
            cancelled,
        })
    }

    /// The folder with the inputs.
    pub(super) fn inputs(&self) -> PathBuf {
        self.directory.join("inputs")
    }

    /// Whether the launcher wants it to stop.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// A new phase begins.
    pub(super) fn phase(&mut self, name: &str) -> Result<(), Stop> {
        self.report(Progress::Phase {
            name: name.to_owned(),
        })
    }

    /// Tells of progress, and stops where the launcher wants that.
    pub(super) fn report(&mut self, progress: Progress) -> Result<(), Stop> {
        if self.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let message = WorkerMessage::Progress(progress);
        protocol::write_line(&mut self.progress, &message).map_err(Stop::io("writing progress.jsonl"))?;
        protocol::write_line(&mut io::stdout().lock(), &message).map_err(Stop::io("telling of progress"))
    }

    /// Writes one file under `outputs/`.
    pub(super) fn write_output(&self, name: &str, bytes: &[u8]) -> Result<Input, Stop> {
        let path = self.directory.join("outputs").join(name);
        let written = create(&path).and_then(|mut file| {
            file.write_all(bytes)
                .and_then(|()| file.sync_all())
                .map_err(Stop::io("writing an output"))
        });
        written.map(|()| Input::describe(name, bytes))
    }

    /// Writes the statement: the last thing a job does.
    pub(super) fn state(
        &mut self,
        job: &JobSpec,
        outputs: Vec<Input>,
        facts: StatementFacts,
    ) -> Result<(), Stop> {
        let facts = StatementFacts {
            outputs: InputManifest::new(outputs),
            ..facts
        };
        let statement = build_statement(job, facts).map_err(|error| Stop::internal(&error))?;
        self.sealed_output
            .flush()
            .map_err(Stop::io("handing over the sealed result"))?;
        self.statement
            .write_all(&statement_bytes(&statement))
            .and_then(|()| self.statement.sync_all())
            .map_err(Stop::io("writing statement.json"))
    }

    /// Says how it ended.
    pub(super) fn end(mut self, ending: &Ending) -> ExitCode {
        // A launcher that is gone hears neither of this.
        let _ = self.sealed_output.flush();
        say(ending)
    }

    /// Says how it ended before it began.
    pub(super) fn end_without(ending: Ending) -> ExitCode {
        say(&ending)
    }
}

fn say(ending: &Ending) -> ExitCode {
    match protocol::write_line(&mut io::stdout().lock(), &WorkerMessage::Ending(ending.clone())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Listens to the launcher. When it is gone, nobody waits for the result: the process ends at once.
fn obey(mut commands: BufReader<io::Stdin>, cancelled: Arc<AtomicBool>) {
    thread::spawn(move || {
        while let Ok(Some(LauncherMessage::Cancel)) = protocol::read_line(&mut commands) {
            cancelled.store(true, Ordering::Relaxed);
        }
        std::process::exit(1);
    });
}

fn create(path: &Path) -> Result<File, Stop> {
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    options.map_err(Stop::io("making a file in the job's folder"))
}
