//! Running one worker: its folder, its process, its descriptors, its end.
//!
//! The launcher is synchronous: one thread starts the process, waits for it and decides what came of it, and four more
//! serve its descriptors meanwhile (sealed input, sealed output, messages, diagnostics). That the starting thread lives
//! as long as the worker matters: the kernel kills the worker with it. [`crate::engine::local`] puts an asynchronous
//! face on it.

pub(crate) mod directory;
mod drain;
mod feed;
mod outcome;
mod process;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use posthuman_types::{ErrorClass, ObjectId, Progress};

use crate::protocol::{self, Ending, LauncherMessage, ProtocolError, Start, WorkerMessage};
use crate::stage::{StageError, StageInput};
use crate::task::{FailureCode, Task};
use crate::vault::{Secret, Vault, VaultError, is_full};

pub use outcome::{Finished, Outcome};

use drain::DrainError;
use outcome::Ended;
use process::WorkerProcess;

/// How long a cancelled worker may take to end by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// How often the launcher looks after a worker that says nothing.
const TICK: Duration = Duration::from_millis(50);
/// The same, once the worker has closed its output and is about to end.
const LAST_TICK: Duration = Duration::from_millis(2);

/// One run of a worker.
pub(crate) struct Run<'vault> {
    pub(crate) vault: &'vault Vault,
    /// The program whose command `worker` is the worker.
    pub(crate) executable: PathBuf,
    /// The job's folder. What is there is removed first.
    pub(crate) directory: PathBuf,
    pub(crate) task: Task,
    pub(crate) model: Option<ObjectId>,
    pub(crate) inputs: Vec<StageInput>,
    pub(crate) checkpoint: Option<ObjectId>,
    pub(crate) checkpoint_every: u32,
    pub(crate) allowance: Option<u64>,
    pub(crate) deadline: Option<Duration>,
    /// Whether the worker locks itself up.
    pub(crate) sandbox: bool,
    /// What happens to sealed output.
    pub(crate) keep: Keep,
}

/// What happens to the objects that a worker seals.
pub(crate) enum Keep {
    /// They go to the vault, pending.
    Pending,
    /// They are read and thrown away; the new model's commitment is made with this salt. For re-runs.
    Nothing { output_salt: Secret },
}

/// What happens in a worker, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    /// Milliseconds since 1970 by the launcher's clock: the worker has none.
    pub at_milliseconds: u64,
    /// Since the worker was started.
    pub elapsed: Duration,
    /// What happened.
    pub event: Event,
}

/// What happens in a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It goes on.
    Progress(Progress),
    /// A checkpoint lies in the vault, pending: record it, then commit it.
    Checkpoint {
        /// The sealed state.
        object: ObjectId,
        /// Steps done.
        step: u32,
    },
}

/// A run that could not begin, or whose launcher failed. What the worker itself does is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// An input could not be staged.
    #[error("an input of the job could not be brought into its folder")]
    Stage(#[from] StageError),
    /// The vault could not give the keys or take the result.
    #[error("the vault could not serve the job")]
    Vault(#[from] VaultError),
    /// The job's folder could not be made or read.
    #[error("the job's folder `{}` could not be used: check its parent folder and the room on the disk", path.display())]
    Directory {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The process could not be started.
    #[error("the worker `{}` could not be started: check that the program is there and may be run", executable.display())]
    Spawn {
        /// The program.
        executable: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The thread that ran it is gone. That is a fault.
    #[error("the launcher of the job ended without a word")]
    Lost,
}

impl LaunchError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Stage(error) => error.class(),
            Self::Vault(error) => error.class(),
            Self::Directory { .. } | Self::Spawn { .. } => ErrorClass::Unavailable,
            Self::Lost => ErrorClass::Bug,
        }
    }

    /// The public code: that of a [`crate::task::FailureCode`] or a [`crate::task::RefusalCode`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stage(error) => error.code(),
            Self::Vault(error) => outcome::vault_code(error).as_str(),
            Self::Directory { source, .. } if is_full(source) => FailureCode::DiskFull.as_str(),
            Self::Directory { .. } | Self::Spawn { .. } | Self::Lost => FailureCode::Internal.as_str(),
        }
    }
}

/// What the owner of a run, or one of its threads, wants of it.
pub(crate) enum Control {
    /// Stop after the present step.
    Cancel,
    /// Stop now.
    Kill,
    /// A thread of the launcher cannot go on: stop now.
    Abort,
    /// The worker closed its output: it is about to end.
    Closed,
}

/// Who hears of events.
pub(crate) type Listener = Box<dyn FnMut(TimedEvent) + Send>;

