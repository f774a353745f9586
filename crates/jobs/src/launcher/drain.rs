//! Taking the worker's sealed output into the vault, unopened.

use std::io::{self, PipeReader, Read};

use super::{Event, Keep, Run, Teller};
use crate::break_point::break_point;
use crate::handover::{Frame, JobKeys, MODEL_SLOT};
use crate::vault::seal::Slots;
use crate::vault::{NewObject, ObjectKind, SealedWriter, Shelf, VaultError};

/// Sealed output that could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum DrainError {
    /// The vault could not take it.
    #[error("the vault could not take the sealed output")]
    Vault(#[from] VaultError),
    /// The stream makes no sense.
    #[error("the worker's sealed output is not in order")]
    Stream(#[source] io::Error),
}

impl DrainError {
    /// Whether the stream ends inside a frame, as it does when the worker is killed while it writes.
    pub(super) fn is_cut_off(&self) -> bool {
        matches!(self, Self::Stream(error) if error.kind() == io::ErrorKind::UnexpectedEof)
    }
}

/// What came out.
#[derive(Default)]
pub(super) struct Drained {
    /// The sealed model, whole but without a manifest: its commitment is in the statement.
    pub(super) result: Option<SealedWriter>,
    /// Whether a whole model came, kept or not.
    pub(super) whole: bool,
}

/// Reads the sealed output to its end.
pub(super) fn drain(
    run: &Run<'_>,
    keys: &JobKeys,
    output: PipeReader,
    teller: &Teller,
) -> Result<Drained, DrainError> {
    let mut output = io::BufReader::new(output);
    match run.keep {
        Keep::Pending => keep(run, keys, &mut output, teller),
        Keep::Nothing { .. } => discard(&mut output),
    }
}

fn keep(
    run: &Run<'_>,
    keys: &JobKeys,
    output: &mut impl Read,
    teller: &Teller,
) -> Result<Drained, DrainError> {
    let slots = Slots::new(keys.slots.clone());
    let mut drained = Drained::default();
    let mut present: Option<(u32, SealedWriter)> = None;
    while let Some(frame) = Frame::read(output).map_err(DrainError::Stream)? {
        if !run.task.makes_a_model() || drained.whole {
            return Err(DrainError::Stream(io::ErrorKind::InvalidData.into()));
        }
        let (slot, mut writer) = match present.take() {
            Some(present) => present,
            None => (
                frame.slot,
                run.vault.sealed_writer(new_object(keys, &slots, frame.slot))?,
            ),
        };
        if slot != frame.slot {
            return Err(DrainError::Stream(io::ErrorKind::InvalidData.into()));
        }
        writer.push(&frame.sealed, frame.last)?;
        match (frame.last, slot) {
            (false, _) => present = Some((slot, writer)),
            (true, MODEL_SLOT) => {
                drained = Drained {
                    result: Some(writer),
                    whole: true,
                }
            }
            (true, _) => {
                let object = writer.finish(None, Shelf::Pending)?;
                break_point("launcher.checkpoint.before_record");
                teller.tell(Event::Checkpoint {
                    object,
                    step: frame.step,
                });
            }
        }
    }
    Ok(drained)
}

fn discard(output: &mut impl Read) -> Result<Drained, DrainError> {
    let mut drained = Drained::default();
    while let Some(frame) = Frame::read(output).map_err(DrainError::Stream)? {
        drained.whole |= frame.last && frame.slot == MODEL_SLOT;
    }
    Ok(drained)
}

fn new_object(keys: &JobKeys, slots: &Slots, slot: u32) -> NewObject {
    let (kind, salt) = match slot {
        MODEL_SLOT => (ObjectKind::Model, Some(keys.output_salt.clone())),
        _ => (ObjectKind::Checkpoint, None),
    };
    NewObject {
        object: slots.object(slot),
        kind,
        key: slots.key(slot),
        salt,
    }
}
