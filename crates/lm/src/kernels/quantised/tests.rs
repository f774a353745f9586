//! Panels and products against the blocks as they are stored, and against ggml.

use serde_json::Value;

use super::activations::Activations;
use super::reference::{Quantised, product};
use super::*;
use crate::kernels::Work;
use crate::kernels::instructions::tests::with_each;
use crate::kernels::reference::numbers;
use crate::random::Random;
use crate::tensor_type::TensorType;
use crate::threads;

const KINDS: [TensorType; 8] = [
    TensorType::Q4_0,
    TensorType::Q4_1,
    TensorType::Q5_0,
    TensorType::Q5_1,
    TensorType::Q8_0,
    TensorType::Q4_K,
    TensorType::Q5_K,
    TensorType::Q6_K,
];

/// Blocks of any bits whose scales are ordinary numbers.
fn blocks(kind: TensorType, count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new("test blocks", seed, 0);
    let mut bytes: Vec<u8> = (0..count * kind.block_bytes())
        .map(|_| random.below(256) as u8)
        .collect();
    for block in bytes.chunks_exact_mut(kind.block_bytes()) {
        let places: &[usize] = match kind {
            TensorType::Q6_K => &[208],
            TensorType::Q4_0 | TensorType::Q5_0 | TensorType::Q8_0 => &[0],
            _ => &[0, 2],
        };
        for &place in places {
            // Among them denormal ones and zeros, which files have too.
            let size = [0.1, 0.1, 0.1, 1e-6, 0.0][random.below(5) as usize];
            let scale = half::f16::from_f32(random.normal_pair()[0] as f32 * size);
            block[place..place + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    bytes
}

fn matrix(kind: TensorType, rows: usize, columns: usize) -> (QuantisedMatrix, Vec<u8>) {
    let stored = blocks(kind, rows * columns / kind.block_length(), 1);
    let mut matrix = QuantisedMatrix::zeros(kind, rows, columns).unwrap();
    let bytes = matrix.row_bytes();
    for (row, blocks) in stored.chunks_exact(bytes).enumerate() {
        assert!(matrix.set_row(row, blocks));
    }
    (matrix, stored)
}

#[test]
fn rows_come_back_as_they_were_stored_with_their_values() {
    for kind in KINDS {
        let (matrix, stored) = matrix(kind, 37, 512);
        let (mut row_bytes, mut values, mut expected) =
            (vec![0; matrix.row_bytes()], vec![0.0; 512], vec![0.0; 512]);
        for (row, blocks) in stored.chunks_exact(matrix.row_bytes()).enumerate() {
            matrix.stored_row(row, &mut row_bytes);
            assert_eq!(row_bytes, blocks, "{kind}, row {row}");
            matrix.dequantise_row(row, &mut values);
            dequantise(kind, blocks, &mut expected);
            assert_eq!(values, expected);
        }
        assert!(QuantisedMatrix::zeros(kind, 1, kind.block_length() + 16).is_none());
    }
    assert!(QuantisedMatrix::zeros(TensorType::BF16, 4, 64).is_none());
}

/// Extremes of everything: no sum of whole numbers may saturate.
fn extreme(kind: TensorType, rows: usize, columns: usize) -> (QuantisedMatrix, Vec<u8>) {
    let mut stored = vec![0xff; rows * columns / kind.block_length() * kind.block_bytes()];
    for (index, block) in stored.chunks_exact_mut(kind.block_bytes()).enumerate() {
        let place = if kind == TensorType::Q6_K { 208 } else { 0 };
        if kind == TensorType::Q8_0 || kind == TensorType::Q6_K {
            // The smallest levels and steps.
            block.fill(if index % 2 == 0 { 0x80 } else { 0 });
        }
        let halves = if place == 208 { 1 } else { 2 };
        for half in 0..halves.min((block.len() - place) / 2) {
            let scale = half::f16::from_f32(0.5 + half as f32);
            if half == 0 || !matches!(kind, TensorType::Q4_0 | TensorType::Q5_0 | TensorType::Q8_0) {
                block[place + 2 * half..][..2].copy_from_slice(&scale.to_le_bytes());
            }
        }
    }
    let mut matrix = QuantisedMatrix::zeros(kind, rows, columns).unwrap();
    let bytes = matrix.row_bytes();
    for (row, blocks) in stored.chunks_exact(bytes).enumerate() {
        assert!(matrix.set_row(row, blocks));
    }
    (matrix, stored)
}

fn check((matrix, stored): &(QuantisedMatrix, Vec<u8>), values: &[f32], work: Work, name: &str) {
    let (columns, stride) = (matrix.columns(), matrix.rows() + 3);
    let rows = values.len() / columns;
    let mut activations = Activations::default();
    activations.quantise(values, columns);
    let mut target = vec![7.0; rows * stride];
    multiply(&mut target, stride, 2, &activations, matrix, work);
    for (row, (target, values)) in target.chunks(stride).zip(values.chunks(columns)).enumerate() {
        assert_eq!((target[1], target[stride - 1]), (7.0, 7.0));
        for (output, blocks) in stored.chunks_exact(matrix.row_bytes()).enumerate() {
            let expected = product(matrix.kind(), blocks, values);
            assert_eq!(
                target[output + 2].to_bits(),
                expected.to_bits(),
                "{name} {matrix:?}, row {row}, output {output}: {} for {expected}",
                target[output + 2]
            );
        }
    }
}

#[test]
fn products_have_the_bits_of_the_reference_for_any_rows_threads_and_instruction_set() {
    with_each(|set| {
        for (kind, columns) in KINDS
            .into_iter()
            .flat_map(|kind| [256, 768].map(|columns| (kind, columns)))
        {
            let (random, extreme) = (matrix(kind, 43, columns), extreme(kind, 17, columns));
            for (rows, count) in [(1, 1), (1, 3), (3, 2), (4, 2), (9, 8)] {
                let mut values = numbers(rows * columns, 3);
                values[..GROUP].fill(0.0);
                // Too small for a factor in 16 bits.
                values[GROUP..2 * GROUP]
                    .iter_mut()
                    .for_each(|value| *value *= 1e-38);
                let name = format!("{set:?} {rows}");
                threads::pool(count).unwrap().install(|| {
                    check(&random, &values, Work::Shared, &name);
                    check(&random, &values, Work::Alone, &name);
                });
                let signs: Vec<f32> = (0..rows * columns)
                    .map(|index| {
                        if (index / GROUP).is_multiple_of(3) {
                            1.0
                        } else {
                            -2.0
                        }
                    })
                    .collect();
                check(&extreme, &signs, Work::Alone, &name);
            }
        }
    });
}

#[test]
fn what_is_not_finite_stays_so() {
    let kind = TensorType::Q4_1;
    let (matrix, _) = matrix(kind, 3, 64);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = numbers(64, 1);
        values[40] = bad;
        let (mut activations, mut target) = (Activations::default(), vec![0.0; 3]);
        activations.quantise(&values, 64);
        multiply(&mut target, 3, 0, &activations, &matrix, Work::Alone);
        assert!(target.iter().all(|value| !value.is_finite()), "{bad}: {target:?}");
    }
}

fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf/products.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(hexadecimal: &Value) -> Vec<u8> {
    let digits = hexadecimal.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn floats(bits: &Value) -> Vec<f32> {
    let bits = bits.as_array().unwrap().iter();
    bits.map(|bits| f32::from_bits(bits.as_u64().unwrap() as u32))
        .collect()
}

#[test]
fn activations_are_quantised_as_in_ggml() {
    let fixture = fixture();
    let activations = floats(&fixture["activations"]);
    let stored = bytes(&fixture["q8_1"]);
    for (values, stored) in activations.chunks(GROUP).zip(stored.chunks(36)) {
        let ours = Quantised::new(values);
        let levels = ours.levels.map(|level| level as i8 as u8);
        assert_eq!(half::f16::from_f32(ours.factor).to_le_bytes(), stored[..2]);
        assert_eq!(half::f16::from_f32(ours.sum).to_le_bytes(), stored[2..4]);
        assert_eq!(levels, stored[4..]);
    }
}

/// ggml multiplies and adds what belongs to a block in another order, each rounded once: a few units in the last place of
/// the largest term.
const TOLERANCE: f32 = 4.0 * f32::EPSILON;

#[test]
fn products_are_those_of_ggml() {
    let fixture = fixture();
    let activations = floats(&fixture["activations"]);
    for (name, kind) in [
        ("q4_0", TensorType::Q4_0),
        ("q4_1", TensorType::Q4_1),
        ("q8_0", TensorType::Q8_0),
    ] {
        let fixture = &fixture["products"][name];
        let weights = bytes(&fixture["weights"]);
        let blocks = weights.chunks(kind.block_bytes()).zip(activations.chunks(GROUP));
        for ((blocks, values), expected) in blocks.zip(floats(&fixture["blocks"])) {
            let ours = product(kind, blocks, values);
            let allowed = TOLERANCE * expected.abs().max(1.0);
            assert!((ours - expected).abs() <= allowed, "{name}: {ours} {expected}");
        }
        let (ours, row) = (product(kind, &weights, &activations), &fixture["row"]);
        let expected = f32::from_bits(row.as_u64().unwrap() as u32);
        assert!(
            (ours - expected).abs() <= 1e-6 * expected.abs(),
            "{name}: {ours} {expected}"
        );
    }
}
