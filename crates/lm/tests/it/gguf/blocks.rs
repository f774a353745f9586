//! Values of quantised blocks, against the dequantisation of the `gguf` package.

use posthuman_lm::GgufFile;

use super::{bytes, digest, json};

#[test]
fn blocks_of_every_type_have_the_bits_of_the_reference() {
    let (bytes, expected) = (bytes("blocks.gguf"), json("blocks.json"));
    let file = GgufFile::read(&bytes).unwrap();
    assert_eq!(file.tensors().len(), 11);
    for tensor in file.tensors() {
        let expected = &expected[tensor.name()];
        assert_eq!(
            (tensor.shape(), tensor.kind().name()),
            (&[2, 512][..], tensor.name())
        );
        let mut values = vec![f32::NAN; tensor.len()];
        tensor.dequantise(&mut values).unwrap();
        let first: Vec<u32> = values[..3].iter().map(|value| value.to_bits()).collect();
        assert_eq!(serde_json::json!(first), expected["first"], "{}", tensor.name());
        assert_eq!(digest(&values), expected["digest"], "{}", tensor.name());
    }
}

#[test]
fn values_that_are_not_finite_are_refused_by_the_tensor() {
    let bytes = bytes("blocks.gguf");
    let names: Vec<String> = GgufFile::read(&bytes)
        .unwrap()
        .tensors()
        .iter()
        .map(|tensor| tensor.name().to_owned())
        .collect();
    for name in names {
        let mut bytes = bytes.clone();
        let (range, kind) = {
            let file = GgufFile::read(&bytes).unwrap();
            let tensor = file.tensor(&name).unwrap();
            let start = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
            (start..start + tensor.data().len(), tensor.kind())
        };
        // All ones: no number in any of the scales.
        let block = kind.block_bytes();
        bytes[range][block..2 * block].fill(0xff);
        let file = GgufFile::read(&bytes).unwrap();
        let tensor = file.tensor(&name).unwrap();
        let error = tensor
            .dequantise(&mut vec![0.0; tensor.len()])
            .unwrap_err()
            .to_string();
        let index = kind.block_length();
        let expected = format!("tensor `{name}` holds a value that is not finite, at index {index}");
        assert_eq!(error, expected);
    }
}

#[test]
fn a_target_of_another_length_is_refused() {
    let bytes = bytes("blocks.gguf");
    let file = GgufFile::read(&bytes).unwrap();
    let error = file
        .tensor("Q4_K")
        .unwrap()
        .dequantise(&mut [0.0; 100])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `Q4_K` has 1024 values, where 100 are asked for"
    );
}
