//! GGUF files: what other programs wrote, what is written here, and what must be refused.

mod blocks;
mod hostile;
mod models;
mod native;
mod quantised_file;
mod round_trip;
mod tokenizers;
mod turned;
mod writer;

use posthuman_lm::{GgufFile, GgufParameter};
use sha2::{Digest, Sha256};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf");

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}/{name}")).unwrap()
}

fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// As the script that makes the fixtures takes it: SHA-256 of little-endian numbers, in hexadecimal.
fn digest(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn values(parameter: &GgufParameter<'_>) -> Vec<f32> {
    let mut values = vec![f32::NAN; parameter.len()];
    parameter.dequantise(&mut values).unwrap();
    values
}

/// Everything that a caller can ask of a file, each thing with its answer.
fn use_all(bytes: &[u8]) -> Vec<posthuman_lm::Error> {
    let file = match GgufFile::read(bytes) {
        Ok(file) => file,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    for tensor in file.tensors() {
        let mut values = vec![0.0; tensor.len()];
        match tensor.dequantise(&mut values) {
            Ok(()) => assert!(values.iter().all(|value| value.is_finite())),
            Err(error) => errors.push(error),
        }
    }
    match file.model() {
        Ok(model) => {
            for parameter in model.parameters() {
                let mut values = vec![0.0; parameter.len()];
                errors.extend(parameter.dequantise(&mut values).err());
                assert!(parameter.row_blocks(usize::MAX).is_none());
            }
        }
        Err(error) => errors.push(error),
    }
    errors.extend(file.tokenizer().err());
    errors.extend(posthuman_lm::import_gguf_model(bytes).err());
    errors
}
