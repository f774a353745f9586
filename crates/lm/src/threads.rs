//! The private thread pool that a call or an engine object owns; the process-wide pool is never used.

use rayon::{ThreadPool, ThreadPoolBuilder};

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
