//! Models in a file's own quantisation: every type of block in one model, against the same model in f32.

use std::ops::ControlFlow;

use posthuman_lm::{
    Arithmetic, Bf16Set, Bundle, BundleHeader, Decoder, EvaluateOptions, GgufFile, HeaderRead, LossMeter,
    Sampling, TensorType, TrainOptions, Trainer, TrainingData, evaluate, generate, import_gguf,
};

use super::quantised_file::{self, TENSORS};
use super::writer::{Owned, Stored, write};
use super::{bytes, digest};

fn file() -> Vec<u8> {
    quantised_file::file(&bytes("llama_tiny.gguf"), &[])
}

fn bundle() -> Bundle {
    import_gguf(&file()).unwrap()
}

/// The same model with every value in f32.
fn widened(bundle: &Bundle) -> Bundle {
    let model = bundle.model().clone().into_f32();
    Bundle::new(model, bundle.tokenizer().clone()).unwrap()
}

fn text() -> String {
    "a cat sat on a mat and the dog ran ".repeat(40)
}

#[test]
fn every_tensor_keeps_its_type_through_a_bundle() {
    let (file, bundle) = (file(), bundle());
    let bytes = bundle.to_bytes().unwrap();
    let again = Bundle::from_bytes(&bytes).unwrap();
    assert!(again.to_bytes().unwrap() == bytes);
    assert_eq!(again.length().unwrap(), bytes.len() as u64);
    let HeaderRead::Complete(header) = BundleHeader::read(&bytes).unwrap() else {
        panic!("the whole bundle holds its header");
    };
    let model = GgufFile::read(&file).unwrap();
    let model = model.model().unwrap();
    for (tensor, kind) in again.tensors().zip(&header.kinds) {
        let stored = model
            .parameters()
            .iter()
            .find(|one| one.name() == tensor.name)
            .unwrap();
        assert_eq!((tensor.kind, *kind), (stored.kind(), stored.kind()));
        let mut expected = vec![0.0; stored.len()];
        stored.dequantise(&mut expected).unwrap();
        assert_eq!(*tensor.values(), expected, "{}", tensor.name);
        let mut blocks = Vec::new();
        tensor.bytes(&mut |piece| blocks.extend_from_slice(piece));
        assert_eq!(blocks.len() as u64, tensor.stored_bytes());
        if tensor.kind.is_quantised() {
            let rows = tensor.shape[0];
            for (row, blocks) in blocks.chunks(blocks.len() / rows).enumerate() {
                assert_eq!(
                    stored.row_blocks(row).unwrap(),
                    blocks,
                    "{}, row {row}",
                    tensor.name
                );
            }
        }
    }
    let inside: u64 = again.model().parameter_bytes();
    assert!(inside < widened(&again).model().parameter_bytes() / 3, "{inside}");
}

#[test]
fn logits_are_near_those_of_the_values_in_f32() {
    let bundle = bundle();
    let wide = widened(&bundle);
    let tokens: Vec<u32> = (0..40).map(|index| index * 37 % 420).collect();
    let read = |bundle: &Bundle| {
        Decoder::new(bundle.model(), 40, 2)
            .unwrap()
            .read(&tokens)
            .unwrap()
    };
    let (ours, exact) = (read(&bundle), read(&wide));
    let size = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let error: Vec<f32> = ours.iter().zip(&exact).map(|(one, other)| one - other).collect();
    // Activations are rounded to 8 bits before each of seven products; each rounding is 0.4 % of the largest of 32.
    assert!(
        size(&error) < 0.03 * size(&exact),
        "{} of {}",
        size(&error),
        size(&exact)
    );
}

#[test]
fn rows_threads_and_instruction_sets_change_no_bit() {
    let bundle = bundle();
    let tokens: Vec<u32> = (0..33).map(|index| index * 91 % 420).collect();
    let at_once = |threads: usize| {
        Decoder::new(bundle.model(), 33, threads)
            .unwrap()
            .read(&tokens)
            .unwrap()
    };
    let expected = at_once(1);
    for threads in [1, 2, 3, 8] {
        assert_eq!(at_once(threads), expected, "{threads} threads");
        let mut decoder = Decoder::new(bundle.model(), 33, threads).unwrap();
        let mut last = Vec::new();
        for part in tokens.chunks(threads) {
            last = decoder.read(part).unwrap();
        }
        assert_eq!(last, expected, "{threads} at once");
    }
    let sequences: Vec<&[u32]> = tokens.chunks(11).collect();
    let mut meter = LossMeter::new(bundle.model(), 2).unwrap();
    let together = meter.loss(&sequences).unwrap();
    let alone: f64 = sequences.iter().map(|one| meter.loss(&[one]).unwrap()).sum();
    assert!((together - alone / 3.0).abs() < 1e-12);
    crate::with_each_set(|set| assert_eq!(at_once(2), expected, "{set:?}"));
}

