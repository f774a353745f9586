//! Turning the files of a Hugging Face folder, or a GGUF file, into a sealed model.

use std::collections::BTreeMap;
use std::io;

use posthuman_lm::{Bundle, ModelFiles, import_folder, import_gguf};
use posthuman_types::api::{GGUF_FILE, MODEL_FILES};
use posthuman_types::{Input, InputManifest, keccak256};
use zeroize::Zeroizing;

use super::session::Session;
use super::stop::Stop;
use super::{inputs, weights};
use crate::handover::{MODEL_SLOT, OpeningReader};
use crate::protocol::Ending;
use crate::task::{FailureCode, ImportFacts, ImportSpec, RefusalCode};

/// Runs the import.
pub(super) fn run(session: &mut Session, import: &ImportSpec) -> Result<Ending, Stop> {
    inputs::only(&import.inputs, MODEL_FILES)?;
    session.phase("reading the model's files")?;
    let mut others = BTreeMap::new();
    for input in import.inputs.inputs() {
        others.insert(input.name.clone(), inputs::bytes(session, &input.name)?);
    }
    let weights_bytes = open(session, &import.weights)?;
    let bundle = bundle(others, &import.weights.name, &weights_bytes)?;
    // From here on only the model is held.
    drop(weights_bytes);
    let mut files = import.inputs.inputs().to_vec();
    files.push(import.weights.clone());
    session.phase("committing to the weights")?;
    let facts = ImportFacts {
        commitment: weights::commitment(&bundle, &session.keys.output_salt.clone())?,
        tokenizer: weights::tokenizer_digest(&bundle)?,
        config: keccak256(bundle.model().config().to_json()),
        architecture: bundle.header().describe(),
        source: InputManifest::new(files).digest(),
    };
    weights::seal_model(session, &bundle)?;
    Ok(Ending::Imported(Box::new(facts)))
}

/// The upload that holds the weights, which must be the one that the import names.
fn open(session: &mut Session, named: &Input) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let Some(key) = session.keys.model.clone() else {
        return Err(Stop::Failed(
            FailureCode::Internal,
            "an import was started without its weights".to_owned(),
        ));
    };
    let expected = usize::try_from(named.bytes).unwrap_or_default();
    let sealed = OpeningReader::new(&mut session.sealed_input, MODEL_SLOT, &key).read_all(expected);
    let bytes = sealed.map_err(Stop::io("opening the sealed upload"))?;
    if Input::describe(&named.name, &bytes) != *named {
        let reason = format!(
            "the upload `{}` is not the one that the import names: its digest differs",
            named.name
        );
        return Err(Stop::Failed(FailureCode::InputCorrupted, reason));
    }
    Ok(bytes)
}

fn bundle(others: BTreeMap<String, Vec<u8>>, name: &str, weights: &[u8]) -> Result<Bundle, Stop> {
    let made = if name == GGUF_FILE {
        import_gguf(weights)
    } else {
        import_folder(&Folder {
            others,
            name,
            weights,
        })
    };
    made.map_err(Stop::engine(RefusalCode::ModelInvalid))
}

/// The files that came, as a folder.
struct Folder<'a> {
    others: BTreeMap<String, Vec<u8>>,
    name: &'a str,
    weights: &'a [u8],
}

impl Folder<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        if name == self.name {
            Some(self.weights)
        } else {
            self.others.get(name).map(Vec::as_slice)
        }
    }
}

impl ModelFiles for Folder<'_> {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = self.others.keys().cloned();
        Ok(names.chain([self.name.to_owned()]).collect())
    }

    fn length(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.get(name).map(|bytes| bytes.len() as u64))
    }

    fn read(&self, name: &str, offset: u64, target: &mut [u8]) -> io::Result<()> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        let end = offset
            .checked_add(target.len() as u64)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
        let found = range.and_then(|(start, end)| bytes.get(start..end));
        target.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
