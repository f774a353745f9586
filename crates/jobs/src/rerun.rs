//! Running a job again, to see whether it says the same.

use std::path::PathBuf;
use std::sync::mpsc;

use posthuman_types::{ErrorClass, JobSpec, ObjectId, Operation, Statement};

use crate::launcher::{Keep, LaunchError, Outcome, Run, run};
use crate::numerics::{self, EngineError};
use crate::stage::StageInput;
use crate::task::Task;
use crate::vault::{Secret, Vault};

/// A job to be run again.
#[derive(Clone, Debug)]
pub struct Rerun {
    /// The program whose hidden command `worker` is the worker.
    pub executable: PathBuf,
    /// The job as it was specified. Its `engine` and `threads` are replaced.
    pub spec: JobSpec,
    /// The engine that ran it, as its receipt names it.
    pub engine: String,
    /// The sealed model that went in; absent for a model made from scratch.
    pub model: Option<ObjectId>,
    /// The sealed model that came out of a training: its salt is needed to make the same commitment.
    pub result: Option<ObjectId>,
    /// The inputs that the job names.
    pub inputs: Vec<StageInput>,
    /// Threads to run it with.
    pub threads: u16,
    /// An empty folder, or one that does not exist yet. A folder for the job is made in it and removed again.
    pub scratch: PathBuf,
    /// Whether the worker locks itself up.
    pub sandbox: bool,
}

/// A re-run that gave no statement.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// Its engine does not run here: that says nothing of the job.
    #[error("the job cannot be run again on this machine")]
    Engine(#[from] EngineError),
    /// It could not begin.
    #[error("the job could not be run again")]
    Launch(#[from] LaunchError),
    /// The worker ended without a statement, though it gave one when the job was paid.
    #[error("the job, run again, gives no result ({code}): {reason}")]
    NoStatement {
        /// Code of the refusal or failure.
        code: String,
        /// The reason in a sentence.
        reason: String,
    },
}

impl RerunError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Engine(error) => error.class(),
            Self::Launch(error) => error.class(),
            Self::NoStatement { .. } => ErrorClass::Conflict,
        }
    }
}

/// Runs a job again in a fresh process and an empty folder, with the same salts and throw-away keys: what it seals is
/// discarded, and the vault, which may be open for reading alone, is not changed. Blocks.
///
/// Comparing the statement with the first one is `posthuman_proofs::compare`'s part.
///
/// # Errors
/// The engine is not here, the vault lacks the model, an input is not the one named, or the worker gives no statement.
pub fn rerun(vault: &Vault, rerun: &Rerun) -> Result<Statement, RerunError> {
    numerics::arithmetic_of(&rerun.engine)?;
    let output_salt = match rerun.result.filter(|_| rerun.spec.operation == Operation::Train) {
        Some(object) => vault.salt(object).map_err(LaunchError::from)?,
        None => Secret::random(),
    };
    let directory = rerun.scratch.join(rerun.spec.job_id.to_string());
    let prepared = Run {
        vault,
        executable: rerun.executable.clone(),
        directory: directory.clone(),
        task: Task::Job(JobSpec {
            engine: Some(rerun.engine.clone()),
            threads: rerun.threads,
            ..rerun.spec.clone()
        }),
        model: rerun.model,
        inputs: rerun.inputs.clone(),
        checkpoint: None,
        checkpoint_every: 0,
        allowance: None,
        deadline: None,
        sandbox: rerun.sandbox,
        keep: Keep::Nothing { output_salt },
    };
    let (control, orders) = mpsc::channel();
    let outcome = run(&prepared, (&control, &orders), Box::new(|_| {}));
    let _ = std::fs::remove_dir_all(directory);
    let (code, reason) = match outcome? {
        Outcome::Finished(finished) => return Ok(finished.statement),
        Outcome::Refused { code, reason } => (code.to_string(), reason),
        Outcome::Failed { code, reason } => (code.to_string(), reason),
        Outcome::Cancelled | Outcome::Checked(_) | Outcome::Imported(_) => {
            ("cancelled".to_owned(), "the worker was stopped".to_owned())
        }
    };
    Err(RerunError::NoStatement { code, reason })
}
