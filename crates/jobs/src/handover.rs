//! What passes between launcher and worker over the three inherited descriptors: keys, sealed input, sealed output.
//!
//! The launcher copies sealed chunks in both directions and opens none of them. The layout is private to one binary,
//! which is both ends; its magic number refuses any other.

mod sealed;

use std::io::{self, Read, Write};

use posthuman_types::ObjectId;
use zeroize::Zeroizing;

use crate::vault::Secret;
use crate::vault::seal::{CHUNK_BYTES, SEAL_OVERHEAD};

pub(crate) use sealed::{OpeningReader, SealingWriter};

const MAGIC: [u8; 4] = *b"PHK1";
const KEYS_BYTES: usize = 4 + 3 * 49 + 2 * 32;

/// The slot of a job's result, and of the model that goes in.
pub(crate) const MODEL_SLOT: u32 = 0;
/// The slot of the checkpoint that a training goes on from.
pub(crate) const RESUME_SLOT: u32 = 1;

/// An object and what opens it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) object: ObjectId,
    pub(crate) key: Secret,
}

/// A job's keys and salts.
pub(crate) struct JobKeys {
    /// Of the model that goes in.
    pub(crate) model: Option<Key>,
    /// The salt of its commitment; the upload that an import reads has none.
    pub(crate) salt: Option<Secret>,
    /// Of the checkpoint to go on from.
    pub(crate) resume: Option<Key>,
    /// From which the keys of all objects that come out are made ([`crate::vault::seal::Slots`]).
    pub(crate) slots: Secret,
    /// The salt of the new model's commitment.
    pub(crate) output_salt: Secret,
}

impl JobKeys {
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEYS_BYTES));
        bytes.extend_from_slice(&MAGIC);
        let salt = self.salt.as_ref().map(|salt| Key {
            object: ObjectId([0; 16]),
            key: salt.clone(),
        });
        for key in [&self.model, &salt, &self.resume] {
            bytes.push(u8::from(key.is_some()));
            bytes.extend_from_slice(&key.as_ref().map_or([0; 16], |key| key.object.0));
            bytes.extend_from_slice(key.as_ref().map_or(&[0; 32], |key| key.key.expose()));
        }
        bytes.extend_from_slice(self.slots.expose());
        bytes.extend_from_slice(self.output_salt.expose());
        to.write_all(&bytes)
    }

    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; KEYS_BYTES]);
        from.read_exact(bytes.as_mut_slice())?;
        let mut rest = bytes.as_slice();
        if take::<4>(&mut rest) != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let [model, salt, resume] = [(); 3].map(|()| {
            let present = take::<1>(&mut rest) == [1];
            let key = Key {
                object: ObjectId(take(&mut rest)),
                key: Secret::from_bytes(take(&mut rest)),
            };
            present.then_some(key)
        });
        let salt = salt.map(|salt| salt.key);
        let (slots, output_salt) = (
            Secret::from_bytes(take(&mut rest)),
            Secret::from_bytes(take(&mut rest)),
        );
        Ok(Self {
            model,
            salt,
            resume,
            slots,
            output_salt,
        })
    }
}

/// A sealed chunk on its way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Which object: see [`MODEL_SLOT`]; on the way out `n` is the n-th checkpoint.
    pub(crate) slot: u32,
    /// Steps done, for checkpoints.
    pub(crate) step: u32,
    /// Whether it is the object's last chunk.
    pub(crate) last: bool,
    /// The chunk.
    pub(crate) sealed: Vec<u8>,
}

impl Frame {
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut header = [0; 13];
        header[..4].copy_from_slice(&self.slot.to_le_bytes());
        header[4..8].copy_from_slice(&self.step.to_le_bytes());
        header[8] = u8::from(self.last);
        header[9..].copy_from_slice(&(self.sealed.len() as u32).to_le_bytes());
        to.write_all(&header)?;
        to.write_all(&self.sealed)
    }

    /// The next frame; nothing at the end of the stream.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; 13];
        match from.read(&mut header)? {
            0 => return Ok(None),
            read => from.read_exact(&mut header[read..])?,
        }
        let mut rest = header.as_slice();
        let (slot, step) = (
            u32::from_le_bytes(take(&mut rest)),
            u32::from_le_bytes(take(&mut rest)),
        );
        let last = match take(&mut rest) {
            [0] => false,
            [1] => true,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let length = u32::from_le_bytes(take(&mut rest)) as usize;
        if length > CHUNK_BYTES + SEAL_OVERHEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut sealed = vec![0; length];
        from.read_exact(&mut sealed)?;
        Ok(Some(Self {
            slot,
            step,
            last,
            sealed,
        }))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest
        .split_first_chunk()
        .expect("the buffer is as long as the layout");
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key {
            object: ObjectId([byte; 16]),
            key: Secret::from_bytes([byte + 1; 32]),
        }
    }

    #[test]
    fn keys_read_back() {
        let keys = JobKeys {
            model: Some(key(1)),
            salt: Some(Secret::from_bytes([4; 32])),
            resume: None,
            slots: Secret::from_bytes([5; 32]),
            output_salt: Secret::from_bytes([6; 32]),
        };
        let mut bytes = Vec::new();
        keys.write(&mut bytes).unwrap();
        assert_eq!(bytes.len(), KEYS_BYTES);
        let read = JobKeys::read(&mut bytes.as_slice()).unwrap();
        assert_eq!(read.model.unwrap().object, ObjectId([1; 16]));
        assert_eq!(read.salt.unwrap().expose(), &[4; 32]);
        assert!(read.resume.is_none());
        assert_eq!(
            (read.slots.expose(), read.output_salt.expose()),
            (&[5; 32], &[6; 32])
        );
        bytes[0] ^= 1;
        assert!(JobKeys::read(&mut bytes.as_slice()).is_err());
    }
}
