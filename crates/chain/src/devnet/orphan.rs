//! Ties a child process to this one, so that none is left behind when this one is killed.
#![allow(unsafe_code)] // `pre_exec` is unsafe to call; see the block below.

use std::process::Command;

/// Makes the kernel end the child (SIGTERM) when the **thread** that spawns it ends. On systems other than Linux this
/// does nothing.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    let parent = getpid();
    let tie = move || {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // The parent may have died before the line above.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::Interrupted))
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(tie);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_command: &mut Command) {}
