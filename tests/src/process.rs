//! Child processes that never outlive the tests.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::files::binary;

/// How often a process is looked after.
const LOOK: Duration = Duration::from_millis(10);

/// A child process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts a command with these outputs and no input; whatever else the command says of them does not count. On
    /// Linux the kernel kills it when this process ends, however that happens.
    ///
    /// # Errors
    /// The executable cannot be started.
    pub fn spawn(command: Command, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Self> {
        let what = command.get_program().to_string_lossy().into_owned();
        let child = spawn(with_outputs(command, stdout, stderr));
        let child = child.with_context(|| format!("cannot start {what}"))?;
        Ok(Self { child, ended: None })
    }

    /// The same for a process on whose disk a piece of `room` bytes has no room any more.
    ///
    /// # Errors
    /// The executable cannot be started, or the kernel has no seccomp.
    pub fn spawn_on_full_disk(
        command: Command,
        stdout: Stdio,
        stderr: Stdio,
        room: u64,
    ) -> anyhow::Result<Self> {
        let mut command = with_outputs(command, stdout, stderr);
        let (sender, started) = channel();
        // A thread of its own, as the disk is full for it too; it stays, since the kernel ties the process to it.
        std::thread::spawn(move || {
            let child = crate::full_disk::fill(room).and_then(|()| Ok(command.spawn()?));
            if sender.send(child).is_ok() {
                loop {
                    std::thread::park();
                }
            }
        });
        let child = started
            .recv()
            .context("the thread that starts the process is gone")??;
        Ok(Self { child, ended: None })
    }

    /// The process itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for its end, so long at most.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        self.ended()
    }

    /// Asks it to stop (SIGTERM), and kills it if it does not within the limit.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn stop(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM);
        let ended = self.wait(limit);
        self.kill();
        ended.with_context(|| format!("the process did not stop within {} s", limit.as_secs()))
    }

    /// Kills it at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            // What is gone already needs no killing.
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    /// Sends it a signal, unless it ended.
    pub fn signal(&mut self, signal: Signal) {
        // A process that was not waited for keeps its id, so this cannot hit another.
        if self.ended().is_none()
            && let Some(id) = Pid::from_raw(self.child.id().cast_signed())
        {
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The id of a process with such words on its command line.
pub fn find(holds: impl Fn(&[&str]) -> bool) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let id = ids.find(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        holds(&line.split('\0').collect::<Vec<_>>())
    })?;
    Pid::from_raw(id)
}

/// What a finished command said.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl Finished {
    /// The exit code; a process that a signal ended has none.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs `posthuman` with these arguments and additional environment, and nothing on its stdin.
///
/// # Errors
/// The binary was not built.
pub fn posthuman<A: AsRef<OsStr>>(
    arguments: &[A],
    environment: &[(&str, &OsStr)],
) -> anyhow::Result<Finished> {
    let mut command = posthuman_command()?;
    command.args(arguments).envs(environment.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = tied(command).stdin(Stdio::null()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Finished {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// The binary as a command without any setting from the environment of the tests.
///
/// # Errors
/// The binary was not built.
pub fn posthuman_command() -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("POSTHUMAN_") {
            command.env_remove(name);
        }
    }
    command.env("POSTHUMAN_CONTRACTS", crate::files::contracts());
    Ok(command)
}

fn with_outputs(command: Command, stdout: Stdio, stderr: Stdio) -> Command {
    let mut command = tied(command);
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command
}

/// The same command through util-linux's `setpriv`, where there is one, which has the kernel tie it to its parent.
fn tied(command: Command) -> Command {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let path = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join("setpriv"))
            .find(|file| file.is_file())?;
        // Others of that name know no such flag.
        let tried = Command::new(&found)
            .args(["--pdeathsig", "KILL", "--", "true"])
            .output()
            .ok()?;
        tried.status.success().then_some(found)
    };
    let Some(setpriv) = SETPRIV.get_or_init(find) else {
        return command;
    };
    let mut tied = Command::new(setpriv);
    tied.args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        tied.current_dir(Path::new(folder));
    }
    tied
}

/// Starts a command from a thread that lives as long as this process: what the kernel ties to a parent, it ties to
/// the thread that started it, and threads of tests end.
fn spawn(command: Command) -> io::Result<Child> {
    type Request = (Command, Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                // A test that gave up waits for no answer.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, answered) = channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(|_| gone(()))?;
    answered.recv().map_err(|_| gone(()))?
}
