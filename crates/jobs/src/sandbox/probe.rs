//! Trying out the sandbox with a worker that attempts to break out of it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use posthuman_types::ErrorClass;
use serde::{Deserialize, Serialize};

/// The sandbox does not hold here, or could not be tried out.
#[derive(Debug, thiserror::Error)]
pub enum SandboxUnavailable {
    /// The probing worker could not be run.
    #[error("the worker that tries out the sandbox could not be run: check `{}`", executable.display())]
    NotRun {
        /// The program that should have been run.
        executable: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The worker could not lock itself up.
    #[error(
        "this machine cannot isolate workers ({reason}): use Linux 6.2 or newer with Landlock and seccomp, or start \
         with --unsafe-no-sandbox where nothing on the machine needs protection"
    )]
    NotEntered {
        /// What failed.
        reason: String,
    },
    /// The worker locked itself up and still could do something.
    #[error(
        "a locked-up worker was still able to {}: this machine does not isolate workers; start with \
         --unsafe-no-sandbox only where nothing on it needs protection", .allowed.join(", ")
    )]
    Leaks {
        /// What it could do.
        allowed: Vec<String>,
    },
}

impl SandboxUnavailable {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Unavailable
    }
}

/// What the probing worker is told to try: `probe.json`.
#[derive(Serialize, Deserialize)]
struct Plan {
    /// A file outside of its job that the same user can read.
    canary: PathBuf,
    /// The keystore of the vault's master key.
    keystore: PathBuf,
    /// A socket that listens.
    unix_socket: PathBuf,
    /// A port that listens.
    port: u16,
}

/// What came of one attempt.
#[derive(Debug, Serialize, Deserialize)]
struct Attempt {
    name: String,
    refused: bool,
}

/// Runs `executable worker --probe` on a folder of its own and checks that it is refused: TCP and Unix sockets, a file
/// outside its job for reading and writing, the keystore, its parent's environment, memory and maps under `/proc`,
/// tracing and signalling its parent, and starting a program. Blocks for some ten milliseconds.
///
/// # Errors
/// Whatever the worker could do, in words.
pub fn probe(executable: &Path, keystore: &Path) -> Result<(), SandboxUnavailable> {
    let attempts = run_probe(executable, keystore, &["worker", "--probe"])?;
    let allowed: Vec<String> = attempts
        .into_iter()
        .filter(|attempt| !attempt.refused)
        .map(|attempt| attempt.name)
        .collect();
    if allowed.is_empty() {
        Ok(())
    } else {
        Err(SandboxUnavailable::Leaks { allowed })
    }
}

/// What `worker --probe DIR` does, locked up or, to prove that the attempts are real ones, not.
pub(crate) fn worker_probe(directory: &Path, locked: bool) -> ExitCode {
    let plan: Option<Plan> = fs::read(directory.join("probe.json"))
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    let Some(plan) = plan else {
        return ExitCode::FAILURE;
    };
    if locked && let Err(error) = super::tie_to_parent().and_then(|()| super::enter(directory)) {
        let reason = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let _ = io::stdout().write_all(reason.as_bytes());
        return ExitCode::FAILURE;
    }
    let json = serde_json::to_vec(&attempts(&plan)).expect("attempts have no key that is not a string");
    match io::stdout().write_all(&json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run_probe(
    executable: &Path,
    keystore: &Path,
    arguments: &[&str],
) -> Result<Vec<Attempt>, SandboxUnavailable> {
    let not_run = |source| SandboxUnavailable::NotRun {
        executable: executable.to_owned(),
        source,
    };
    let outside = tempfile::tempdir().map_err(not_run)?;
    let job = tempfile::tempdir().map_err(not_run)?;
    let (canary, unix_socket) = (outside.path().join("canary"), outside.path().join("socket"));
    fs::write(&canary, "canary").map_err(not_run)?;
    let _unix = std::os::unix::net::UnixListener::bind(&unix_socket).map_err(not_run)?;
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").map_err(not_run)?;
    let port = tcp.local_addr().map_err(not_run)?.port();
    let plan = Plan {
        canary,
        keystore: keystore.to_owned(),
        unix_socket,
        port,
    };
    let json = serde_json::to_vec(&plan).map_err(|error| not_run(error.into()))?;
    fs::write(job.path().join("probe.json"), json).map_err(not_run)?;
    for folder in ["inputs", "outputs"] {
        fs::create_dir(job.path().join(folder)).map_err(not_run)?;
    }
    let output = Command::new(executable)
        .args(arguments)
        .arg(job.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(not_run)?;
    serde_json::from_slice(&output.stdout).map_err(|_| SandboxUnavailable::NotEntered {
        reason: String::from_utf8_lossy(&output.stdout)
            .chars()
            .take(300)
            .collect(),
    })
}

fn attempts(plan: &Plan) -> Vec<Attempt> {
    let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    let process = |file: &str| PathBuf::from(format!("/proc/{parent}/{file}"));
    let attempt = |name: &str, succeeded: bool| Attempt {
        name: name.to_owned(),
        refused: !succeeded,
    };
    vec![
        attempt(
            "open a TCP connection",
            TcpStream::connect(("127.0.0.1", plan.port)).is_ok(),
        ),
        attempt(
            "open a Unix socket",
            UnixStream::connect(&plan.unix_socket).is_ok(),
        ),
        attempt("make a pair of sockets", UnixStream::pair().is_ok()),
        attempt("read a file outside its job", can_read(&plan.canary)),
        attempt(
            "write a file outside its job",
            fs::write(plan.canary.with_extension("new"), "x").is_ok(),
        ),
        attempt("read the keystore", can_read(&plan.keystore)),
        attempt("read the environment of the node", can_read(&process("environ"))),
        attempt(
            "open the memory of the node",
            fs::File::open(process("mem")).is_ok(),
        ),
        attempt("read the memory map of the node", can_read(&process("maps"))),
        attempt("list processes", fs::read_dir("/proc").is_ok()),
        attempt("trace the node", foreign::trace(parent)),
        attempt("signal the node", foreign::signal(parent)),
        attempt(
            "start a program",
            Command::new("/proc/self/exe").arg("worker").status().is_ok(),
        ),
    ]
}

fn can_read(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|mut file| file.read(&mut [0; 1]).is_ok())
}

/// The two attempts for which there is no safe wrapper.
#[allow(unsafe_code)]
mod foreign {
    /// Whether the process can be traced. `PTRACE_SEIZE` does not stop it, and the kernel lets go when this one ends.
    pub(super) fn trace(process: i32) -> bool {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: PTRACE_SEIZE takes neither an address nor data, and writes nothing to this process.
        unsafe { libc::ptrace(libc::PTRACE_SEIZE, process, nothing, nothing) == 0 }
    }

    /// Whether the process could be signalled. Signal 0 only asks.
    pub(super) fn signal(process: i32) -> bool {
        // SAFETY: `kill` takes two numbers.
        unsafe { libc::kill(process, 0) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leak_is_named() {
        let error = SandboxUnavailable::Leaks {
            allowed: vec!["open a TCP connection".to_owned()],
        };
        assert!(
            error
                .to_string()
                .starts_with("a locked-up worker was still able to open a TCP connection: ")
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = probe(Path::new("/nowhere/posthuman"), Path::new("/nowhere/key")).unwrap_err();
        assert!(
            error.to_string().contains("check `/nowhere/posthuman`"),
            "{error}"
        );
    }
}
