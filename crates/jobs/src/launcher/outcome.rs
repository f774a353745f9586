//! What came of a run.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use posthuman_proofs::{check_answers, read_statement};
use posthuman_types::{Commitment, ModelDetails, ObjectId, Statement};

use super::drain::{DrainError, Drained};
use super::{LaunchError, Run, Stopped, directory};
use crate::break_point::break_point;
use crate::protocol::{Ending, ProtocolError};
use crate::task::{Checked, FailureCode, ImportFacts, Imported, RefusalCode, Task};
use crate::vault::{Shelf, VaultError};

/// What came of a run.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one per job, and it is taken apart at once"
)]
#[derive(Debug)]
pub enum Outcome {
    /// The job is done.
    Finished(Finished),
    /// The question is answered.
    Checked(Checked),
    /// The model is sealed and pending in the vault.
    Imported(Imported),
    /// What was asked cannot be done.
    Refused {
        /// The public code.
        code: RefusalCode,
        /// The reason in a sentence.
        reason: String,
    },
    /// It went wrong.
    Failed {
        /// The public code.
        code: FailureCode,
        /// The reason in a sentence.
        reason: String,
    },
    /// It was cancelled or killed by its owner.
    Cancelled,
}

/// A job that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// What the worker states. It answers the job's specification and names the outputs as they lie in the folder.
    pub statement: Statement,
    /// The sealed model of a training, pending in the vault: commit it once the database has recorded it. Absent in
    /// every other operation.
    pub result: Option<ObjectId>,
    /// The job's folder. It stays until the caller removes it.
    pub directory: PathBuf,
    /// The files under `outputs/`, in order of their names.
    pub outputs: Vec<PathBuf>,
}

/// All that is known when a worker has ended.
pub(super) struct Ended {
    pub(super) exit: io::Result<ExitStatus>,
    pub(super) stopped: Option<Stopped>,
    pub(super) said: Result<Option<Ending>, ProtocolError>,
    pub(super) fed: Result<(), VaultError>,
    pub(super) drained: Result<Drained, DrainError>,
    pub(super) log: String,
}

/// Decides what came of it. Causes go before their effects: a chunk that could not be read before the worker that
/// was killed for it.
pub(super) fn decide(run: &Run<'_>, ended: Ended) -> Result<Outcome, LaunchError> {
    if let Err(error) = &ended.fed {
        return Ok(failed(vault_code(error), error));
    }
    if let Err(error) = &ended.drained {
        let code = match error {
            DrainError::Vault(VaultError::Full { .. }) => FailureCode::DiskFull,
            DrainError::Vault(_) => FailureCode::Internal,
            // A worker that dies leaves half a frame behind.
            DrainError::Stream(_) if died_by_itself(&ended) => return Ok(died(&ended)),
            DrainError::Stream(_) => FailureCode::Protocol,
        };
        return Ok(failed(code, error));
    }
    match &ended.said {
        Err(_) if died_by_itself(&ended) => Ok(died(&ended)),
        Err(error) => Ok(failed(FailureCode::Protocol, error)),
        Ok(Some(Ending::Refused { code, reason })) => Ok(Outcome::Refused {
            code: *code,
            reason: reason.clone(),
        }),
        Ok(Some(Ending::Failed { code, reason })) => Ok(Outcome::Failed {
            code: *code,
            reason: reason.clone(),
        }),
        Ok(Some(Ending::Cancelled)) => Ok(Outcome::Cancelled),
        Ok(None) => Ok(died(&ended)),
        Ok(Some(_)) if !succeeded(&ended.exit) => Ok(died(&ended)),
        Ok(Some(_)) => accept(run, ended),
    }
}

/// The worker says that it is done: checks it and takes the result.
fn accept(run: &Run<'_>, ended: Ended) -> Result<Outcome, LaunchError> {
    let (Ok(Some(said)), Ok(drained)) = (ended.said, ended.drained) else {
        return Err(LaunchError::Lost);
    };
    match (said, &run.task) {
        (Ending::Checked(checked), Task::Check(_)) => Ok(Outcome::Checked(checked)),
        (Ending::Imported(facts), Task::Import(_)) => imported(drained, *facts),
        (Ending::Done, Task::Job(_)) => finished(run, drained, None),
        (Ending::Trained { details }, Task::Job(_)) => finished(run, drained, details.as_deref()),
        _ => Ok(protocol_failure("it answered something that was not asked")),
    }
}

fn imported(drained: Drained, facts: ImportFacts) -> Result<Outcome, LaunchError> {
    let Some(result) = drained.result else {
        return Ok(protocol_failure("it sealed no model"));
    };
    let object = match result.finish(Some(facts.commitment.clone()), Shelf::Pending) {
        Ok(object) => object,
        Err(error) => return Ok(failed(vault_code(&error), &error)),
    };
    break_point("launcher.result.before_record");
    let ImportFacts {
        commitment,
        tokenizer,
        config,
        architecture,
        source,
    } = facts;
    Ok(Outcome::Imported(Imported {
        object,
        commitment,
        tokenizer,
        config,
        architecture,
        source,
    }))
}

