//! A GPT-2 of quantised blocks: the matrices of its linear layers are stored the other way round than they are multiplied.

use posthuman_lm::{Decoder, GgufFile, Model, import_gguf_model};

use super::bytes;
use super::quantised_file::Numbers;
use super::writer::{parts, write};

/// A GPT-2 has its matrices the other way round in a file: blocks lie along what are rows of its Hugging Face form.
#[test]
fn a_gpt2_keeps_its_blocks_too() {
    let (keys, mut tensors) = parts(&bytes("gpt2_tiny.gguf"));
    let mut numbers = Numbers(3);
    for tensor in &mut tensors {
        let quantised = tensor.dimensions.len() == 2 && tensor.dimensions[0].is_multiple_of(32);
        if quantised && tensor.name != "position_embd.weight" {
            let blocks = tensor.dimensions.iter().product::<u64>() / 32;
            tensor.kind = if tensor.name.contains("ffn") { 2 } else { 3 };
            tensor.data = (0..blocks).flat_map(|_| numbers.block(tensor.kind)).collect();
        }
    }
    let bytes = write(3, 32, &keys, &tensors);
    let model = import_gguf_model(&bytes).unwrap();
    let file = GgufFile::read(&bytes).unwrap();
    let described = file.model().unwrap();
    let mut turned = 0;
    for tensor in model.tensors().filter(|tensor| tensor.kind.is_quantised()) {
        let find = |name: &str| described.parameters().iter().find(|one| one.name() == name);
        let stored = find(&format!("transformer.{}", tensor.name))
            .or_else(|| find(tensor.name))
            .unwrap();
        let mut expected = vec![0.0; stored.len()];
        stored.dequantise(&mut expected).unwrap();
        assert_eq!(*tensor.values(), expected, "{}", tensor.name);
        let mut blocks = Vec::new();
        tensor.bytes(&mut |piece| blocks.extend_from_slice(piece));
        assert_eq!(blocks, stored.stored().data(), "{}", tensor.name);
        turned += usize::from(stored.row_blocks(0).is_none());
    }
    assert!(turned > 4, "{turned} matrices of blocks are the other way round");
    let tokens: Vec<u32> = (0..12).map(|index| index * 5 % 90).collect();
    let read = |model: &Model| Decoder::new(model, 12, 2).unwrap().read(&tokens).unwrap();
    let (ours, exact) = (read(&model), read(&model.clone().into_f32()));
    let difference = ours.iter().zip(&exact).map(|(one, other)| (one - other).abs());
    let largest = exact
        .iter()
        .fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    assert!(difference.fold(0.0, f32::max) < 0.1 * largest);
}
