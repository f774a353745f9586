//! Taking over the descriptors that the launcher left open.

use std::fs::File;
use std::io;

/// Makes a file of an inherited descriptor.
///
/// # Errors
/// A number that is not open, or that is a standard stream.
#[allow(unsafe_code)]
pub(super) fn take(descriptor: i32) -> io::Result<File> {
    use std::os::fd::FromRawFd;

    // SAFETY: asking for the flags of a number reads and writes no memory.
    if descriptor <= 2 || unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is open, it is none of the standard streams, and the launcher, which opened it for this
    // process, told of it once: `Session::open` takes each of the three distinct numbers once and nothing else owns
    // them.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}
