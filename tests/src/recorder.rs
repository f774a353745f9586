//! Keeps whatever a folder holds at any time, to be searched once it is known what must not have been there.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::files::files_under;

/// Files are kept in pieces of this length, each once, so that a database that changes a page costs little.
const PIECE: usize = 16 << 10;
/// A piece goes on that far into the next, so that what lies across their border is in one of them whole.
const OVERLAP: usize = 1 << 10;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// A thread that looks at a folder again and again.
#[derive(Debug)]
pub struct Recorder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Recording>>,
}

/// What it saw.
#[derive(Debug, Default)]
pub struct Recording {
    /// Pieces of files, each content once.
    pub pieces: Vec<Piece>,
    /// How often the folder was looked at.
    pub looks: u64,
    seen: HashSet<u64>,
    files: HashMap<PathBuf, (u64, Option<SystemTime>)>,
}

/// A piece of a file.
#[derive(Debug)]
pub struct Piece {
    /// The file, as it was then called.
    pub path: PathBuf,
    /// Where in it.
    pub offset: usize,
    /// What stood there.
    pub bytes: Vec<u8>,
}

impl Recorder {
    /// Begins to look at a folder, which need not exist yet, and whatever is under it, except a folder of this name.
    pub fn start(folder: PathBuf, except: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut recording = Recording::default();
            loop {
                // Once more after the word to stop: what was written before it is seen.
                let last = stopped.load(Ordering::Acquire);
                recording.look(&folder, &except);
                if last {
                    return recording;
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Looks a last time and gives what was seen.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn finish(mut self) -> anyhow::Result<Recording> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().context("a recorder is finished once")?;
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that records the data folder panicked"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Recording {
    fn look(&mut self, folder: &Path, except: &Path) {
        self.looks += 1;
        for path in files_under(folder) {
            if path.starts_with(except) {
                continue;
            }
            // Files come and go while the folder is in use; what is gone is gone.
            let Ok(facts) = std::fs::metadata(&path) else {
                continue;
            };
            let state = (facts.len(), facts.modified().ok());
            if self.files.get(&path) == Some(&state) {
                continue;
            }
            let Ok(bytes) = std::fs::read(&path) else { continue };
            self.keep(&path, &bytes);
            self.files.insert(path, state);
        }
    }

    fn keep(&mut self, path: &Path, bytes: &[u8]) {
        for offset in (0..bytes.len()).step_by(PIECE) {
            let piece = &bytes[offset..bytes.len().min(offset + PIECE + OVERLAP)];
            let mut hasher = DefaultHasher::new();
            piece.hash(&mut hasher);
            if self.seen.insert(hasher.finish()) {
                self.pieces.push(Piece {
                    path: path.to_owned(),
                    offset,
                    bytes: piece.to_vec(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_for_a_while_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::default();
        let file = folder.path().join("deep/passing");
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::create_dir(folder.path().join("not")).unwrap();
        std::fs::write(&file, b"secret").unwrap();
        std::fs::write(folder.path().join("not/this"), b"ignored").unwrap();
        recording.look(folder.path(), &folder.path().join("not"));
        std::fs::remove_file(&file).unwrap();
        recording.look(folder.path(), &folder.path().join("not"));
        assert_eq!(recording.looks, 2);
        assert_eq!(recording.pieces.len(), 1);
        assert_eq!(
            (recording.pieces[0].path.as_path(), &recording.pieces[0].bytes[..]),
            (file.as_path(), &b"secret"[..])
        );
    }

    #[test]
    fn large_files_are_kept_in_pieces_that_overlap_and_what_stays_is_kept_once() {
        let mut recording = Recording::default();
        let bytes: Vec<u8> = (0..3 * PIECE as u32 / 4).flat_map(u32::to_le_bytes).collect();
        recording.keep(Path::new("a"), &bytes);
        assert_eq!(recording.pieces.len(), 3);
        assert_eq!(recording.pieces[0].bytes.len(), PIECE + OVERLAP);
        assert_eq!(recording.pieces[2].bytes.len(), PIECE);
        let mut changed = bytes.clone();
        changed[2 * PIECE + OVERLAP] ^= 1;
        recording.keep(Path::new("a"), &changed);
        assert_eq!(recording.pieces.len(), 4);
    }
}
