//! The plain form of products with quantised blocks, one operation after another, from the blocks as they are stored.

use half::f16;

use super::GROUP;
use super::blocks::{Block, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
use crate::tensor_type::TensorType;

/// 32 activations in 8 bits.
pub(crate) struct Quantised {
    pub(crate) factor: f32,
    /// Sum of the values, rounded to 16 bits.
    pub(crate) sum: f32,
    pub(crate) levels: [i32; GROUP],
}

impl Quantised {
    pub(crate) fn new(values: &[f32]) -> Self {
        let largest = values
            .iter()
            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let inverse = 127.0 / largest;
        let levels: [i32; GROUP] = std::array::from_fn(|index| {
            if inverse.is_finite() {
                (values[index] * inverse).round_ties_even() as i32
            } else {
                0
            }
        });
        let (factor, count) = (largest / 127.0, levels.iter().sum::<i32>());
        Self {
            factor: f16::from_f32(factor).to_f32(),
            sum: f16::from_f32(factor * count as f32).to_f32(),
            levels,
        }
    }

    fn count(&self) -> i32 {
        self.levels.iter().sum()
    }
}

/// What 32 values of weights are: levels, a factor, and what is multiplied by the sum of the activations.
struct Group {
    levels: [i32; GROUP],
    factor: f32,
    minimum: Option<f32>,
    /// Whether the sum of the activations is that of their levels, and not the one rounded to 16 bits.
    exact: bool,
}

/// The product of a row of blocks with as many activations.
pub(crate) fn product(kind: TensorType, blocks: &[u8], activations: &[f32]) -> f32 {
    let groups = match kind {
        TensorType::Q4_0 => groups::<Q4_0>(blocks, |block| {
            vec![plain(nibbles(&block.quants, -8), block.scale)]
        }),
        TensorType::Q4_1 => groups::<Q4_1>(blocks, |block| {
            vec![with_minimum(
                nibbles(&block.quants, 0),
                block.scale,
                block.minimum,
            )]
        }),
        TensorType::Q5_0 => groups::<Q5_0>(blocks, |block| {
            vec![plain(
                fives(nibbles(&block.quants, 0), |index| block.high >> index, -16),
                block.scale,
            )]
        }),
        TensorType::Q5_1 => groups::<Q5_1>(blocks, |block| {
            let levels = fives(nibbles(&block.quants, 0), |index| block.high >> index, 0);
            vec![with_minimum(levels, block.scale, block.minimum)]
        }),
        TensorType::Q8_0 => groups::<Q8_0>(blocks, |block| {
            vec![plain(block.quants.map(i32::from), block.scale)]
        }),
        TensorType::Q4_K => groups::<Q4K>(blocks, |block| {
            let group = |group: usize| {
                let levels = halves_of_pairs(&block.quants, group);
                stepped(levels, block.scale, block.minimum, block.groups.group(group))
            };
            (0..8).map(group).collect()
        }),
        TensorType::Q5_K => groups::<Q5K>(blocks, |block| {
            let group = |group: usize| {
                let levels = halves_of_pairs(&block.quants, group);
                let levels = fives(levels, |index| u32::from(block.high[index] >> group), 0);
                stepped(levels, block.scale, block.minimum, block.groups.group(group))
            };
            (0..8).map(group).collect()
        }),
        TensorType::Q6_K => groups::<Q6K>(blocks, |block| (0..8).map(|group| sixes(block, group)).collect()),
        TensorType::F32 | TensorType::F16 | TensorType::BF16 => unreachable!("blocks"),
    };
    let mut total = 0.0_f32;
    for (group, values) in groups.iter().zip(activations.chunks(GROUP)) {
        let activation = Quantised::new(values);
        let pairs = group.levels.iter().zip(&activation.levels);
        let whole: i32 = pairs.map(|(one, other)| one * other).sum();
        total = (whole as f32).mul_add(group.factor * activation.factor, total);
        if let Some(minimum) = group.minimum {
            let sum = if group.exact {
                activation.factor * activation.count() as f32
            } else {
                activation.sum
            };
            total = minimum.mul_add(sum, total);
        }
    }
    total
}

fn groups<B: Block>(bytes: &[u8], split: impl Fn(&B) -> Vec<Group>) -> Vec<Group> {
    let blocks = bytes.chunks_exact(B::BYTES).map(B::read);
    blocks.flat_map(|block| split(&block)).collect()
}

fn plain(levels: [i32; GROUP], scale: f16) -> Group {
    Group {
        levels,
        factor: scale.to_f32(),
        minimum: None,
        exact: false,
    }
}

fn with_minimum(levels: [i32; GROUP], scale: f16, minimum: f16) -> Group {
    Group {
        minimum: Some(minimum.to_f32()),
        ..plain(levels, scale)
    }
}

fn stepped(levels: [i32; GROUP], scale: f16, minimum: f16, (step, least): (u8, u8)) -> Group {
    Group {
        levels,
        factor: scale.to_f32() * f32::from(step),
        minimum: Some(-(minimum.to_f32() * f32::from(least))),
        exact: true,
    }
}

fn nibbles(bytes: &[u8; 16], offset: i32) -> [i32; GROUP] {
    std::array::from_fn(|index| {
        let byte = bytes[index % 16];
        i32::from(if index < 16 { byte & 15 } else { byte >> 4 }) + offset
    })
}

fn halves_of_pairs(bytes: &[u8; 128], group: usize) -> [i32; GROUP] {
    std::array::from_fn(|index| {
        let byte = bytes[group / 2 * GROUP + index];
        i32::from(if group.is_multiple_of(2) {
            byte & 15
        } else {
            byte >> 4
        })
    })
}

fn fives(levels: [i32; GROUP], fifth: impl Fn(usize) -> u32, offset: i32) -> [i32; GROUP] {
    std::array::from_fn(|index| levels[index] + 16 * (fifth(index) & 1) as i32 + offset)
}

/// Each half of the levels times its own step.
fn sixes(block: &Q6K, group: usize) -> Group {
    let levels = std::array::from_fn(|index| {
        let index = group * GROUP + index;
        let (half, run, place) = (index / 128, index % 128 / 32, index % 32);
        let low = block.low[half * 64 + run % 2 * 32 + place] >> (run / 2 * 4) & 15;
        let high = block.high[half * 32 + place] >> (run * 2) & 3;
        (i32::from(low | high << 4) - 32) * i32::from(block.groups[index / 16])
    });
    plain(levels, block.scale)
}
