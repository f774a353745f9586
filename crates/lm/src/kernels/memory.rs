//! Advice about memory, to the system and to the processor: it decides speed alone.

/// `count` zeros, in large pages where the system has them: a training reads and writes gigabytes with little order,
/// and looking up a small page for every few kilobytes costs more than the numbers themselves.
///
/// The pages are only asked for; what is in them, and that they are zero until they are written, stays the same.
pub(crate) fn zeros<T: Copy + Default>(count: usize) -> Vec<T> {
    // Fresh zeros of this size come from the system untouched: the advice is in time.
    let values = vec![T::default(); count];
    advise(&values);
    values
}

/// Asks for the line of an address, any address, to be brought into the second cache: what is read next may lie further
/// away than the hardware foresees.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch never faults, and every x86-64 has it.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(place.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// The first `length` numbers of a buffer from its first line of the cache on; what they are is left open. The buffer
/// grows where it must.
pub(crate) fn room<T: Copy + Default>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    const LINE: usize = 64;
    let spare = LINE / size_of::<T>();
    if buffer.len() < length + spare {
        *buffer = zeros(length + spare);
    }
    let first = buffer.as_ptr().align_offset(LINE).min(spare);
    &mut buffer[first..first + length]
}

#[cfg(target_os = "linux")]
fn advise<T>(values: &[T]) {
    use rustix::mm::{Advice, madvise};
    /// The size of a large page on x86-64 and on most ARM systems.
    const PAGE: usize = 1 << 21;
    let bytes = values.as_ptr_range();
    let (start, end) = (
        bytes.start.addr().next_multiple_of(PAGE),
        bytes.end.addr() & !(PAGE - 1),
    );
    if start < end {
        let place = values.as_ptr().cast_mut().with_addr(start).cast();
        // SAFETY: the range lies inside `values`, and this advice changes no content. Whether the system takes it
        // decides speed alone.
        #[allow(unsafe_code)]
        let _ = unsafe { madvise(place, end - start, Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &[T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros_of_any_count() {
        for count in [0, 1, 1 << 10, (3 << 20) + 5] {
            let values: Vec<f32> = zeros(count);
            assert!(values.len() == count && values.iter().all(|value| value.to_bits() == 0));
        }
    }
}
