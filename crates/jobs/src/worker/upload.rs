//! An upload that passes by once: opened, given on and hashed, and never held as a whole.

use std::io::{self, Read};

use posthuman_types::{Hasher, Input};

use super::stop::Stop;
use crate::task::FailureCode;

/// An upload on its way.
pub(super) struct Upload<R> {
    from: R,
    position: u64,
    hasher: Hasher,
    /// Why it could not go on, which a reader may have told in words of its own.
    failure: Option<io::Error>,
}

impl<R: Read> Upload<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            position: 0,
            hasher: Hasher::new(),
            failure: None,
        }
    }

    /// Fills `target` with what begins at `offset`, which must not have passed.
    pub fn read_at(&mut self, offset: u64, target: &mut [u8]) -> io::Result<()> {
        let Some(skipped) = offset.checked_sub(self.position) else {
            let problem = format!("offset {offset} is wanted after {}", self.position);
            self.failure = Some(io::Error::other(problem.clone()));
            return Err(io::Error::other(problem));
        };
        io::copy(&mut self.by_ref().take(skipped), &mut io::sink())?;
        self.read_exact(target)
    }

    /// Reads what is left, and makes sure that it was the upload that is named.
    pub fn finish(mut self, named: &Input) -> Result<(), Stop> {
        if self.failure.is_none() {
            // An error is kept as well as given.
            let _ = io::copy(&mut self, &mut io::sink());
        }
        if let Some(error) = self.failure {
            return Err(Stop::io("opening the sealed upload")(error));
        }
        if (self.position, self.hasher.finalize()) == (named.bytes, named.digest) {
            return Ok(());
        }
        let reason = format!(
            "the upload `{}` is not the one that the import names: its digest differs",
            named.name
        );
        Err(Stop::Failed(FailureCode::InputCorrupted, reason))
    }
}

impl<R: Read> Read for Upload<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self.from.read(target) {
            Ok(count) => {
                self.hasher.update(&target[..count]);
                self.position += count as u64;
                Ok(count)
            }
            // Tried again by whoever reads.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"0123456789";

    fn ending(stop: Result<(), Stop>) -> Option<FailureCode> {
        match stop {
            Ok(()) => None,
            Err(Stop::Failed(code, _)) => Some(code),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_passed_by_is_checked_whatever_was_read_of_it() {
        let named = Input::describe("model.gguf", BYTES);
        for reads in [&[][..], &[(0, 4)], &[(0, 2), (3, 3), (6, 4)], &[(9, 1)]] {
            let mut upload = Upload::new(BYTES);
            for &(offset, count) in reads {
                let mut target = vec![0; count];
                upload.read_at(offset as u64, &mut target).unwrap();
                assert_eq!(target, BYTES[offset..offset + count]);
            }
            assert_eq!(ending(upload.finish(&named)), None);
        }
        for other in [&BYTES[..9], b"0123456780", b"01234567890"] {
            let code = ending(Upload::new(other).finish(&named));
            assert_eq!(code, Some(FailureCode::InputCorrupted));
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_fault_of_the_file() {
        let named = Input::describe("model.gguf", BYTES);
        let mut upload = Upload::new(BYTES);
        upload.read_at(4, &mut [0; 2]).unwrap();
        assert!(upload.read_at(5, &mut [0]).is_err(), "it passed by");
        assert_eq!(ending(upload.finish(&named)), Some(FailureCode::Internal));

        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
        let mut upload = Upload::new(Broken);
        assert!(upload.read_at(0, &mut [0]).is_err());
        assert_eq!(ending(upload.finish(&named)), Some(FailureCode::WeightsCorrupted));
    }
}
