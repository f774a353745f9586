//! A disk without room, for one process and what it starts, without privileges: the kernel answers ENOSPC to every
//! `write` of so many bytes or more.

use std::collections::BTreeMap;

use anyhow::Context as _;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Fills the disk for this thread and for whatever it starts from now on. For good.
///
/// # Errors
/// The kernel has no seccomp.
pub(crate) fn fill(room: u64) -> anyhow::Result<()> {
    // The third argument of `write` is how many bytes it is given.
    let large = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ge, room)?;
    let rules = BTreeMap::from([(libc::SYS_write, vec![SeccompRule::new(vec![large])?])]);
    let full = SeccompAction::Errno(libc::ENOSPC.cast_unsigned());
    let processor = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, full, processor)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
        .context("this kernel takes no seccomp filter, which fills a disk here")
}
