//! The system calls a worker may make.
//!
//! An allow-list: a call that the list does not know, also one that a later kernel brings, fails with EPERM. Calls that
//! could do harm with some arguments are allowed with the harmless ones only. `clone3`, whose arguments a filter cannot
//! see, fails with ENOSYS, upon which the C library falls back to `clone`.

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// A filter that could not be made or installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("the filter does not compile for this processor")]
    Compile(#[from] BackendError),
    #[error("the kernel does not take the filter")]
    Install(#[from] seccompiler::Error),
}

/// Calls that are harmless with any arguments, given that Landlock watches over file names.
const ALLOWED: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads of this process, locks and signals to itself.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    // Reading and writing what is open, and opening what Landlock allows.
    libc::SYS_close,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // Randomness for nonces; sleeping. A clock is read without a call and decides no bit.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_nanosleep,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// Installs the filter in this thread and in all that it will start.
pub(super) fn install() -> Result<(), FilterError> {
    // The list comes last: it does not allow to install another filter. Of two filters the stricter one counts.
    seccompiler::apply_filter(&no_clone3()?)?;
    seccompiler::apply_filter(&allow_list()?)?;
    Ok(())
}

fn allow_list() -> Result<BpfProgram, BackendError> {
    let mut rules: Vec<(i64, Vec<SeccompRule>)> = ALLOWED.iter().map(|call| (*call, vec![])).collect();
    let thread = libc::CLONE_THREAD as u64;
    let itself = u64::from(std::process::id());
    rules.extend([
        (
            libc::SYS_clone,
            vec![rule(&[(0, Compare::MaskedEq(thread), thread)])?],
        ),
        (libc::SYS_clone3, vec![]),
        (libc::SYS_tgkill, vec![rule(&[(0, Compare::Eq, itself)])?]),
        // Names of threads and of memory, which are for people.
        (
            libc::SYS_prctl,
            [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA]
                .iter()
                .map(|option| rule(&[(0, Compare::Eq, *option as u64)]))
                .collect::<Result<_, _>>()?,
        ),
        // Reading its own limits, not changing them.
        (
            libc::SYS_prlimit64,
            vec![rule(&[(0, Compare::Eq, 0), (2, Compare::Eq, 0)])?],
        ),
        (
            libc::SYS_fcntl,
            [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_DUPFD_CLOEXEC]
                .iter()
                .map(|command| rule(&[(1, Compare::Eq, *command as u64)]))
                .collect::<Result<_, _>>()?,
        ),
    ]);
    compile(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
    )
}

fn no_clone3() -> Result<BpfProgram, BackendError> {
    let rules = vec![(libc::SYS_clone3, vec![])];
    compile(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    )
}

fn compile(
    rules: Vec<(i64, Vec<SeccompRule>)>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let processor: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules.into_iter().collect(), otherwise, matched, processor)?.try_into()
}

fn rule(conditions: &[(u8, Compare, u64)]) -> Result<SeccompRule, BackendError> {
    let condition = |(argument, compare, value): &(u8, Compare, u64)| {
        SeccompCondition::new(*argument, Length::Qword, compare.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_dangerous_is_on_the_list() {
        let dangerous = [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_keyctl,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_open_by_handle_at,
            libc::SYS_userfaultfd,
            libc::SYS_perf_event_open,
            libc::SYS_kill,
            libc::SYS_ioctl,
            libc::SYS_memfd_create,
        ];
        assert!(dangerous.iter().all(|call| !ALLOWED.contains(call)));
    }

    #[test]
    fn both_filters_compile() {
        allow_list().unwrap();
        no_clone3().unwrap();
    }
}
