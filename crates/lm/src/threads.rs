//! The private thread pool that a call or an engine object owns; the process-wide pool is never used.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::error::{Error, Result};

/// Most threads that a caller may ask for.
pub(crate) const MAXIMUM_THREADS: usize = 256;

/// A pool of exactly `threads` threads. Their number never changes a bit of a result.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool> {
    if threads == 0 || threads > MAXIMUM_THREADS {
        return Err(Error::options(
            "threads",
            format!("is {threads}: it must be between 1 and {MAXIMUM_THREADS}"),
        ));
    }
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("lm-{index}"))
        .build()
        .map_err(|source| Error::Threads { threads, source })
}

/// Runs work that hands out many tasks, each a few microseconds long, one after the other: the other threads of the pool
/// look for tasks all the while instead of falling asleep, since waking one takes longer than such a task.
pub(crate) fn install_awake<Out: Send>(pool: &ThreadPool, work: impl FnOnce() -> Out + Send) -> Out {
    if pool.current_num_threads() == 1 {
        return pool.install(work);
    }
    pool.install(|| {
        let watch = Watch::default();
        let own = rayon::current_thread_index();
        rayon::scope(|scope| {
            scope.spawn_broadcast(|_, context| {
                if Some(context.index()) != own {
                    watch.keep();
                }
            });
            watch.begin(rayon::current_num_threads() as u32 - 1);
            // Also when the work panics.
            let _end = End(&watch);
            work()
        })
    })
}

/// How long it is waited for the other threads to wake up, at most: they may have no processor.
const PATIENCE: Duration = Duration::from_micros(100);

/// Threads that are awake, and whether work has begun and ended.
///
/// A thread that comes when work has begun is turned away. It may come out of the middle of a task, which would not end
/// before the watch does, and the work waits for its tasks.
#[derive(Default)]
struct Watch(AtomicU32);

impl Watch {
    const BEGUN: u32 = 1 << 30;
    const ENDED: u32 = 1 << 31;

    fn begin(&self, others: u32) {
        let start = Instant::now();
        while self.0.load(Ordering::Acquire) < others && start.elapsed() < PATIENCE {
            spin_loop();
        }
        self.0.fetch_or(Self::BEGUN, Ordering::AcqRel);
    }

    fn keep(&self) {
        let enter = |state: u32| (state < Self::BEGUN).then_some(state + 1);
        if self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, enter)
            .is_err()
        {
            return;
        }
        while self.0.load(Ordering::Acquire) < Self::ENDED {
            if rayon::yield_now() == Some(Yield::Idle) {
                std::thread::yield_now();
            }
        }
    }
}

struct End<'a>(&'a Watch);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_or(Watch::ENDED, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    fn sum(from: u64, to: u64) -> u64 {
        if to - from == 1 {
            return from;
        }
        let middle = from.midpoint(to);
        let (one, other) = rayon::join(|| sum(from, middle), || sum(middle, to));
        one + other
    }

    #[test]
    fn nested_tasks_end_however_soon_the_others_wake_up() {
        for threads in [1, 2, 3, 8] {
            let pool = pool(threads).unwrap();
            for round in 0..300 {
                let found = install_awake(&pool, || {
                    let sums = (1..5_u64).into_par_iter().map(|end| sum(0, 16 * end));
                    sums.sum::<u64>()
                });
                assert_eq!(found, 120 + 496 + 1128 + 2016);
                if round % 100 == 0 {
                    // Long enough to fall asleep.
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    #[test]
    fn a_panic_ends_the_watch() {
        let pool = pool(3).unwrap();
        let panics = std::panic::AssertUnwindSafe(|| install_awake(&pool, || panic!("on purpose")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(install_awake(&pool, || sum(0, 10)), 45);
    }
}
