//! What a verifier has at hand besides the receipt: files, and the other receipts of a session.

use posthuman_types::{Digest, EngineName, Input, InputManifest, Parameters, Receipt, SignedReceipt};

use super::Verification;

/// A file by the name that the job gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// `text`, `held_out`, `prompt`, or an output such as `evaluation.json`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What else is at hand. Nothing of it is required; a session's earlier turns need the session.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// All inputs of the job.
    pub inputs: Option<Vec<File>>,
    /// All outputs of the job.
    pub outputs: Option<Vec<File>>,
    /// The receipts of the order, in order of turns.
    pub session: Vec<SignedReceipt>,
}

/// Compares the files with the receipt's digests, and the parameters with themselves.
pub(super) fn check(receipt: &Receipt, material: &Material, verification: &mut Verification) {
    match Parameters::from_canonical(&receipt.parameters) {
        Ok(parameters) => {
            let precision = EngineName::read(&receipt.engine).precision();
            let ok = parameters.seed() == receipt.seed
                && parameters.operation() == receipt.operation
                && Some(parameters.precision()) == precision;
            verification.check(
                "parameters",
                ok,
                "canonical, of this operation, seed and precision",
            );
        }
        Err(error) => verification.check("parameters", false, error.to_string()),
    }
    if let Some(inputs) = &material.inputs {
        compare("inputs", receipt.input, inputs, verification);
    }
    if let Some(outputs) = &material.outputs {
        compare("outputs", receipt.output, outputs, verification);
    }
}

fn compare(name: &'static str, told: Digest, files: &[File], verification: &mut Verification) {
    let found = manifest(files).digest();
    let detail = match told == found {
        true => told.to_string(),
        false => format!("the receipt says {told}, these files give {found}"),
    };
    verification.check(name, told == found, detail);
}

fn manifest(files: &[File]) -> InputManifest {
    InputManifest::new(
        files
            .iter()
            .map(|file| Input::describe(&file.name, &file.bytes))
            .collect(),
    )
}
