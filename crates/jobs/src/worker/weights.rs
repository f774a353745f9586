//! Sealed models in and out.

use std::io::Write;

use posthuman_lm::{Bundle, BundleHeader, HeaderRead};
use posthuman_proofs::{CommitmentBuilder, Header, Salt};
use posthuman_types::{Commitment, Digest, keccak256};
use zeroize::Zeroizing;

use super::session::Session;
use super::stop::Stop;
use crate::handover::{Key, MODEL_SLOT, OpeningReader, RESUME_SLOT, write_sealed};
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
    let bytes = OpeningReader::new(&mut session.sealed_input, MODEL_SLOT, &key).read_all();
    let bundle =
        Bundle::from_bytes(&bytes.map_err(Stop::io("opening the sealed model"))?).map_err(Stop::sealed)?;
    let Some(salt) = session.keys.salt.clone() else {
        return Err(Stop::Failed(
            FailureCode::WeightsCorrupted,
            "the model's salt is missing".to_owned(),
        ));
    };
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

/// Seals an object into its slot.
pub(super) fn seal(session: &mut Session, slot: u32, step: u32, plaintext: &[u8]) -> Result<(), Stop> {
    let slots = Slots::new(session.keys.slots.clone());
    let key = Key {
        object: slots.object(slot),
        key: slots.key(slot),
    };
    write_sealed(&mut session.sealed_output, slot, step, &key, plaintext)
        .and_then(|()| session.sealed_output.flush())
        .map_err(Stop::io("sealing"))
}

/// Seals the model that comes out.
pub(super) fn seal_model(session: &mut Session, bundle: &Bundle) -> Result<(), Stop> {
    session.phase("sealing the result")?;
    let bytes = Zeroizing::new(bundle.to_bytes().map_err(|error| Stop::internal(&error))?);
    seal(session, MODEL_SLOT, 0, &bytes)
}

/// The commitment to a model under a salt.
pub(super) fn commitment(bundle: &Bundle, salt: &Secret) -> Result<Commitment, Stop> {
    let config = bundle.model().config().to_json();
    let bound = bundle.bound_tokenizer().map_err(|error| Stop::internal(&error))?;
    let header = Header::describe(config.as_bytes(), &bound);
    let mut builder = CommitmentBuilder::new(&Salt::from_bytes(*salt.expose()), &header);
    for tensor in bundle.tensors() {
        builder
            .tensor_values(tensor.name, tensor.shape, &tensor.values())
            .map_err(|error| Stop::internal(&error))?;
    }
    Ok(builder.finish().commitment())
}

/// The digest of a tokenizer that statements carry.
pub(super) fn tokenizer_digest(bundle: &Bundle) -> Result<Digest, Stop> {
    let bound = bundle.bound_tokenizer().map_err(|error| Stop::internal(&error))?;
    Ok(keccak256(bound))
}
