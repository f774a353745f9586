//! Workers as processes on this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use posthuman_types::{JobId, ModelDetails, ObjectId};
use rand::Rng;
use tokio::sync::oneshot;

use crate::launcher::{Control, Keep, Run, directory, run};
pub use crate::launcher::{Event, Finished, LaunchError, Outcome, TimedEvent};
use crate::stage::StageInput;
pub use crate::task::{CheckSpec, Checked, FailureCode, ImportSpec, Imported, RefusalCode, Task};
use crate::vault::Vault;

const CHECK: &str = "check-";
const IMPORT: &str = "import-";
/// How the folders are named that go when their run ends.
const PASSING: [&str; 2] = [CHECK, IMPORT];

/// How workers are run.
#[derive(Clone, Debug)]
pub struct LocalEngineOptions {
    /// The program whose hidden command `worker` calls [`crate::worker::worker_main`]: usually this very program.
    pub executable: PathBuf,
    /// The folder in which jobs have their folders.
    pub jobs: PathBuf,
    /// Whether workers lock themselves up. Turning it off takes the isolation away.
    pub sandbox: bool,
}

/// Runs workers as processes on this machine. It does not limit how many: the caller leases jobs one by one.
#[derive(Clone)]
pub struct LocalEngine {
    vault: Arc<Vault>,
    options: LocalEngineOptions,
}

/// One run to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What to do.
    pub task: Task,
    /// The sealed model that goes in; for an import the sealed `model.safetensors`; absent for the blank model.
    pub model: Option<ObjectId>,
    /// The inputs that the task names, each once.
    pub inputs: Vec<StageInput>,
    /// The checkpoint to go on from.
    pub checkpoint: Option<ObjectId>,
    /// Steps between two checkpoints of a training; 0 is never.
    pub checkpoint_every: u32,
    /// Tokens that the order still allows; absent where nothing is counted.
    pub allowance: Option<u64>,
    /// How long it may take by the clock on the wall.
    pub deadline: Option<Duration>,
}

impl LocalEngine {
    /// An engine on a vault.
    pub fn new(vault: Arc<Vault>, options: LocalEngineOptions) -> Self {
        Self { vault, options }
    }

    /// Starts a worker in a thread of its own, which also brings the inputs in and takes the result.
    ///
    /// `on_event` is called in order, outside of any asynchronous runtime; it may block, and the worker then waits.
    /// It is dropped before the outcome is given.
    ///
    /// # Errors
    /// The thread could not be started. All other trouble is told by [`RunningJob::wait`].
    pub fn start(
        &self,
        launch: Launch,
        on_event: impl FnMut(TimedEvent) + Send + 'static,
    ) -> Result<RunningJob, LaunchError> {
        let (control, orders) = mpsc::channel();
        let (tell, outcome) = oneshot::channel();
        let (vault, options, own_control) = (Arc::clone(&self.vault), self.options.clone(), control.clone());
        let work = move || {
            let directory = options.jobs.join(directory_name(&launch.task));
            let keep_directory = matches!(launch.task, Task::Job(_));
            let prepared = Run {
                vault: &vault,
                executable: options.executable,
                directory,
                task: launch.task,
                model: launch.model,
                inputs: launch.inputs,
                checkpoint: launch.checkpoint,
                checkpoint_every: launch.checkpoint_every,
                allowance: launch.allowance,
                deadline: launch.deadline,
                sandbox: options.sandbox,
                keep: Keep::Pending,
            };
            let ended = run(&prepared, (&own_control, &orders), Box::new(on_event));
            if !keep_directory {
                let _ = fs::remove_dir_all(&prepared.directory);
            }
            // Nobody may be waiting any more.
            let _ = tell.send(ended);
        };
        let executable = self.options.executable.clone();
        thread::Builder::new()
            .name("worker-launcher".to_owned())
            .spawn(work)
            .map_err(|source| LaunchError::Spawn { executable, source })?;
        Ok(RunningJob { control, outcome })
    }

