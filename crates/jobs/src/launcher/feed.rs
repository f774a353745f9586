//! Giving the worker its keys and its sealed input.

use std::io::{self, PipeWriter};

use posthuman_types::ObjectId;

use super::{Keep, Run};
use crate::handover::{Frame, JobKeys, Key, MODEL_SLOT, RESUME_SLOT};
use crate::task::Task;
use crate::vault::{Secret, VaultError};

/// The keys and salts of this run.
pub(super) fn keys(run: &Run<'_>) -> Result<JobKeys, VaultError> {
    let key = |object: ObjectId| {
        Ok(Key {
            object,
            key: run.vault.keys(object)?.key,
        })
    };
    // What an import reads is an upload, which has no salt.
    let salted = run.model.filter(|_| !matches!(run.task, Task::Import(_)));
    Ok(JobKeys {
        model: run.model.map(key).transpose()?,
        salt: salted.map(|object| run.vault.salt(object)).transpose()?,
        resume: run.checkpoint.map(key).transpose()?,
        slots: Secret::random(),
        output_salt: match &run.keep {
            Keep::Pending => Secret::random(),
            Keep::Nothing { output_salt } => output_salt.clone(),
        },
    })
}

/// Writes the keys and all sealed chunks. A worker that stops reading, because it has seen enough or has ended, is no
/// error here.
pub(super) fn feed(
    run: &Run<'_>,
    keys: &JobKeys,
    mut key_pipe: PipeWriter,
    mut input: PipeWriter,
) -> Result<(), VaultError> {
    if keys.write(&mut key_pipe).is_err() {
        return Ok(());
    }
    drop(key_pipe);
    for (slot, object) in [(MODEL_SLOT, run.model), (RESUME_SLOT, run.checkpoint)] {
        let Some(object) = object else { continue };
        let mut chunks = run.vault.sealed_reader(object)?;
        while let Some(chunk) = chunks.next_chunk()? {
            let frame = Frame {
                slot,
                step: 0,
                last: chunk.place.last,
                sealed: chunk.sealed,
            };
            if let Err(error) = frame.write(&mut input) {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    tracing::warn!(%error, "the sealed input could not be handed over");
                }
                return Ok(());
            }
        }
    }
    Ok(())
}
