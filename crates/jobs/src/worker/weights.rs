//! Sealed models in and out.

use std::fs::File;
use std::io::BufWriter;

use posthuman_lm::{Bundle, BundleHeader, HeaderRead};
use posthuman_proofs::{CommitmentBuilder, CommitmentError, Header, Salt, Scheme, TensorFacts};
use posthuman_types::{Commitment, Digest, keccak256};
use zeroize::Zeroizing;

use super::session::Session;
use super::stop::Stop;
use crate::handover::{Key, MODEL_SLOT, OpeningReader, RESUME_SLOT, SealingWriter};
use crate::task::{FailureCode, RefusalCode};
use crate::vault::Secret;
use crate::vault::seal::Slots;

/// Opens the model that goes in and checks that it is the one the job names.
pub(super) fn open(session: &mut Session, named: Option<&Commitment>) -> Result<Bundle, Stop> {
    session.phase("opening the model")?;
    let (Some(key), Some(named)) = (session.keys.model.clone(), named) else {
        let reason = "this model has no weights: it can only be trained";
        return Err(Stop::refused(RefusalCode::ModelInvalid, reason));
    };
    let mut sealed = OpeningReader::new(&mut session.sealed_input, MODEL_SLOT, &key);
    let bundle = Bundle::read(&mut sealed).map_err(Stop::sealed)?;
    let salt = salt(session)?;
    let found = commitment(&bundle, &salt)?;
    if found != *named {
        let reason = format!(
            "the weights are not those that the job names: {} against {}",
            found.root, named.root
        );
        return Err(Stop::Failed(FailureCode::WeightsCorrupted, reason));
    }
    Ok(bundle)
}

/// The salt of the model that goes in.
pub(super) fn salt(session: &Session) -> Result<Secret, Stop> {
    session.keys.salt.clone().ok_or_else(|| {
        Stop::Failed(
            FailureCode::WeightsCorrupted,
            "the model's salt is missing".to_owned(),
        )
    })
}

/// Reads only the head of the model: shape and tokenizer. Nothing is checked against a commitment.
pub(super) fn open_header(session: &mut Session, key: &Key) -> Result<BundleHeader, Stop> {
    let mut reader = OpeningReader::new(&mut session.sealed_input, MODEL_SLOT, key);
    let mut prefix = Zeroizing::new(Vec::new());
    loop {
        let Some(chunk) = reader
            .next_chunk()
            .map_err(Stop::io("opening the sealed model"))?
        else {
            let reason = "the sealed model ends inside its header".to_owned();
            return Err(Stop::Failed(FailureCode::WeightsCorrupted, reason));
        };
        prefix.extend_from_slice(&chunk);
        if let HeaderRead::Complete(header) = BundleHeader::read(&prefix).map_err(Stop::sealed)? {
            return Ok(*header);
        }
    }
}

/// Opens the checkpoint that a training goes on from, if there is one. The model comes before it in the stream.
pub(super) fn open_checkpoint(session: &mut Session) -> Result<Option<Zeroizing<Vec<u8>>>, Stop> {
    let Some(key) = session.keys.resume.clone() else {
        return Ok(None);
    };
    let bytes = OpeningReader::new(&mut session.sealed_input, RESUME_SLOT, &key).read_all();
    bytes.map(Some).map_err(Stop::io("opening the sealed checkpoint"))
}

/// Takes an object for a slot, to seal it.
pub(super) fn sealing(session: &mut Session, slot: u32, step: u32) -> SealingWriter<'_, BufWriter<File>> {
    let slots = Slots::new(session.keys.slots.clone());
    let key = Key {
        object: slots.object(slot),
        key: slots.key(slot),
    };
    SealingWriter::new(&mut session.sealed_output, slot, step, &key)
}

/// Seals the model that comes out.
pub(super) fn seal_model(session: &mut Session, bundle: &Bundle) -> Result<(), Stop> {
    session.phase("sealing the result")?;
    let mut writer = sealing(session, MODEL_SLOT, 0);
    bundle.write(&mut writer).map_err(Stop::sealing)?;
    writer.finish().map_err(Stop::io("sealing"))
}

/// The commitment to a model under a salt: to its tensors as they are stored where some are quantised, since blocks
/// decide bits, and otherwise to their values.
pub(super) fn commitment(bundle: &Bundle, salt: &Secret) -> Result<Commitment, Stop> {
    let scheme = if is_quantised(bundle) {
        Scheme::Stored
    } else {
        Scheme::Values
    };
    commit(scheme, bundle, salt)
}

/// The commitment to a model's values, whatever they are stored in: what a training begins with.
pub(super) fn commitment_to_values(bundle: &Bundle, salt: &Secret) -> Result<Commitment, Stop> {
    commit(Scheme::Values, bundle, salt)
}

/// Whether some tensors of a model are in blocks that share scales.
pub(super) fn is_quantised(bundle: &Bundle) -> bool {
    bundle.tensors().any(|tensor| tensor.kind.is_quantised())
}

fn commit(scheme: Scheme, bundle: &Bundle, salt: &Secret) -> Result<Commitment, Stop> {
    let config = bundle.model().config().to_json();
    let bound = bundle.bound_tokenizer().map_err(|error| Stop::internal(&error))?;
    let header = Header::describe(config.as_bytes(), &bound);
    let mut builder = CommitmentBuilder::new(scheme, &Salt::from_bytes(*salt.expose()), &header);
    let failed = |error: CommitmentError| Stop::internal(&error);
    for tensor in bundle.tensors() {
        let values = TensorFacts::values(tensor.name, tensor.shape);
        match scheme {
            Scheme::Values => {
                let mut writer = builder.begin(&values).map_err(failed)?;
                tensor.value_pieces(&mut |piece| writer.push_values(piece));
                writer.finish().map_err(failed)?;
            }
            Scheme::Stored => {
                let stored = TensorFacts {
                    kind: tensor.kind.name(),
                    length: tensor.stored_bytes(),
                    ..values
                };
                let mut writer = builder.begin(&stored).map_err(failed)?;
                tensor.bytes(&mut |piece| writer.push(piece));
                writer.finish().map_err(failed)?;
            }
        }
    }
    Ok(builder.finish().commitment())
}

/// The digest of a tokenizer that statements carry.
pub(super) fn tokenizer_digest(bundle: &Bundle) -> Result<Digest, Stop> {
    let bound = bundle.bound_tokenizer().map_err(|error| Stop::internal(&error))?;
    Ok(keccak256(bound))
}
