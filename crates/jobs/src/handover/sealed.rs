//! Sealed objects as streams of plaintext, in the worker: no more than a chunk of one is held.

use std::io::{self, Read, Write};

use posthuman_types::ObjectId;
use zeroize::Zeroizing;

use super::{Frame, Key};
use crate::vault::seal::{CHUNK_BYTES, ChunkCipher, Place};

/// Opens one object out of a stream of frames, a chunk at a time. What it holds is wiped.
pub(crate) struct OpeningReader<'stream, R> {
    stream: &'stream mut R,
    slot: u32,
    object: ObjectId,
    cipher: ChunkCipher,
    next: u64,
    complete: bool,
    /// The chunk that is being read, and how much of it was given.
    chunk: Zeroizing<Vec<u8>>,
    given: usize,
}

impl<'stream, R: Read> OpeningReader<'stream, R> {
    pub(crate) fn new(stream: &'stream mut R, slot: u32, key: &Key) -> Self {
        let cipher = ChunkCipher::new(&key.key);
        Self {
            stream,
            slot,
            object: key.object,
            cipher,
            next: 0,
            complete: false,
            chunk: Zeroizing::new(Vec::new()),
            given: 0,
        }
    }

    /// The next chunk of plaintext; nothing after the last.
    ///
    /// # Errors
    /// `InvalidData` for a chunk that does not belong here, `UnexpectedEof` for a stream that ends early.
    pub(crate) fn next_chunk(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        if self.complete {
            return Ok(None);
        }
        let frame = Frame::read(self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let place = Place {
            object: self.object,
            index: self.next,
            last: frame.last,
        };
        let opened = self.cipher.open(place, &frame.sealed);
        if frame.slot != self.slot {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.next += 1;
        self.complete = frame.last;
        opened
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The whole object.
    pub(crate) fn read_all(mut self) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut all = Zeroizing::new(Vec::new());
        while let Some(chunk) = self.next_chunk()? {
            // Growing by hand, so that what is left behind is wiped.
            if all.capacity() - all.len() < chunk.len() {
                let mut larger = Zeroizing::new(Vec::with_capacity(all.len() * 2 + chunk.len()));
                larger.extend_from_slice(&all);
                all = larger;
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

impl<R: Read> Read for OpeningReader<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() {
            let Some(chunk) = self.next_chunk()? else {
                return Ok(0);
            };
            (self.chunk, self.given) = (chunk, 0);
        }
        let rest = &self.chunk[self.given..];
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Seals one object into a stream of frames, a chunk at a time. What it holds is wiped.
pub(crate) struct SealingWriter<'stream, W> {
    stream: &'stream mut W,
    slot: u32,
    step: u32,
    object: ObjectId,
    cipher: ChunkCipher,
    next: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl<'stream, W: Write> SealingWriter<'stream, W> {
    pub(crate) fn new(stream: &'stream mut W, slot: u32, step: u32, key: &Key) -> Self {
        Self {
            stream,
            slot,
            step,
            object: key.object,
            cipher: ChunkCipher::new(&key.key),
            next: 0,
            // Never grown, so that no copy is left behind.
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
        }
    }

    /// Seals the last chunk. An object that is not finished has none, and does not open.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.seal(true)?;
        self.stream.flush()
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let place = Place {
            object: self.object,
            index: self.next,
            last,
        };
        let frame = Frame {
            slot: self.slot,
            step: self.step,
            last,
            sealed: self.cipher.seal(place, &self.chunk),
        };
        self.next += 1;
        self.chunk.clear();
        frame.write(self.stream)
    }
}

impl<W: Write> Write for SealingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for what follows, since it may be the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Does nothing: a chunk is sealed when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Secret;
    use crate::vault::seal::SEAL_OVERHEAD;

    fn key(byte: u8) -> Key {
        Key {
            object: ObjectId([byte; 16]),
            key: Secret::from_bytes([byte + 1; 32]),
        }
    }

    fn write_sealed(stream: &mut Vec<u8>, key: &Key, plaintext: &[u8]) {
        let mut writer = SealingWriter::new(stream, 3, 10, key);
        writer.write_all(plaintext).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn a_sealed_stream_opens_and_a_disturbed_one_does_not() {
        let plaintext: Vec<u8> = (0..CHUNK_BYTES + 77).map(|index| index as u8).collect();
        let mut stream = Vec::new();
        write_sealed(&mut stream, &key(1), &plaintext);
        let open = |stream: &[u8], slot, key: &Key| OpeningReader::new(&mut &*stream, slot, key).read_all();
        assert_eq!(*open(&stream, 3, &key(1)).unwrap(), plaintext);
        assert!(open(&stream, 2, &key(1)).is_err());
        assert!(open(&stream, 3, &key(2)).is_err());
        assert!(open(&stream[..stream.len() - 1], 3, &key(1)).is_err());
        let frame = 13 + CHUNK_BYTES + SEAL_OVERHEAD;
        assert!(
            open(&stream[..frame], 3, &key(1)).is_err(),
            "the last chunk is missing"
        );
        assert!(
            open(&stream[frame..], 3, &key(1)).is_err(),
            "the first chunk is missing"
        );
        let mut long = stream;
        long[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(open(&long, 3, &key(1)).is_err());
    }

    #[test]
    fn pieces_of_any_length_make_the_same_chunks() {
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            2 * CHUNK_BYTES,
        ] {
            let plaintext: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            for piece in [777, CHUNK_BYTES, 3 * CHUNK_BYTES] {
                let mut stream = Vec::new();
                let mut writer = SealingWriter::new(&mut stream, 3, 10, &key(1));
                for bytes in plaintext.chunks(piece) {
                    writer.write_all(bytes).unwrap();
                    writer.flush().unwrap();
                }
                writer.finish().unwrap();
                let chunks = length.div_ceil(CHUNK_BYTES).max(1);
                assert_eq!(stream.len(), length + chunks * (13 + SEAL_OVERHEAD));
                let mut frames = stream.as_slice();
                for index in 0..chunks {
                    let frame = Frame::read(&mut frames).unwrap().unwrap();
                    assert_eq!((frame.slot, frame.step), (3, 10));
                    assert_eq!(frame.last, index + 1 == chunks);
                }
                assert!(Frame::read(&mut frames).unwrap().is_none());
                let mut source = stream.as_slice();
                let mut reader = OpeningReader::new(&mut source, 3, &key(1));
                let mut read = Vec::new();
                let mut buffer = vec![0; piece];
                loop {
                    match reader.read(&mut buffer).unwrap() {
                        0 => break,
                        count => read.extend_from_slice(&buffer[..count]),
                    }
                }
                assert!(read == plaintext, "{length} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_not_finished_does_not_open() {
        let mut stream = Vec::new();
        let mut writer = SealingWriter::new(&mut stream, 3, 10, &key(1));
        writer.write_all(&vec![7; 2 * CHUNK_BYTES]).unwrap();
        drop(writer);
        let mut source = stream.as_slice();
        let mut reader = OpeningReader::new(&mut source, 3, &key(1));
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
