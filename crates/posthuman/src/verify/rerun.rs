//! Running a job again where the machine holds the sealed weights, and comparing what comes out.

use std::path::{Path, PathBuf};

use posthuman_jobs::engine::local::Task;
use posthuman_jobs::rerun::{Rerun, RerunError, rerun as run_again};
use posthuman_jobs::stage::{Source, StageInput};
use posthuman_jobs::vault::{MasterKey, Vault};
use posthuman_proofs::{check_statement, compare, read_statement};
use posthuman_types::{Commitment, JobSpec, ObjectId, Receipt, Statement};

use super::Check;
use crate::MarketError;
use crate::error::full_text;

/// Where the node that ran the job keeps it, and how to run it.
#[derive(Debug)]
pub struct RerunOptions {
    /// The node's data folder. It is only read; the node may be running.
    pub data: PathBuf,
    /// The vault's master key.
    pub master_key: MasterKey,
    /// The executable whose hidden `worker` command runs jobs.
    pub executable: PathBuf,
    /// Whether the worker is confined.
    pub sandbox: bool,
    /// Numbers of threads, one run for each. None of them changes a bit.
    pub threads: Vec<u16>,
}

/// Runs the job of a receipt again, once for each number of threads, in a fresh process and an empty folder.
/// The first check compares the kept statement with the receipt, each further one a run with the statement.
///
/// Blocks: call it off the async threads.
///
/// # Errors
/// The folder lacks the job, its inputs or the weights, or this machine the engine that the receipt names.
pub fn rerun(receipt: &Receipt, options: &RerunOptions) -> Result<Vec<Check>, MarketError> {
    let folder = options.data.join("jobs").join(receipt.job.to_string());
    let spec = read_spec(&folder)?;
    let first = read_first(&folder)?;
    let kept = check_statement(receipt, &first);
    let mut checks = vec![check(
        "kept statement",
        "the receipt says what the worker stated",
        kept,
    )];
    let vault =
        Vault::open_read_only(&options.data.join("vault"), options.master_key.clone()).map_err(|error| {
            local(
                format!("cannot open the vault in {}", options.data.display()),
                error,
            )
        })?;
    let model = find(&vault, first.commitment_in.as_ref())?;
    let result = find(&vault, first.commitment_out.as_ref())?;
    let scratch = tempfile::tempdir().map_err(|source| MarketError::File {
        path: std::env::temp_dir(),
        source,
    })?;
    for &threads in &options.threads {
        let run = Rerun {
            executable: options.executable.clone(),
            spec: spec.clone(),
            engine: first.engine.clone(),
            model,
            result,
            inputs: inputs(&folder, &spec),
            threads,
            scratch: scratch.path().to_owned(),
            sandbox: options.sandbox,
        };
        let again = run_again(&vault, &run);
        let good = format!("with {threads} threads: the same bits");
        checks.push(match again {
            Ok(again) => check("re-run", &good, compare(&first, &again)),
            // What this machine cannot compute says nothing against the receipt.
            Err(error @ RerunError::Engine(_)) => return Err(MarketError::Input(full_text(&error))),
            Err(error) => {
                let error = full_text(&error);
                Check {
                    name: "re-run",
                    ok: false,
                    detail: format!("with {threads} threads: {error}"),
                }
            }
        });
    }
    Ok(checks)
}

fn check<E: std::fmt::Display>(name: &'static str, good: &str, result: Result<(), E>) -> Check {
    match result {
        Ok(()) => Check {
            name,
            ok: true,
            detail: good.to_owned(),
        },
        Err(error) => Check {
            name,
            ok: false,
            detail: error.to_string(),
        },
    }
}

fn read_spec(folder: &Path) -> Result<JobSpec, MarketError> {
    let path = folder.join("job.json");
    let bytes = read(&path)?;
    match serde_json::from_slice(&bytes) {
        Ok(Task::Job(spec)) => Ok(spec),
        Ok(Task::Check(_) | Task::Import(_)) => {
            Err(MarketError::Input(format!("{} is no paid job", path.display())))
        }
        Err(error) => Err(local(
            format!("{} is not a job's specification", path.display()),
            error,
        )),
    }
}

fn read_first(folder: &Path) -> Result<Statement, MarketError> {
    let path = folder.join("statement.json");
    read_statement(&read(&path)?)
        .map_err(|error| local(format!("{} is not a statement", path.display()), error))
}

fn read(path: &Path) -> Result<Vec<u8>, MarketError> {
    std::fs::read(path).map_err(|source| MarketError::File {
        path: path.to_owned(),
        source,
    })
}

fn inputs(folder: &Path, spec: &JobSpec) -> Vec<StageInput> {
    let file = |name: &str| Source::File(folder.join("inputs").join(name));
    spec.inputs
        .inputs()
        .iter()
        .map(|input| StageInput {
            input: input.clone(),
            source: file(&input.name),
        })
        .collect()
}

fn find(vault: &Vault, commitment: Option<&Commitment>) -> Result<Option<ObjectId>, MarketError> {
    let Some(commitment) = commitment else {
        return Ok(None);
    };
    let found = vault
        .find_commitment(commitment)
        .map_err(|error| local("cannot look for the weights in the vault".to_owned(), error))?;
    found.map(Some).ok_or_else(|| {
        MarketError::Input(format!(
            "the vault here does not hold the weights {}; re-run where they are",
            commitment.root
        ))
    })
}

fn local(what: String, source: impl std::error::Error + Send + Sync + 'static) -> MarketError {
    MarketError::Local {
        what,
        source: Box::new(source),
    }
}
