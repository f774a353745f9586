//! Sending files in chunks, going on where a lost connection stopped.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use posthuman_types::api::{CreateUpload, Upload};
use posthuman_types::{Digest, Hasher, UploadId, keccak256};

use super::NodeClient;
use crate::MarketError;

/// Consecutive chunks that may be sent without the node getting further.
const STALLS: u32 = 5;

/// What is uploaded: bytes in memory, or a file that is read chunk by chunk.
#[derive(Debug)]
pub(crate) enum Content {
    Memory(Bytes),
    File {
        file: File,
        bytes: u64,
        path: std::path::PathBuf,
    },
}

impl Content {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self, MarketError> {
        let error = |source| MarketError::File {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(error)?;
        let bytes = file.metadata().map_err(error)?.len();
        Ok(Self::File {
            file,
            bytes,
            path: path.to_owned(),
        })
    }

    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }

    /// Keccak-256 over all bytes.
    pub(crate) fn digest(&mut self) -> Result<Digest, MarketError> {
        let Self::File { file, path, .. } = self else {
            return Ok(keccak256(self.part(0, usize::MAX)?));
        };
        let error = |source| MarketError::File {
            path: path.clone(),
            source,
        };
        file.seek(SeekFrom::Start(0)).map_err(error)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(error)? {
                0 => return Ok(hasher.finalize()),
                read => hasher.update(&buffer[..read]),
            }
        }
    }

    fn part(&mut self, offset: u64, most: usize) -> Result<Bytes, MarketError> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(most).min(bytes.len());
                Ok(bytes.slice(start..end))
            }
            Self::File { file, path, .. } => {
                let error = |source| MarketError::File {
                    path: path.clone(),
                    source,
                };
                file.seek(SeekFrom::Start(offset)).map_err(error)?;
                let mut part = Vec::new();
                file.take(most as u64).read_to_end(&mut part).map_err(error)?;
                Ok(part.into())
            }
        }
    }
}

impl NodeClient {
    /// Sends bytes under a name that people will see. `on_progress` gets bytes sent and bytes in all.
    ///
    /// # Errors
    /// As [`NodeClient::info`]; also a node that takes no chunk any more.
    pub async fn upload_bytes(
        &self,
        name: &str,
        bytes: Bytes,
        on_progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Upload, MarketError> {
        self.upload(name, Content::Memory(bytes), on_progress).await
    }

    /// Sends a file, reading it twice: for its digest and for its bytes.
    ///
    /// # Errors
    /// As [`NodeClient::upload_bytes`], or a file that cannot be read.
    pub async fn upload_file(
        &self,
        path: &Path,
        on_progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Upload, MarketError> {
        let name = path
            .file_name()
            .map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
        self.upload(&name, Content::open(path)?, on_progress).await
    }

    async fn upload(
        &self,
        name: &str,
        mut content: Content,
        on_progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Upload, MarketError> {
        let create = CreateUpload {
            name: name.to_owned(),
            bytes: content.length(),
            digest: content.digest()?,
        };
        let mut upload: Upload = self.post_private(&["uploads"], &create).await?;
        let mut stalls = 0;
        while !upload.complete {
            on_progress(upload.received, upload.bytes);
            let next = self.next_chunk(&upload, &mut content).await?;
            stalls = if next.received > upload.received || next.complete {
                0
            } else {
                stalls + 1
            };
            if stalls == STALLS {
                return Err(self.strange("an upload", "it takes no more bytes and is not complete"));
            }
            upload = next;
        }
        on_progress(upload.bytes, upload.bytes);
        Ok(upload)
    }

    /// Sends one chunk; where the node disagrees about the offset, or its answer is lost, asks how far it is.
    async fn next_chunk(&self, upload: &Upload, content: &mut Content) -> Result<Upload, MarketError> {
        let most = usize::try_from(upload.chunk_bytes.clamp(1, 64 << 20)).expect("64 MiB is addressable");
        let chunk = content.part(upload.received, most)?;
        match self.put_chunk(upload.id, upload.received, chunk).await {
            Err(MarketError::Node(answer)) if answer.code == "upload_offset" => {
                self.upload_state(upload.id).await
            }
            other => other,
        }
    }

    async fn put_chunk(&self, id: UploadId, offset: u64, chunk: Bytes) -> Result<Upload, MarketError> {
        let mut url = self.url_of(&["uploads", &id.to_string()]);
        url.query_pairs_mut().append_pair("offset", &offset.to_string());
        let request = self
            .request("PUT", url)
            .header("content-type", "application/octet-stream")
            .body(chunk);
        let answer = self
            .with_token(request, |request| self.send_bytes(request))
            .await?;
        serde_json::from_slice(&answer).map_err(|error| self.strange("an upload", &error.to_string()))
    }

    async fn upload_state(&self, id: UploadId) -> Result<Upload, MarketError> {
        self.get_private(&["uploads", &id.to_string()]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_bytes_are_one_content() {
        let folder = std::env::temp_dir().join(format!("posthuman-upload-{}", std::process::id()));
        std::fs::write(&folder, b"call me ishmael").unwrap();
        let mut file = Content::open(&folder).unwrap();
        let mut memory = Content::Memory(Bytes::from_static(b"call me ishmael"));
        assert_eq!(file.digest().unwrap(), memory.digest().unwrap());
        assert_eq!(memory.digest().unwrap(), keccak256("call me ishmael"));
        for (offset, most, expected) in [
            (0, 4, "call"),
            (5, 2, "me"),
            (8, 100, "ishmael"),
            (15, 4, ""),
            (99, 4, ""),
        ] {
            assert_eq!(file.part(offset, most).unwrap(), expected);
            assert_eq!(memory.part(offset, most).unwrap(), expected);
        }
        std::fs::remove_file(&folder).unwrap();
    }
}
