//! The bytes of uploads in the vault, which works in blocking calls.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use posthuman_jobs::vault::{ObjectKind, Vault, VaultError};
use posthuman_types::{Digest, Hasher, ObjectId};

use crate::error::{NodeError, OrFault};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Seals bytes as an object of their own.
pub(crate) async fn seal(vault: &Arc<Vault>, bytes: Bytes) -> Result<ObjectId, NodeError> {
    blocking(vault, "sealing bytes", move |vault| {
        let mut writer = vault.writer(ObjectKind::Upload)?;
        writer.write_all(&bytes).map_err(of_io)?;
        Ok(writer.finish()?)
    })
    .await
}

/// Seals the chunks once more as one object if together they have `digest`; otherwise says which one they have.
pub(super) async fn assemble(
    vault: &Arc<Vault>,
    chunks: Vec<ObjectId>,
    digest: Digest,
) -> Result<Result<ObjectId, Digest>, NodeError> {
    blocking(vault, "putting an upload together", move |vault| {
        let mut writer = vault.writer(ObjectKind::Upload)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; COPY_BYTES];
        for chunk in chunks {
            let mut reader = vault.reader(chunk)?;
            loop {
                let count = reader.read(&mut buffer).map_err(of_io)?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                writer.write_all(&buffer[..count]).map_err(of_io)?;
            }
        }
        let found = hasher.finalize();
        // A writer that is dropped leaves nothing behind.
        if found == digest {
            Ok(Ok(writer.finish()?))
        } else {
            Ok(Err(found))
        }
    })
    .await
}

/// Removes objects. One that is gone already is no error.
pub(super) async fn drop_objects(vault: &Arc<Vault>, objects: Vec<ObjectId>) -> Result<(), NodeError> {
    if objects.is_empty() {
        return Ok(());
    }
    blocking(vault, "dropping sealed objects", move |vault| {
        for object in objects {
            vault.remove(object)?;
        }
        Ok(())
    })
    .await
}

/// Sealed upload objects that were made at `moment` or before.
pub(super) async fn uploads_until(vault: &Arc<Vault>, moment: u64) -> Result<Vec<ObjectId>, NodeError> {
    blocking(vault, "listing the vault", move |vault| {
        let uploads = vault.list()?.into_iter();
        let old = uploads.filter(|facts| facts.kind == ObjectKind::Upload && facts.created <= moment);
        Ok(old.map(|facts| facts.object).collect())
    })
    .await
}

async fn blocking<T: Send + 'static>(
    vault: &Arc<Vault>,
    what: &str,
    work: impl FnOnce(&Vault) -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let vault = vault.clone();
    tokio::task::spawn_blocking(move || work(&vault))
        .await
        .or_fault(what)?
}

/// The vault's own error, which travels inside an I/O error where a reader or writer reports it.
fn of_io(error: io::Error) -> NodeError {
    match error.downcast::<VaultError>() {
        Ok(error) => error.into(),
        Err(error) => NodeError::fault("copying an upload", error),
    }
}
