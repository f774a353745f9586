//! The plain form of products with quantised blocks, for kernels to be held against.
//!
//! A product of weights in blocks and of activations is done in whole numbers: activations are quantised to 8 bits in
//! blocks of 32 first, the 32 products of a block are summed exactly, and only that sum is scaled. Formulas are those
//! of `quantize_row_q8_0_ref`, `quantize_row_q8_1_ref` and `ggml_vec_dot_*_generic` in ggml. What ggml leaves to the
//! compiler is fixed here: every product and sum of scaled numbers is rounded by itself, and blocks are added in order,
//! begun at +0. The sums of whole numbers have no order to fix: 32 products of at most 128 × 128 fit 32 bits exactly.

use half::f16;

use super::blocks::{Q4_0, Q4_1, Q8_0};

/// Activations in 8 bits with the sum of their values, which a minimum of the weights is multiplied by.
pub(crate) struct Q8_1 {
    pub(crate) scale: f16,
    /// The scale times the sum of the quants, from the scale before it was rounded to 16 bits.
    pub(crate) sum: f16,
    pub(crate) quants: [i8; 32],
}

/// The scale of 32 values, and the values as whole numbers from −127 to 127, rounded half away from zero.
fn quantise(values: &[f32]) -> (f32, [i8; 32]) {
    let largest = values
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    (
        scale,
        std::array::from_fn(|index| (values[index] * inverse).round() as i8),
    )
}

/// Quantises activations; their number is a multiple of 32.
pub(crate) fn quantise_q8_0(values: &[f32]) -> Vec<Q8_0> {
    let block = |values: &[f32]| {
        let (scale, quants) = quantise(values);
        Q8_0 {
            scale: f16::from_f32(scale),
            quants,
        }
    };
    values.chunks_exact(32).map(block).collect()
}

/// Quantises activations with their sums; their number is a multiple of 32.
pub(crate) fn quantise_q8_1(values: &[f32]) -> Vec<Q8_1> {
    let block = |values: &[f32]| {
        let (scale, quants) = quantise(values);
        let sum: i32 = quants.iter().map(|&quant| i32::from(quant)).sum();
        Q8_1 {
            scale: f16::from_f32(scale),
            sum: f16::from_f32(sum as f32 * scale),
            quants,
        }
    };
    values.chunks_exact(32).map(block).collect()
}

/// The exact sum of products of 32 packed numbers of 4 bits, less an offset, with 32 of 8 bits.
fn products(packed: &[u8; 16], offset: i32, quants: &[i8; 32]) -> i32 {
    let halves = packed.iter().enumerate().map(|(index, &byte)| {
        let (low, high) = (i32::from(byte & 15) - offset, i32::from(byte >> 4) - offset);
        low * i32::from(quants[index]) + high * i32::from(quants[index + 16])
    });
    halves.sum()
}

/// `Σ (sum × scale of the weights) × scale of the activations`.
pub(crate) fn dot_q4_0(weights: &[Q4_0], activations: &[Q8_0]) -> f32 {
    let blocks = weights.iter().zip(activations);
    blocks.fold(0.0, |total, (weights, activations)| {
        let sum = products(&weights.quants, 8, &activations.quants) as f32;
        total + sum * weights.scale.to_f32() * activations.scale.to_f32()
    })
}

/// `Σ (product of the scales) × sum + minimum of the weights × sum of the activations`.
pub(crate) fn dot_q4_1(weights: &[Q4_1], activations: &[Q8_1]) -> f32 {
    let blocks = weights.iter().zip(activations);
    blocks.fold(0.0, |total, (weights, activations)| {
        let sum = products(&weights.quants, 0, &activations.quants) as f32;
        let scaled = weights.scale.to_f32() * activations.scale.to_f32() * sum;
        total + (scaled + weights.minimum.to_f32() * activations.sum.to_f32())
    })
}

/// `Σ sum × (product of the scales)`.
pub(crate) fn dot_q8_0(weights: &[Q8_0], activations: &[Q8_0]) -> f32 {
    let blocks = weights.iter().zip(activations);
    blocks.fold(0.0, |total, (weights, activations)| {
        let pairs = weights.quants.iter().zip(&activations.quants);
        let sum: i32 = pairs
            .map(|(&one, &other)| i32::from(one) * i32::from(other))
            .sum();
        total + sum as f32 * (weights.scale.to_f32() * activations.scale.to_f32())
    })
}

mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kernels::quantised::blocks::Block;

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
        bits.as_array()
            .unwrap()
            .iter()
            .map(|bits| f32::from_bits(bits.as_u64().unwrap() as u32))
            .collect()
    }

    fn read<B: Block>(bytes: &[u8]) -> Vec<B> {
        bytes.chunks_exact(B::BYTES).map(B::read).collect()
    }

    #[test]
    fn activations_are_quantised_as_in_ggml() {
        let fixture = fixture();
        let activations = floats(&fixture["activations"]);
        let with_sums = quantise_q8_1(&activations);
        let stored: Vec<u8> = quantise_q8_0(&activations)
            .iter()
            .flat_map(|block| {
                block
                    .scale
                    .to_le_bytes()
                    .into_iter()
                    .chain(block.quants.map(|quant| quant as u8))
            })
            .collect();
        assert_eq!(stored, bytes(&fixture["q8_0"]));
        let stored: Vec<u8> = with_sums
            .iter()
            .flat_map(|block| {
                let scales = [block.scale.to_le_bytes(), block.sum.to_le_bytes()];
                scales
                    .concat()
                    .into_iter()
                    .chain(block.quants.map(|quant| quant as u8))
            })
            .collect();
        assert_eq!(stored, bytes(&fixture["q8_1"]));
    }

    /// One block has one sum and no order, so that its bits are ggml's; over a row compilers order sums differently.
    fn compare(name: &str, fused: bool, row: f32, block: impl Fn(usize) -> f32) {
        let fixture = &fixture()["products"][name];
        let expected = floats(&fixture["blocks"]);
        for (index, &expected) in expected.iter().enumerate() {
            let ours = block(index);
            // ggml's build may fuse the minimum's product with its sum: one rounding less.
            let near = fused && (ours - expected).abs() <= 4.0 * f32::EPSILON * expected.abs().max(1.0);
            assert!(
                ours.to_bits() == expected.to_bits() || near,
                "{name} {index}: {ours} {expected}"
            );
        }
        let expected = f32::from_bits(fixture["row"].as_u64().unwrap() as u32);
        assert!(
            (row - expected).abs() <= 1e-6 * expected.abs(),
            "{name}: {row} {expected}"
        );
    }

    #[test]
    fn products_are_those_of_ggml() {
        let fixture = fixture();
        let activations = floats(&fixture["activations"]);
        let (plain, with_sums) = (quantise_q8_0(&activations), quantise_q8_1(&activations));
        let weights = |name: &str| bytes(&fixture["products"][name]["weights"]);
        let q4_0 = read::<Q4_0>(&weights("q4_0"));
        compare("q4_0", false, dot_q4_0(&q4_0, &plain), |at| {
            dot_q4_0(&q4_0[at..=at], &plain[at..=at])
        });
        let q4_1 = read::<Q4_1>(&weights("q4_1"));
        compare("q4_1", true, dot_q4_1(&q4_1, &with_sums), |at| {
            dot_q4_1(&q4_1[at..=at], &with_sums[at..=at])
        });
        let q8_0 = read::<Q8_0>(&weights("q8_0"));
        compare("q8_0", false, dot_q8_0(&q8_0, &plain), |at| {
            dot_q8_0(&q8_0[at..=at], &plain[at..=at])
        });
    }
}