/// A change here is a change of everyone's results: it needs a new `engine_version`, and a reason in the commit.
#[test]
fn the_bits_are_those_of_this_engine_version() {
    let bundle = bundle();
    let go_on = |_: u32, _: &str| ControlFlow::Continue(());
    let prompt = bundle.tokenizer().encode_prompt("a cat").unwrap();
    let sampling = Sampling {
        temperature: 0.8,
        seed: 4,
        maximum_tokens: 12,
        ..Sampling::default()
    };
    let written = generate(&bundle, &prompt, &sampling, 2, go_on).unwrap();
    let tokens: Vec<f32> = written.tokens.iter().map(|&token| token as f32).collect();
    let options = EvaluateOptions {
        stride: 0,
        threads: 2,
    };
    let scored = evaluate(&bundle, &text(), &options, |_, _| ControlFlow::Continue(())).unwrap();
    let nats: Vec<f32> = scored
        .segments
        .iter()
        .map(|segment| segment.nats as f32)
        .collect();
    assert_eq!(
        [&digest(&tokens)[..16], &digest(&nats)[..16]],
        ["1182afe0ca5fdd3e", "c65b31733ccda7eb"]
    );
}

#[test]
fn a_quantised_model_is_trained_in_f32() {
    let bundle = bundle();
    let data = TrainingData::from_text(bundle.tokenizer(), &text(), 0.1).unwrap();
    let options = TrainOptions {
        batch: 2,
        sequence: 16,
        steps: 4,
        warmup_steps: 0,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(bundle.model().clone(), data, options).unwrap();
    let first = trainer.step().unwrap().loss;
    while !trainer.finished() {
        trainer.step().unwrap();
    }
    assert!(trainer.held_out_loss().unwrap().unwrap() < first);
    let model = trainer.into_model();
    assert!(model.tensors().all(|tensor| tensor.kind == TensorType::F32));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let error = bundle()
        .model()
        .clone()
        .with_arithmetic(Arithmetic::Bf16(Bf16Set::Portable));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("Q8_0") && error.contains("leave it away"),
        "{error}"
    );
    let (keys, mut tensors) = parts_of_ours();
    let place = tensors.iter().position(|one| one.name == "blk.0.attn_k.weight");
    tensors[place.unwrap()].data[18 * 5..18 * 5 + 2].copy_from_slice(&0x7c00_u16.to_le_bytes());
    let error = import_gguf(&write(3, 32, &keys, &tensors))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("self_attn.k_proj.weight") && error.contains("not finite"),
        "{error}"
    );
    let bytes = bundle().to_bytes().unwrap();
    let end = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let text = std::str::from_utf8(&bytes[8..end]).unwrap();
    for (from, to, reason) in [
        ("\\\"Q4_K\\\"", "\\\"Q3_K\\\"", "type"),
        ("\"dtype\":\"F16\"", "\"dtype\":\"I16\"", "type"),
        ("\"dtype\":\"U8\"", "\"dtype\":\"I8\"", "type"),
    ] {
        let mut head = bytes[..8].to_vec();
        head.extend(text.replacen(from, to, 1).as_bytes());
        let error = BundleHeader::read(&head).unwrap_err().to_string();
        assert!(error.contains(reason), "{from}: {error}");
    }
}

fn parts_of_ours() -> (Vec<(String, Owned)>, Vec<Stored>) {
    let bytes = file();
    let file = GgufFile::read(&bytes).unwrap();
    let keys = file.metadata().iter();
    let keys = keys
        .map(|(key, value)| (key.to_owned(), Owned::of(value)))
        .collect();
    let tensors = file.tensors().iter().zip(TENSORS);
    let tensors = tensors.map(|(tensor, (name, _, _, kind))| Stored {
        name: name.to_owned(),
        dimensions: tensor.shape().iter().rev().map(|&length| length as u64).collect(),
        kind,
        data: tensor.data().to_vec(),
    });
    (keys, tensors.collect())
}
