//! What a worker may still do, once it has locked itself up.
//!
//! The worker locks itself up at the very start of `main`, before it has a second thread and before it reads a byte of
//! anybody's input. From then on it can compute, read its `inputs/`, write its `outputs/` and use the descriptors it
//! was given; it has no network, no other file, no other process and no way to start one. It can still learn whether
//! a path exists, and its size and times: Landlock does not govern `stat`. Four layers, each of which would refuse most
//! of this alone:
//!
//! - *no new privileges*, no capabilities, not even in the bounding set;
//! - *Landlock* (see `landlock(7)`) for files, and from kernel 6.12 on for signals and abstract sockets;
//! - *seccomp* with a list of the system calls a computation needs; every other one fails with EPERM;
//! - *limits* of memory, processor time, descriptors and file sizes; no core dump; not traceable; dies with the node.
//!
//! Nothing is taken on trust: [`probe`] starts a real worker that tries to break out, and the node does not start
//! unless each attempt is refused. It does not hide how much processor time and memory a computation takes.

mod filter;
mod probe;

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use posthuman_types::Limits;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

pub(crate) use probe::worker_probe;
pub use probe::{SandboxUnavailable, probe};

/// Descriptors a worker may have open: three standard ones, three from the launcher, a few files of its own.
const OPEN_FILES: u64 = 64;
/// The largest file a worker may write: longer than any text, metric or log of a job.
pub(crate) const FILE_BYTES: u64 = 1 << 28;
/// Seconds of processor time between the signal that a limit was reached and the end.
const PROCESSOR_GRACE: u64 = 5;

/// A worker that could not lock itself up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// A privilege that could not be given up, or a limit that could not be set.
    #[error("{step} failed")]
    Privileges { step: &'static str, source: io::Error },
    /// Landlock refused.
    #[error("Landlock could not be set up")]
    Landlock(#[from] RulesetError),
    /// A folder of the job that Landlock should allow is not there.
    #[error("a folder of the job could not be opened")]
    Folder(#[from] PathFdError),
    /// The kernel has no Landlock.
    #[error("this kernel has no Landlock: Linux 5.13 or newer with it enabled is needed")]
    NoLandlock,
    /// The filter of system calls could not be made or installed.
    #[error("seccomp could not be set up")]
    Seccomp(#[from] filter::FilterError),
}

/// Gives up everything but the job's own folders and the descriptors that are open already. For good.
pub(crate) fn enter(directory: &Path) -> Result<(), SandboxError> {
    drop_privileges()?;
    restrict_files(directory)?;
    filter::install()?;
    Ok(())
}

/// Sets the limits of the job. They hold without a sandbox too.
pub(crate) fn limit(limits: &Limits) -> Result<(), SandboxError> {
    let processor = limits.cpu_seconds;
    let all = [
        (
            "limiting memory",
            Resource::As,
            limits.memory_bytes,
            limits.memory_bytes,
        ),
        (
            "limiting processor time",
            Resource::Cpu,
            processor,
            processor.saturating_add(PROCESSOR_GRACE),
        ),
        ("limiting open files", Resource::Nofile, OPEN_FILES, OPEN_FILES),
        ("limiting file sizes", Resource::Fsize, FILE_BYTES, FILE_BYTES),
    ];
    for (step, resource, soft, hard) in all {
        let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit {
            current: Some(soft.min(ceiling)),
            maximum: Some(hard.min(ceiling)),
        };
        rustix::process::setrlimit(resource, limit).map_err(failed(step))?;
    }
    Ok(())
}

/// Keeps this process out of core dumps and its memory from other processes of the same user. Whoever holds keys calls
/// it before it opens them: the worker, and the program that is a node. Programs that it starts write no core dump
/// either.
///
/// # Errors
/// The kernel refused.
pub fn hide_memory() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    Ok(rustix::process::set_dumpable_behavior(
        DumpableBehavior::NotDumpable,
    )?)
}

/// Makes the kernel end this process with the thread that started it, and hides its memory. Both hold without a sandbox
/// too.
pub(crate) fn tie_to_parent() -> Result<(), SandboxError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(failed("tying to the parent"))?;
    hide_memory().map_err(|source| SandboxError::Privileges {
        step: "hiding the memory",
        source,
    })
}

fn drop_privileges() -> Result<(), SandboxError> {
    rustix::thread::set_no_new_privs(true).map_err(failed("giving up new privileges"))?;
    rustix::thread::clear_ambient_capability_set().map_err(failed("dropping ambient capabilities"))?;
    for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        // Only a privileged process has a bounding set worth dropping, and only it may; the kernel ends the list with
        // EINVAL.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed("dropping capabilities"))
}

fn restrict_files(directory: &Path) -> Result<(), SandboxError> {
    // Each kernel takes what it knows of this; what it must hold against is tried out by the probe.
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Truncate;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(directory.join("inputs"))?, read))?
        .add_rule(PathBeneath::new(PathFd::new(directory.join("outputs"))?, write))?
        .restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        Err(SandboxError::NoLandlock)
    } else {
        Ok(())
    }
}

fn failed(step: &'static str) -> impl Fn(rustix::io::Errno) -> SandboxError {
    move |error| SandboxError::Privileges {
        step,
        source: error.into(),
    }
}
