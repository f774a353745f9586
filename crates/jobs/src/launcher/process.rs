//! Starting the worker's process with exactly the descriptors it needs.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal};

use super::LaunchError;

/// A running worker. Dropping it kills it.
pub(super) struct WorkerProcess {
    pub(super) child: Child,
    pub(super) commands: ChildStdin,
    /// Numbers of keys, input and output in the worker.
    pub(super) descriptors: [RawFd; 3],
}

/// The launcher's ends of the worker's pipes.
pub(super) struct Pipes {
    pub(super) keys: PipeWriter,
    pub(super) input: PipeWriter,
    pub(super) output: PipeReader,
    pub(super) messages: std::process::ChildStdout,
    pub(super) log: std::process::ChildStderr,
}

impl WorkerProcess {
    /// Starts `executable worker DIRECTORY`, in a process group of its own and with an empty environment.
    pub(super) fn start(
        executable: &Path,
        directory: &Path,
        sandbox: bool,
    ) -> Result<(Self, Pipes), LaunchError> {
        let failed = |source| LaunchError::Spawn {
            executable: executable.to_owned(),
            source,
        };
        let (keys_there, keys) = io::pipe().map_err(failed)?;
        let (input_there, input) = io::pipe().map_err(failed)?;
        let (output, output_there) = io::pipe().map_err(failed)?;
        let descriptors = [
            keys_there.as_raw_fd(),
            input_there.as_raw_fd(),
            output_there.as_raw_fd(),
        ];
        let mut command = Command::new(executable);
        command.arg("worker");
        if !sandbox {
            command.arg("--unsafe-no-sandbox");
        }
        command
            .arg(directory)
            .env_clear()
            .current_dir("/")
            .process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        inherit::only(&mut command, descriptors);
        let mut child = command.spawn().map_err(failed)?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(commands), Some(messages), Some(log)) = taken else {
            unreachable!("all three standard streams are piped")
        };
        Ok((
            Self {
                child,
                commands,
                descriptors,
            },
            Pipes {
                keys,
                input,
                output,
                messages,
                log,
            },
        ))
    }

    /// Ends the worker at once. One that has ended already is left alone: its number is not reused before it is waited
    /// for.
    pub(super) fn kill(&mut self) {
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// Reads from a pipe of the worker at most `limit` bytes; the rest is read too, so that the worker never waits, and
/// thrown away.
pub(super) fn read_bounded(mut from: impl Read, limit: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = (&mut from).take(limit).read_to_end(&mut kept);
    let _ = io::copy(&mut from, &mut io::sink());
    kept
}

/// Writes a small file of the launcher's own into the job's folder.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// The one step between `fork` and `exec` that the standard library has no safe word for.
#[allow(unsafe_code)]
mod inherit {
    use std::io;
    use std::os::fd::RawFd;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Lets the program inherit these descriptors and the standard streams, and no other, whatever flags others have.
    pub(super) fn only(command: &mut Command, descriptors: [RawFd; 3]) {
        let before_exec = move || {
            // SAFETY: a system call with three numbers. Kernels before 5.11 do not know the flag; then only what was
            // opened without the close-on-exec flag, which the standard library never does, would stay open.
            unsafe {
                libc::syscall(
                    libc::SYS_close_range,
                    3,
                    libc::c_uint::MAX,
                    libc::CLOSE_RANGE_CLOEXEC,
                )
            };
            for descriptor in descriptors {
                // SAFETY: a system call on a number. The pipes live until the process was started.
                if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: between `fork` and `exec` the closure makes system calls alone: it neither allocates nor locks.
        unsafe { command.pre_exec(before_exec) };
    }
}
