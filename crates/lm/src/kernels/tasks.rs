//! How the lanes of a product are handed out to threads. It decides speed alone, never a bit.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Work;

/// How many lanes a task takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The fewest, but for the last task; all others take a multiple of it.
    pub least: usize,
    /// The most, a multiple of the least.
    pub most: usize,
}

/// Runs `task` for parts of `0..count` that cover it, on all threads of the pool where the work is shared.
///
/// A thread that is done takes the next part, and parts become smaller towards the end: threads are not equally fast,
/// and with parts of one size one would wait at the end of each product for the other's last.
pub(super) fn hand_out(work: Work, count: usize, sizes: Sizes, task: impl Fn(Range<usize>) + Sync) {
    let threads = match work {
        Work::Alone => 1,
        Work::Shared => rayon::current_num_threads(),
    };
    if threads == 1 {
        return parts(count, sizes, 0).into_iter().for_each(task);
    }
    let parts = parts(count, sizes, 2 * threads);
    let next = AtomicUsize::new(0);
    (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            task(part.clone());
        }
    });
}

/// Parts of which each is a `share`th of what is left, or as large as they can be where that is 0.
fn parts(count: usize, sizes: Sizes, share: usize) -> Vec<Range<usize>> {
    let Sizes { least, most } = sizes;
    let mut parts = Vec::new();
    let mut first = 0;
    while first < count {
        let wanted = (count - first).checked_div(share).unwrap_or(most);
        let size = wanted.next_multiple_of(least).clamp(least, most);
        let end = count.min(first + size);
        parts.push(first..end);
        first = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::threads;

    const SIZES: Sizes = Sizes { least: 6, most: 168 };

    #[test]
    fn every_lane_is_handed_out_once_in_parts_that_become_smaller() {
        for count in [0, 1, 6, 7, 168, 169, 1024, 50257] {
            for share in [0, 2, 4, 256] {
                let parts = parts(count, SIZES, share);
                let mut next = 0;
                for part in &parts {
                    assert_eq!(part.start, next);
                    assert!((1..=168).contains(&part.len()));
                    next = part.end;
                }
                assert_eq!(next, count);
                let (last, others) = parts
                    .split_last()
                    .map_or((0, &[][..]), |(last, others)| (last.len(), others));
                assert!(
                    others
                        .iter()
                        .all(|part| part.len() % 6 == 0 && part.len() >= last)
                );
                assert!(others.is_sorted_by(|one, other| one.len() >= other.len()));
            }
        }
        assert_eq!(
            parts(400, SIZES, 4).iter().map(Range::len).collect::<Vec<_>>()[..3],
            [102, 78, 60]
        );
        assert_eq!(
            parts(400, SIZES, 0).iter().map(Range::len).collect::<Vec<_>>(),
            [168, 168, 64]
        );
    }

    #[test]
    fn all_parts_are_done_by_any_number_of_threads() {
        for threads in [1, 2, 8] {
            for work in [Work::Alone, Work::Shared] {
                let done = Mutex::new(vec![0; 1000]);
                threads::pool(threads).unwrap().install(|| {
                    hand_out(work, 1000, SIZES, |part| {
                        done.lock().unwrap()[part]
                            .iter_mut()
                            .for_each(|times| *times += 1);
                    });
                });
                assert!(done.into_inner().unwrap().iter().all(|&times| times == 1));
            }
        }
    }
}
