//! Writing and reading objects, sealed and open.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use posthuman_types::{Commitment, ObjectId, keccak256};
use rand::Rng;
use zeroize::Zeroizing;

use super::disk::{self, Places};
use super::error::VaultError;
use super::manifest::{Chunk, MANIFEST_VERSION, Manifest, ObjectKind};
use super::master_key::Purpose;
use super::seal::{CHUNK_BYTES, ChunkCipher, Place, SEAL_OVERHEAD};
use super::secret::Secret;
use super::{Shelf, Vault};

/// Seals what is written to it. Nothing of it is seen until [`ObjectWriter::finish`]; dropped before, nothing is left.
pub struct ObjectWriter {
    sealed: SealedWriter,
    cipher: ChunkCipher,
    buffer: Zeroizing<Vec<u8>>,
}

impl ObjectWriter {
    pub(super) fn new(vault: &Vault, kind: ObjectKind) -> Result<Self, VaultError> {
        let mut id = [0; 16];
        rand::rng().fill_bytes(&mut id);
        let key = Secret::random();
        let cipher = ChunkCipher::new(&key);
        let sealed = SealedWriter::new(
            vault,
            NewObject {
                object: ObjectId(id),
                kind,
                key,
                salt: None,
            },
        )?;
        Ok(Self {
            sealed,
            cipher,
            buffer: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
        })
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.sealed.bytes + self.buffer.len() as u64
    }

    /// Writes the rest and the manifest. When it returns, the object is there for good.
    ///
    /// # Errors
    /// A full disk or any other trouble with files; then nothing of the object stays.
    pub fn finish(mut self) -> Result<ObjectId, VaultError> {
        self.push(true)?;
        self.sealed.finish(None, Shelf::Objects)
    }

