//! Named places where a test can kill the process, as a power cut would.
//!
//! Only in debug builds, and only where the environment variable `POSTHUMAN_BREAK_POINT` names the place, the process
//! sends itself SIGKILL there: no destructor runs, no buffer is flushed. `NAME@3` dies when the place is passed for the
//! third time. In release builds a break point is nothing.

#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that names the place to die at.
pub const BREAK_POINT_VARIABLE: &str = "POSTHUMAN_BREAK_POINT";

/// Every break point of the product, in the order in which a training passes them.
///
/// A name is `room.place`. "before" and "after" speak of the commit of the database or of the rename of a file.
pub const BREAK_POINTS: &[&str] = &[
    "node.upload_chunk.before_commit",
    "node.upload_chunk.after_commit",
    "node.upload_complete.before_commit",
    "node.upload_complete.after_commit",
    "queue.admit.before_commit",
    "queue.admit.after_commit",
    "queue.lease.before_commit",
    "queue.lease.after_commit",
    "queue.release.before_commit",
    "queue.release.after_commit",
    "queue.renew.before_commit",
    "queue.renew.after_commit",
    "queue.checkpoint.before_commit",
    "queue.checkpoint.after_commit",
    "queue.finish.before_commit",
    "queue.finish.after_commit",
    "queue.fail.before_commit",
    "queue.fail.after_commit",
    "queue.refuse.before_commit",
    "queue.refuse.after_commit",
    "queue.cancel.before_commit",
    "queue.cancel.after_commit",
    "queue.expire.before_commit",
    "queue.expire.after_commit",
    "queue.receipted.before_commit",
    "queue.receipted.after_commit",
    "queue.published.before_commit",
    "queue.published.after_commit",
    "queue.close.before_commit",
    "queue.close.after_commit",
    "queue.settled.before_commit",
    "queue.settled.after_commit",
    "vault.chunk.before_rename",
    "vault.chunk.after_rename",
    "vault.manifest.before_rename",
    "vault.manifest.after_rename",
    "vault.commit.before_rename",
    "vault.commit.after_rename",
    "vault.remove.after_manifest",
    "vault.rotate.between_manifests",
    "vault.backup.before_rename",
    "vault.backup.after_rename",
    "launcher.checkpoint.before_record",
    "launcher.result.before_record",
    "work.checkpoint_sealed",
    "work.result_sealed",
    "work.result_recorded",
    "settle.receipt_signed",
    "publish.splitter",
    "publish.collector",
    "publish.exchange",
    "publish.mint",
    "publish.minter",
    "publish.lineage",
    "publish.metadata",
    "publish.indexed",
    "settle.on_chain",
    "outbox.signed",
    "outbox.recorded",
    "outbox.broadcast",
    "outbox.mined",
    "bootstrap.operation",
    "bootstrap.blank",
];

/// Kills this process by SIGKILL if the environment names this place; otherwise does nothing.
///
/// # Panics
/// In debug builds, where `name` is not in [`BREAK_POINTS`]: an unlisted place would never be tested.
#[inline]
pub fn break_point(name: &str) {
    #[cfg(debug_assertions)]
    {
        assert!(
            BREAK_POINTS.contains(&name),
            "break point `{name}` is not registered in BREAK_POINTS"
        );
        if std::env::var(BREAK_POINT_VARIABLE).is_ok_and(|value| is_due(&value, name, &PASSED)) {
            die();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// How often the place to die at was passed.
#[cfg(debug_assertions)]
static PASSED: AtomicU64 = AtomicU64::new(0);

#[cfg(debug_assertions)]
fn is_due(wanted: &str, name: &str, passed: &AtomicU64) -> bool {
    let (place, count) = wanted.split_once('@').unwrap_or((wanted, "1"));
    place == name && count.parse() == Ok(passed.fetch_add(1, Ordering::Relaxed) + 1)
}

#[cfg(debug_assertions)]
fn die() -> ! {
    // A process may always signal itself; should the kernel refuse, `abort` is the next best sudden end.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        assert_eq!(
            BREAK_POINTS.iter().collect::<BTreeSet<_>>().len(),
            BREAK_POINTS.len()
        );
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "not registered")]
    fn an_unregistered_name_is_caught() {
        break_point("nowhere");
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_place_can_be_passed_before_it_is_due() {
        let passed = AtomicU64::new(0);
        let dues = ["there", "here", "there", "there"].map(|name| is_due("there@2", name, &passed));
        assert_eq!(dues, [false, false, true, false]);
        assert!(is_due("there", "there", &AtomicU64::new(0)));
    }

    #[test]
    fn without_the_variable_nothing_happens() {
        break_point(BREAK_POINTS[0]);
    }
}