fn finished(run: &Run<'_>, drained: Drained, details: Option<&ModelDetails>) -> Result<Outcome, LaunchError> {
    let Task::Job(spec) = &run.task else {
        return Err(LaunchError::Lost);
    };
    let path = run.directory.join("statement.json");
    let bytes = fs::read(&path).map_err(super::directory_error(&path))?;
    let statement = match read_statement(&bytes) {
        Ok(statement) => statement,
        Err(error) => return Ok(failed(FailureCode::Protocol, &error)),
    };
    if let Err(error) = check_answers(&statement, spec) {
        return Ok(failed(FailureCode::Protocol, &error));
    }
    match directory::outputs(&run.directory, &run.task) {
        Err(reason) => {
            return Ok(Outcome::Failed {
                code: FailureCode::OutputNotAllowed,
                reason,
            });
        }
        Ok(outputs) if outputs != statement.outputs => {
            return Ok(protocol_failure(
                "its statement names other outputs than there are",
            ));
        }
        Ok(_) => {}
    }
    if drained.whole != run.task.makes_a_model() {
        return Ok(protocol_failure("it did not seal a whole model"));
    }
    if let Some(details) = details {
        directory::keep_details(&run.directory, details)?;
    }
    let result = match take_result(drained, statement.commitment_out.as_ref()) {
        Ok(result) => result,
        Err(error) => return Ok(failed(vault_code(&error), &error)),
    };
    break_point("launcher.result.before_record");
    let directory = run.directory.clone();
    let outputs = statement
        .outputs
        .inputs()
        .iter()
        .map(|output| directory.join("outputs").join(&output.name))
        .collect();
    Ok(Outcome::Finished(Finished {
        statement,
        result,
        directory,
        outputs,
    }))
}

fn take_result(drained: Drained, commitment: Option<&Commitment>) -> Result<Option<ObjectId>, VaultError> {
    drained
        .result
        .map(|result| result.finish(commitment.cloned(), Shelf::Pending))
        .transpose()
}

/// A worker that ended without saying why.
fn died(ended: &Ended) -> Outcome {
    let (code, reason) = match ended.stopped {
        Some(Stopped::Cancelled | Stopped::Killed) => return Outcome::Cancelled,
        Some(Stopped::Deadline) => (
            FailureCode::Deadline,
            "the job took longer than it may: ask for less, or give it more time".to_owned(),
        ),
        Some(Stopped::Aborted) | None => cause_of_death(ended),
    };
    Outcome::Failed { code, reason }
}

/// Whether the worker's end explains what is wrong with its messages, and not the other way round.
fn died_by_itself(ended: &Ended) -> bool {
    match &ended.exit {
        Ok(status) if status.success() => false,
        Ok(status) if status.signal() == Some(libc::SIGKILL) => ended.stopped != Some(Stopped::Aborted),
        _ => true,
    }
}

fn cause_of_death(ended: &Ended) -> (FailureCode, String) {
    let memory = "the job needed more memory than it may have: ask for less, or raise the limit of memory";
    let status = match &ended.exit {
        Ok(status) => *status,
        Err(error) => {
            return (
                FailureCode::Crashed,
                format!("the worker could not be waited for: {error}"),
            );
        }
    };
    match status.signal() {
        // Nobody here sent it: the machine's operator, or the kernel, which does it when the machine's memory is short.
        // That says nothing against the job, so it is tried again.
        Some(libc::SIGKILL) => (
            FailureCode::Crashed,
            "the worker was killed from outside, as the kernel does when the machine's memory is short: ask for less \
             memory if it happens again"
                .to_owned(),
        ),
        Some(libc::SIGABRT) if ended.log.contains("memory allocation of") => {
            (FailureCode::OutOfMemory, memory.to_owned())
        }
        Some(libc::SIGXCPU) => (
            FailureCode::ProcessorTime,
            "the job needed more processor time than it may have: ask for less, or raise the limit"
                .to_owned(),
        ),
        Some(signal) => (
            FailureCode::Crashed,
            format!("the worker was ended by signal {signal}; see worker.log"),
        ),
        None => (
            FailureCode::Crashed,
            format!("the worker ended early ({status}); see worker.log"),
        ),
    }
}

fn succeeded(exit: &io::Result<ExitStatus>) -> bool {
    exit.as_ref().is_ok_and(ExitStatus::success)
}

pub(super) fn vault_code(error: &VaultError) -> FailureCode {
    match error {
        VaultError::Full { .. } => FailureCode::DiskFull,
        VaultError::ChunkMissing { .. }
        | VaultError::ChunkCorrupted { .. }
        | VaultError::ManifestDamaged { .. } => FailureCode::WeightsCorrupted,
        _ => FailureCode::Internal,
    }
}

fn protocol_failure(reason: &str) -> Outcome {
    Outcome::Failed {
        code: FailureCode::Protocol,
        reason: format!("the worker is not to be trusted: {reason}"),
    }
}

fn failed(code: FailureCode, error: &dyn Error) -> Outcome {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Outcome::Failed { code, reason }
}