/// Runs a worker from its folder to its end. Blocks.
pub(crate) fn run(
    run: &Run<'_>,
    control: (&Sender<Control>, &Receiver<Control>),
    listener: Listener,
) -> Result<Outcome, LaunchError> {
    let keys = feed::keys(run)?;
    directory::prepare(run)?;
    let (mut process, pipes) = WorkerProcess::start(&run.executable, &run.directory, run.sandbox)?;
    let teller = Teller {
        started: Instant::now(),
        listener: Mutex::new(listener),
    };
    let start = Start {
        descriptors: process.descriptors,
        checkpoint_every: run.checkpoint_every,
        allowance: run.allowance,
    };
    // A worker that died at once is noticed below.
    let _ = protocol::write_line(&mut process.commands, &LauncherMessage::Start(start));
    let ended = thread::scope(|scope| {
        let fed = scope.spawn(|| {
            or_kill(
                feed::feed(run, &keys, pipes.keys, pipes.input),
                |_| false,
                control.0,
            )
        });
        let drained = scope.spawn(|| {
            let drained = drain::drain(run, &keys, pipes.output, &teller);
            or_kill(drained, DrainError::is_cut_off, control.0)
        });
        let said = scope.spawn(|| {
            let said = listen(pipes.messages, &teller);
            let said = or_kill(said, ProtocolError::is_cut_off, control.0);
            let _ = control.0.send(Control::Closed);
            said
        });
        let log = scope.spawn(|| directory::keep_log(&run.directory, pipes.log));
        let (exit, stopped) = supervise(&mut process, control.1, run.deadline);
        Ended {
            exit,
            stopped,
            said: joined(said),
            fed: joined(fed),
            drained: joined(drained),
            log: log.join().unwrap_or_default(),
        }
    });
    outcome::decide(run, ended)
}

/// Tells the listener of events.
pub(crate) struct Teller {
    started: Instant,
    listener: Mutex<Listener>,
}

impl Teller {
    pub(crate) fn tell(&self, event: Event) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let event = TimedEvent {
            at_milliseconds,
            elapsed: self.started.elapsed(),
            event,
        };
        (self.listener.lock().unwrap_or_else(PoisonError::into_inner))(event);
    }
}

/// Why the launcher stopped a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It was cancelled.
    Cancelled,
    /// It was killed by its owner.
    Killed,
    /// It was killed because the launcher could not go on.
    Aborted,
    /// Its time was up.
    Deadline,
}

fn supervise(
    process: &mut WorkerProcess,
    control: &Receiver<Control>,
    deadline: Option<Duration>,
) -> (io::Result<std::process::ExitStatus>, Option<Stopped>) {
    let started = Instant::now();
    let (mut stopped, mut cancelled, mut tick) = (None, None::<Instant>, TICK);
    loop {
        match control.recv_timeout(tick) {
            Ok(Control::Cancel) => {
                // A worker that is gone already cannot be told.
                let _ = protocol::write_line(&mut process.commands, &LauncherMessage::Cancel);
                cancelled.get_or_insert_with(Instant::now);
                stopped.get_or_insert(Stopped::Cancelled);
            }
            Ok(Control::Kill) => {
                stopped.get_or_insert(Stopped::Killed);
                process.kill();
            }
            Ok(Control::Abort) => {
                stopped.get_or_insert(Stopped::Aborted);
                process.kill();
            }
            Ok(Control::Closed) => tick = LAST_TICK,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(tick),
        }
        match process.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return (Ok(status), stopped),
            Err(error) => return (Err(error), stopped),
        }
        if deadline.is_some_and(|deadline| started.elapsed() > deadline) {
            stopped.get_or_insert(Stopped::Deadline);
            process.kill();
        }
        if cancelled.is_some_and(|since| since.elapsed() > CANCEL_GRACE) {
            process.kill();
        }
    }
}

/// Reads the worker's messages to their end and gives back the last one.
fn listen(messages: impl io::Read, teller: &Teller) -> Result<Option<Ending>, ProtocolError> {
    let mut messages = io::BufReader::new(messages);
    let mut ending = None;
    while let Some(message) = protocol::read_line(&mut messages)? {
        match message {
            _ if ending.is_some() => return Err(ProtocolError::Shape),
            WorkerMessage::Progress(progress) => teller.tell(Event::Progress(progress)),
            WorkerMessage::Ending(last) => ending = Some(last),
        }
    }
    Ok(ending)
}

/// A thread that fails takes the worker with it, which would otherwise wait for it for ever. Not so where the worker's
/// own end cut the stream off: how it ended says what became of the job.
fn or_kill<T, E>(
    result: Result<T, E>,
    is_cut_off: impl FnOnce(&E) -> bool,
    control: &Sender<Control>,
) -> Result<T, E> {
    if result.as_ref().is_err_and(|error| !is_cut_off(error)) {
        let _ = control.send(Control::Abort);
    }
    result
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn directory_error(path: &Path) -> impl Fn(io::Error) -> LaunchError {
    let path = path.to_owned();
    move |source| LaunchError::Directory {
        path: path.clone(),
        source,
    }
}