    fn push(&mut self, last: bool) -> Result<(), VaultError> {
        let sealed = self.cipher.seal(self.sealed.place(last), &self.buffer);
        self.buffer.clear();
        self.sealed.push(&sealed, last)
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full buffer waits for more bytes: only then it is known not to be the last chunk.
        if self.buffer.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.push(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens an object while it is read. Every chunk is checked against its address and authenticated before a byte of it
/// is given out; an error of this reader carries a [`VaultError`] that names object and chunk.
pub struct ObjectReader {
    sealed: SealedReader,
    cipher: ChunkCipher,
    open: Zeroizing<Vec<u8>>,
    position: usize,
}

impl ObjectReader {
    pub(super) fn new(vault: &Vault, object: ObjectId) -> Result<Self, VaultError> {
        let cipher = ChunkCipher::new(&vault.keys(object)?.key);
        Ok(Self {
            sealed: SealedReader::new(vault, object)?,
            cipher,
            open: Zeroizing::default(),
            position: 0,
        })
    }

    /// Reads on to the end.
    ///
    /// # Errors
    /// As for reading; here with the vault's own type.
    pub fn read_all(mut self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let length = usize::try_from(self.sealed.manifest.bytes).unwrap_or(0);
        let mut all = Zeroizing::new(Vec::with_capacity(length));
        while self.next_chunk()? {
            all.extend_from_slice(&self.open);
        }
        Ok(all)
    }

    fn next_chunk(&mut self) -> Result<bool, VaultError> {
        let Some(chunk) = self.sealed.next_chunk()? else {
            return Ok(false);
        };
        let place = chunk.place;
        let opened = self.cipher.open(place, &chunk.sealed);
        self.open = opened.map_err(|_| VaultError::ChunkForeign {
            object: place.object,
            chunk: place.index,
        })?;
        self.position = 0;
        Ok(true)
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.open.len() {
            if !self.next_chunk()? {
                return Ok(0);
            }
        }
        let rest = &self.open[self.position..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.position += taken;
        Ok(taken)
    }
}

/// An object about to be written.
pub(crate) struct NewObject {
    pub(crate) object: ObjectId,
    pub(crate) kind: ObjectKind,
    pub(crate) key: Secret,
    pub(crate) salt: Option<Secret>,
}

/// Takes chunks that are sealed already, as they come from a worker. It does not open them.
pub(crate) struct SealedWriter {
    vault: Vault,
    new: NewObject,
    chunks: Vec<Chunk>,
    folders: BTreeSet<PathBuf>,
    bytes: u64,
    complete: bool,
    finished: bool,
}

impl SealedWriter {
    pub(super) fn new(vault: &Vault, new: NewObject) -> Result<Self, VaultError> {
        vault.check_writable()?;
        let folders = BTreeSet::new();
        Ok(Self {
            vault: vault.clone(),
            new,
            chunks: vec![],
            folders,
            bytes: 0,
            complete: false,
            finished: false,
        })
    }

    /// Where the next chunk will stand.
    pub(crate) fn place(&self, last: bool) -> Place {
        Place {
            object: self.new.object,
            index: self.chunks.len() as u64,
            last,
        }
    }

    /// Stores the next chunk.
    pub(crate) fn push(&mut self, sealed: &[u8], last: bool) -> Result<(), VaultError> {
        let wrong = |reason| VaultError::Stream {
            object: self.new.object,
            reason,
        };
        let full = CHUNK_BYTES + SEAL_OVERHEAD;
        if self.complete {
            return Err(wrong("a chunk follows the last one"));
        }
        if sealed.len() < SEAL_OVERHEAD || sealed.len() > full || (!last && sealed.len() != full) {
            return Err(wrong("a chunk has a length that no chunk has"));
        }
        let digest = keccak256(sealed);
        let path = self.vault.chunk_path(&digest);
        let folder = path.parent().expect("a chunk lies in a folder").to_owned();
        if !self.folders.contains(&folder) {
            disk::make_folder(&folder)?;
            self.folders.insert(folder);
        }
        const PLACES: Places = Places {
            before: "vault.chunk.before_rename",
            after: "vault.chunk.after_rename",
        };
        disk::write_file(&path, sealed, PLACES)?;
        self.chunks.push(Chunk {
            digest,
            bytes: sealed.len() as u64,
        });
        self.bytes += (sealed.len() - SEAL_OVERHEAD) as u64;
        self.complete = last;
        Ok(())
    }

    /// Writes the manifest. From then on the chunks are the vault's to keep.
    pub(crate) fn finish(
        mut self,
        commitment: Option<Commitment>,
        shelf: Shelf,
    ) -> Result<ObjectId, VaultError> {
        let object = self.new.object;
        if !self.complete {
            return Err(VaultError::Stream {
                object,
                reason: "it ended before its last chunk",
            });
        }
        for folder in &self.folders {
            disk::flush_folder(folder)?;
        }
        disk::flush_folder(&self.vault.chunks_folder())?;
        {
            let master = &self.vault.0.master;
            let salt = self
                .new
                .salt
                .as_ref()
                .map(|salt| master.wrap(Purpose::Salt, object, salt));
            let manifest = Manifest {
                version: MANIFEST_VERSION,
                object,
                kind: self.new.kind,
                bytes: self.bytes,
                chunks: std::mem::take(&mut self.chunks),
                data_key: master.wrap(Purpose::DataKey, object, &self.new.key),
                salt,
                commitment,
                created: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
            };
            let written = self.vault.write_manifest(&manifest, shelf);
            self.chunks = manifest.chunks;
            if written.is_err() {
                // The chunks go when this writer is dropped; a manifest must not outlive them.
                disk::remove_file(&self.vault.manifest_path(object, shelf))?;
            }
            written?;
        }
        self.finished = true;
        Ok(object)
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if !self.finished {
            for chunk in &self.chunks {
                // What stays here by bad luck is collected when the vault is opened next.
                let _ = disk::remove_file(&self.vault.chunk_path(&chunk.digest));
            }
        }
    }
}

/// A sealed chunk and where it stands.
pub(crate) struct SealedChunk {
    pub(crate) place: Place,
    pub(crate) sealed: Vec<u8>,
}

/// Gives out an object's chunks as they are stored, each checked against its address.
pub(crate) struct SealedReader {
    vault: Vault,
    manifest: Manifest,
    next: usize,
}

impl SealedReader {
    pub(super) fn new(vault: &Vault, object: ObjectId) -> Result<Self, VaultError> {
        Ok(Self {
            vault: vault.clone(),
            manifest: vault.manifest(object)?,
            next: 0,
        })
    }

    /// The next chunk; nothing after the last.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<SealedChunk>, VaultError> {
        let Some(entry) = self.manifest.chunks.get(self.next) else {
            return Ok(None);
        };
        let (object, chunk) = (self.manifest.object, self.next as u64);
        let sealed = read_chunk(self.vault.chunk_path(&entry.digest), object, chunk, entry)?;
        self.next += 1;
        let last = self.next == self.manifest.chunks.len();
        Ok(Some(SealedChunk {
            place: Place {
                object,
                index: chunk,
                last,
            },
            sealed,
        }))
    }
}

/// Reads a stored chunk and checks it against its address.
pub(super) fn read_chunk(
    path: PathBuf,
    object: ObjectId,
    chunk: u64,
    entry: &Chunk,
) -> Result<Vec<u8>, VaultError> {
    let sealed = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::ChunkMissing { object, chunk, path });
        }
        other => other.map_err(|source| VaultError::io("read", &path, source))?,
    };
    if sealed.len() as u64 != entry.bytes || keccak256(&sealed) != entry.digest {
        return Err(VaultError::ChunkCorrupted { object, chunk, path });
    }
    Ok(sealed)
}
