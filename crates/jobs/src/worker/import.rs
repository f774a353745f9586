//! Turning the files of a Hugging Face folder into a sealed model.

use posthuman_lm::import_hugging_face;
use posthuman_types::{Architecture, Input, InputManifest, keccak256};

use super::session::Session;
use super::stop::Stop;
use super::train::architecture;
use super::{inputs, weights};
use crate::handover::{MODEL_SLOT, OpeningReader};
use crate::protocol::Ending;
use crate::task::{FailureCode, ImportFacts, ImportSpec, RefusalCode};

/// Names of the inputs.
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// What the sealed input is called in the digest of the source.
const WEIGHTS: &str = "model.safetensors";

/// Runs the import.
pub(super) fn run(session: &mut Session, import: &ImportSpec) -> Result<Ending, Stop> {
    inputs::only(&import.inputs, &[CONFIG, TOKENIZER])?;
    session.phase("reading the model's files")?;
    let config = inputs::bytes(session, CONFIG)?;
    let tokenizer = inputs::bytes(session, TOKENIZER)?;
    let Some(key) = session.keys.model.clone() else {
        return Err(Stop::Failed(
            FailureCode::Internal,
            "an import was started without its weights".to_owned(),
        ));
    };
    let sealed = OpeningReader::new(&mut session.sealed_input, MODEL_SLOT, &key).read_all();
    let safetensors = sealed.map_err(Stop::io("opening the sealed upload"))?;
    let bundle = import_hugging_face(&config, &safetensors, &tokenizer)
        .map_err(Stop::engine(RefusalCode::ModelInvalid))?;
    let mut files = import.inputs.inputs().to_vec();
    files.push(Input::describe(WEIGHTS, &safetensors));
    drop(safetensors);
    session.phase("committing to the weights")?;
    let shape = architecture(bundle.model().config());
    let facts = ImportFacts {
        commitment: weights::commitment(&bundle, &session.keys.output_salt.clone())?,
        tokenizer: weights::tokenizer_digest(&bundle),
        config: keccak256(bundle.model().config().to_json()),
        parameters: shape.parameters,
        family: shape.family,
        architecture: Architecture {
            layers: shape.layers,
            heads: shape.heads,
            width: shape.width,
            context: shape.context,
            vocabulary: shape.vocabulary,
        },
        source: InputManifest::new(files).digest(),
    };
    weights::seal_model(session, &bundle)?;
    Ok(Ending::Imported(facts))
}
