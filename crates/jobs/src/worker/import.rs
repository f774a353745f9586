//! Turning the files of a Hugging Face folder, or a GGUF file, into a sealed model.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use posthuman_lm::{Bundle, ModelFiles, import_folder, import_gguf_stream};
use posthuman_types::api::{GGUF_FILE, MODEL_FILES};
use posthuman_types::{Input, InputManifest, keccak256};

use super::session::Session;
use super::stop::Stop;
use super::upload::Upload;
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
    let bundle = bundle(session, others, &import.weights)?;
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

/// The model of the upload that holds the weights, which must be the one that the import names. The upload passes by once
/// and is never held as a whole.
fn bundle(session: &mut Session, others: BTreeMap<String, Vec<u8>>, named: &Input) -> Result<Bundle, Stop> {
    let Some(key) = session.keys.model.clone() else {
        return Err(Stop::Failed(
            FailureCode::Internal,
            "an import was started without its weights".to_owned(),
        ));
    };
    let mut upload = Upload::new(OpeningReader::new(&mut session.sealed_input, MODEL_SLOT, &key));
    let made = if named.name == GGUF_FILE {
        import_gguf_stream(&mut upload, named.bytes)
    } else {
        import_folder(&Folder {
            others,
            named,
            weights: RefCell::new(&mut upload),
        })
    };
    // Another upload than the one that is named, or one that cannot be opened, says nothing of the model.
    upload.finish(named)?;
    made.map_err(Stop::engine(RefusalCode::ModelInvalid))
}

/// The files that came, as a folder.
struct Folder<'a, R> {
    others: BTreeMap<String, Vec<u8>>,
    named: &'a Input,
    weights: RefCell<&'a mut Upload<R>>,
}

impl<R: Read> ModelFiles for Folder<'_, R> {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = self.others.keys().cloned();
        Ok(names.chain([self.named.name.clone()]).collect())
    }

    fn length(&self, name: &str) -> io::Result<Option<u64>> {
        if name == self.named.name {
            return Ok(Some(self.named.bytes));
        }
        self.others.length(name)
    }

    fn read(&self, name: &str, offset: u64, target: &mut [u8]) -> io::Result<()> {
        if name == self.named.name {
            return self.weights.borrow_mut().read_at(offset, target);
        }
        self.others.read(name, offset, target)
    }
}
