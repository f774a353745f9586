//! The worker: one process for one task.
//!
//! It locks itself up ([`crate::sandbox`]), reads `job.json`, takes its keys, opens the sealed model in its memory, does
//! the work, and writes `outputs/`, `progress.jsonl` and, last of all, `statement.json`. What it seals leaves through a
//! descriptor. It has no clock and no randomness beyond seeds (and nonces of seals, which are no part of a result):
//! equal inputs give equal statements.
//!
//! Weights, gradients, optimiser state and checkpoints are never in a file, an argument, the environment or a log:
//! diagnostics name places in the source and numbers, never data.

mod arithmetic;
mod check;
mod descriptors;
mod evaluate;
mod import;
mod infer;
mod inputs;
mod session;
mod stop;
mod train;
mod upload;
mod weights;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use posthuman_lm::Bf16Set;
use posthuman_types::Operation;

use crate::protocol::Ending;
use crate::sandbox;
use crate::task::{FailureCode, Task};

use session::Session;
use stop::Stop;

/// Exit code for arguments that make no sense.
const USAGE: u8 = 2;

/// What the hidden command `worker` does. `arguments` are those after the command's own name:
/// `[--unsafe-no-sandbox] [--probe] DIRECTORY`.
///
/// To be called at the very start of `main`, before anything starts a thread: a thread that exists already would stay
/// outside of the sandbox. It is not made for people; [`crate::engine::local`] starts it.
pub fn worker_main(arguments: Vec<OsString>) -> ExitCode {
    hide_panics();
    let Some(arguments) = Arguments::read(arguments) else {
        let _ = io::stderr().write_all(b"usage: worker [--unsafe-no-sandbox] [--probe] DIRECTORY\n");
        return ExitCode::from(USAGE);
    };
    if arguments.probe {
        return sandbox::worker_probe(&arguments.directory, arguments.locked);
    }
    // The system gives the registers of AMX to a process that asks for them once, and the sandbox refuses the call. Asking
    // starts no thread.
    let _ = Bf16Set::best();
    let mut session = match Session::open(&arguments.directory, arguments.locked) {
        Ok(session) => session,
        Err(stop) => return Session::end_without(ending(stop)),
    };
    let ended = work(&mut session).unwrap_or_else(ending);
    session.end(&ended)
}

struct Arguments {
    locked: bool,
    probe: bool,
    directory: PathBuf,
}

impl Arguments {
    fn read(arguments: Vec<OsString>) -> Option<Self> {
        let (mut locked, mut probe, mut directory) = (true, false, None);
        for argument in arguments {
            match argument.to_str() {
                Some("--unsafe-no-sandbox") => locked = false,
                Some("--probe") => probe = true,
                _ if directory.is_some() => return None,
                _ => directory = Some(PathBuf::from(argument)),
            }
        }
        Some(Self {
            locked,
            probe,
            directory: directory?,
        })
    }
}

fn work(session: &mut Session) -> Result<Ending, Stop> {
    match session.task.clone() {
        Task::Check(check) => check::run(session, &check),
        Task::Import(import) => import::run(session, &import),
        Task::Job(job) => {
            match job.operation {
                Operation::Train => return train::run(session, &job),
                Operation::Infer => infer::run(session, &job)?,
                Operation::Evaluate => evaluate::run(session, &job)?,
            }
            Ok(Ending::Done)
        }
    }
}

fn ending(stop: Stop) -> Ending {
    match stop {
        Stop::Refused(code, reason) => Ending::Refused { code, reason },
        Stop::Failed(code, reason) => Ending::Failed { code, reason },
        Stop::Cancelled => Ending::Cancelled,
    }
}

/// A panic's message may quote what was worked on: only its place is told.
fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let _ = io::stderr().write_all(format!("the worker panicked at {place}\n").as_bytes());
    }));
}

impl From<crate::sandbox::SandboxError> for Stop {
    fn from(error: crate::sandbox::SandboxError) -> Self {
        Self::failed(FailureCode::Sandbox, &error)
    }
}
