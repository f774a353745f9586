//! Products of panels with rows of activations, written so that the compiler can make vectors of them.

use half::f16;

use super::activations::{Row, Scale};
use super::kind::{Kind, Steps};
use super::{GROUP, LANES};

/// The products of one row with the 16 rows of a panel.
pub(super) fn row<K: Kind>(panel: &[u8], row: Row<'_>) -> [f32; LANES] {
    let form = K::FORM;
    let mut sums = [0.0; LANES];
    let spans = panel.chunks_exact(form.span_bytes());
    let spans = spans
        .zip(row.levels.chunks_exact(form.span))
        .zip(row.scales.chunks_exact(form.span / GROUP));
    for ((span, levels), scales) in spans {
        let (head, groups) = span.split_at(form.head_bytes());
        let factors = halves(head, 0);
        let minima = if form.halves == 2 {
            halves(head, 1)
        } else {
            [0.0; LANES]
        };
        let groups = groups
            .chunks_exact(form.group_bytes())
            .zip(levels.as_chunks::<GROUP>().0)
            .zip(scales);
        for ((group, levels), scale) in groups {
            let (steps, weights) = group.split_at(form.steps * LANES);
            let whole = match K::STEPS {
                Steps::Sixteens => sixteens(steps, weights, levels),
                _ if form.nibbles => nibbles(weights, levels),
                _ => bytes(weights, levels, K::SIGNED),
            };
            for lane in 0..LANES {
                let sum = whole[lane] - K::OFFSET * scale.count;
                let (factor, minimum) = factors_of::<K>(factors[lane], minima[lane], steps, lane, scale);
                sums[lane] = (sum as f32).mul_add(factor * scale.factor, sums[lane]);
                if form.halves == 2 {
                    sums[lane] = minimum.0.mul_add(minimum.1, sums[lane]);
                }
            }
        }
    }
    sums
}

/// The scale of a lane's 32 values, and its minimum with what that is multiplied by.
#[inline(always)]
fn factors_of<K: Kind>(
    factor: f32,
    minimum: f32,
    steps: &[u8],
    lane: usize,
    scale: &Scale,
) -> (f32, (f32, f32)) {
    match K::STEPS {
        Steps::ScaleAndMinimum => (
            factor * f32::from(steps[lane]),
            (
                -(minimum * f32::from(steps[LANES + lane])),
                scale.factor * scale.count as f32,
            ),
        ),
        _ => (factor, (minimum, scale.sum)),
    }
}

/// 16-bit numbers at the head of a span.
#[inline(always)]
fn halves(head: &[u8], index: usize) -> [f32; LANES] {
    std::array::from_fn(|lane| {
        let place = 2 * (index * LANES + lane);
        f16::from_le_bytes([head[place], head[place + 1]]).to_f32()
    })
}

#[inline(always)]
fn nibbles(weights: &[u8], levels: &[i8; GROUP]) -> [i32; LANES] {
    let mut sums = [0; LANES];
    let (first, second) = levels.split_at(GROUP / 2);
    let fours = first.as_chunks::<4>().0.iter().zip(second.as_chunks::<4>().0);
    for (bytes, (low, high)) in weights.as_chunks::<{ 4 * LANES }>().0.iter().zip(fours) {
        for (sum, bytes) in sums.iter_mut().zip(bytes.as_chunks::<4>().0) {
            for index in 0..4 {
                *sum += i32::from(bytes[index] & 15) * i32::from(low[index]);
                *sum += i32::from(bytes[index] >> 4) * i32::from(high[index]);
            }
        }
    }
    sums
}

#[inline(always)]
fn bytes(weights: &[u8], levels: &[i8], signed: bool) -> [i32; LANES] {
    let mut sums = [0; LANES];
    let fours = weights
        .as_chunks::<{ 4 * LANES }>()
        .0
        .iter()
        .zip(levels.as_chunks::<4>().0);
    for (bytes, levels) in fours {
        for (sum, bytes) in sums.iter_mut().zip(bytes.as_chunks::<4>().0) {
            for (&byte, &level) in bytes.iter().zip(levels) {
                let weight = if signed {
                    i32::from(byte as i8)
                } else {
                    i32::from(byte)
                };
                *sum += weight * i32::from(level);
            }
        }
    }
    sums
}

#[inline(always)]
fn sixteens(steps: &[u8], weights: &[u8], levels: &[i8; GROUP]) -> [i32; LANES] {
    let (first, second) = weights.split_at(LANES * GROUP / 2);
    let (early, late) = levels.split_at(GROUP / 2);
    let (first, second) = (bytes(first, early, true), bytes(second, late, true));
    std::array::from_fn(|lane| {
        let [one, other] = [steps[lane], steps[LANES + lane]].map(|step| i32::from(step as i8));
        one * first[lane] + other * second[lane]
    })
}