    /// Removes what checks and imports of a former life left: folders with the texts of users, which nobody asks for any
    /// more. Only for a node that starts.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn remove_leftovers(&self) -> Result<(), LaunchError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| LaunchError::Directory { path, source }
        };
        let jobs = &self.options.jobs;
        let entries = match fs::read_dir(jobs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(jobs))?,
        };
        for entry in entries {
            let path = entry.map_err(at(jobs))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if PASSING.iter().any(|prefix| name.starts_with(prefix)) {
                fs::remove_dir_all(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }

    /// The folder of a job.
    pub fn directory(&self, job: &JobId) -> PathBuf {
        self.options.jobs.join(job.to_string())
    }

    /// What a training's worker told of the model that it made, besides its shape; nothing in folders of versions that
    /// did not ask.
    ///
    /// # Errors
    /// Trouble with files, or a file that is damaged.
    pub fn details(&self, job: &JobId) -> Result<Option<ModelDetails>, LaunchError> {
        let path = self.directory(job);
        directory::details(&path).map_err(|source| LaunchError::Directory { path, source })
    }

    /// Removes the folder of a job. One that is not there is fine.
    ///
    /// # Errors
    /// Trouble with files.
    pub fn remove_directory(&self, job: &JobId) -> Result<(), LaunchError> {
        let path = self.directory(job);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(LaunchError::Directory { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// A worker at work. Dropping this kills it.
pub struct RunningJob {
    control: mpsc::Sender<Control>,
    outcome: oneshot::Receiver<Result<Outcome, LaunchError>>,
}

impl RunningJob {
    /// Asks the worker to stop after the present step; it is killed if it does not within ten seconds. A job that ends
    /// at that moment is finished all the same.
    pub fn cancel(&self) {
        // A launcher that is gone has nothing to cancel; so below.
        let _ = self.control.send(Control::Cancel);
    }

    /// Kills the worker.
    pub fn kill(&self) {
        let _ = self.control.send(Control::Kill);
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What kept the run from beginning, or the launcher from doing its part.
    pub async fn wait(mut self) -> Result<Outcome, LaunchError> {
        (&mut self.outcome).await.unwrap_or(Err(LaunchError::Lost))
    }

    /// Waits for the end, outside of any asynchronous runtime.
    ///
    /// # Errors
    /// As for [`RunningJob::wait`].
    pub fn wait_blocking(mut self) -> Result<Outcome, LaunchError> {
        let (_, nothing) = oneshot::channel();
        std::mem::replace(&mut self.outcome, nothing)
            .blocking_recv()
            .unwrap_or(Err(LaunchError::Lost))
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.kill();
    }
}

fn directory_name(task: &Task) -> String {
    match task {
        Task::Job(job) => job.job_id.to_string(),
        Task::Check(_) => format!("{CHECK}{:016x}", rand::rng().next_u64()),
        Task::Import(_) => format!("{IMPORT}{:016x}", rand::rng().next_u64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{MasterKey, Password};

    #[test]
    fn folders_of_checks_and_imports_do_not_outlive_the_node() {
        let folder = tempfile::tempdir().unwrap();
        let password = Password::from_text("p".to_owned()).unwrap();
        let key = MasterKey::create(&folder.path().join("key"), &password).unwrap();
        let vault = Vault::open(&folder.path().join("vault"), key, None).unwrap();
        let jobs = folder.path().join("jobs");
        let options = LocalEngineOptions {
            executable: PathBuf::new(),
            jobs: jobs.clone(),
            sandbox: true,
        };
        let engine = LocalEngine::new(Arc::new(vault), options);
        engine.remove_leftovers().unwrap();

        let job = JobId([7; 16]).to_string();
        for name in ["check-0123", "import-4567", &job] {
            fs::create_dir_all(jobs.join(name).join("inputs")).unwrap();
            fs::write(jobs.join(name).join("inputs/text"), "Call me Ishmael.").unwrap();
        }
        engine.remove_leftovers().unwrap();
        let left: Vec<_> = fs::read_dir(&jobs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [job.as_str()]);
    }
}
