//! The blocks of quantised tensors, and their values.
//!
//! Layouts and arithmetic are those of `ggml-common.h` and the `dequantize_row_*` functions of `ggml-quants.c`: each
//! product and each sum is rounded once, in the order written here, so that the results have the bits of the
//! reference. A scale is a 16-bit number; what follows it are small whole numbers, packed.

use half::f16;

/// A block of values that share scales.
pub(crate) trait Block {
    /// Values in a block.
    const LENGTH: usize;
    /// Bytes of a block.
    const BYTES: usize;

    /// The block in exactly [`BYTES`](Self::BYTES) bytes.
    fn read(bytes: &[u8]) -> Self;

    /// Its values, exactly [`LENGTH`](Self::LENGTH).
    fn dequantise(&self, target: &mut [f32]);
}

/// Dequantises whole blocks; `target` has their number of values.
pub(crate) fn dequantise<B: Block>(bytes: &[u8], target: &mut [f32]) {
    for (values, block) in target
        .chunks_exact_mut(B::LENGTH)
        .zip(bytes.chunks_exact(B::BYTES))
    {
        B::read(block).dequantise(values);
    }
}

fn part<const SIZE: usize>(bytes: &[u8], start: usize) -> [u8; SIZE] {
    std::array::from_fn(|index| bytes[start + index])
}

fn scale(bytes: &[u8], start: usize) -> f16 {
    f16::from_le_bytes(part(bytes, start))
}

/// 32 values `scale × (q − 8)`; the low halves of the bytes are the first 16, the high halves the others.
pub(crate) struct Q4_0 {
    pub(crate) scale: f16,
    pub(crate) quants: [u8; 16],
}

impl Block for Q4_0 {
    const LENGTH: usize = 32;
    const BYTES: usize = 18;

    fn read(bytes: &[u8]) -> Self {
        Self {
            scale: scale(bytes, 0),
            quants: part(bytes, 2),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let scale = self.scale.to_f32();
        for (index, quant) in self.quants.into_iter().enumerate() {
            target[index] = scale * (f32::from(quant & 15) - 8.0);
            target[index + 16] = scale * (f32::from(quant >> 4) - 8.0);
        }
    }
}

/// 32 values `scale × q + minimum`, packed as in [`Q4_0`].
pub(crate) struct Q4_1 {
    pub(crate) scale: f16,
    pub(crate) minimum: f16,
    pub(crate) quants: [u8; 16],
}

impl Block for Q4_1 {
    const LENGTH: usize = 32;
    const BYTES: usize = 20;

    fn read(bytes: &[u8]) -> Self {
        Self {
            scale: scale(bytes, 0),
            minimum: scale(bytes, 2),
            quants: part(bytes, 4),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let (scale, minimum) = (self.scale.to_f32(), self.minimum.to_f32());
        for (index, quant) in self.quants.into_iter().enumerate() {
            target[index] = scale * f32::from(quant & 15) + minimum;
            target[index + 16] = scale * f32::from(quant >> 4) + minimum;
        }
    }
}

/// The fifth bits of 32 values, as 16 in their places above the low halves and 16 above the high ones.
fn fifth_bits(high: u32, index: usize) -> (u8, u8) {
    let bit = |index: usize| ((high >> index) & 1) as u8;
    (bit(index) << 4, bit(index + 16) << 4)
}

/// 32 values `scale × (q − 16)`; the fifth bit of value i is bit i of `high`.
pub(crate) struct Q5_0 {
    pub(crate) scale: f16,
    pub(crate) high: u32,
    pub(crate) quants: [u8; 16],
}

impl Block for Q5_0 {
    const LENGTH: usize = 32;
    const BYTES: usize = 22;

    fn read(bytes: &[u8]) -> Self {
        let high = u32::from_le_bytes(part(bytes, 2));
        Self {
            scale: scale(bytes, 0),
            high,
            quants: part(bytes, 6),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let scale = self.scale.to_f32();
        for (index, quant) in self.quants.into_iter().enumerate() {
            let (first, second) = fifth_bits(self.high, index);
            target[index] = scale * (f32::from((quant & 15) | first) - 16.0);
            target[index + 16] = scale * (f32::from((quant >> 4) | second) - 16.0);
        }
    }
}

/// 32 values `scale × q + minimum`, packed as in [`Q5_0`].
pub(crate) struct Q5_1 {
    pub(crate) scale: f16,
    pub(crate) minimum: f16,
    pub(crate) high: u32,
    pub(crate) quants: [u8; 16],
}

impl Block for Q5_1 {
    const LENGTH: usize = 32;
    const BYTES: usize = 24;

    fn read(bytes: &[u8]) -> Self {
        let high = u32::from_le_bytes(part(bytes, 4));
        Self {
            scale: scale(bytes, 0),
            minimum: scale(bytes, 2),
            high,
            quants: part(bytes, 8),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let (scale, minimum) = (self.scale.to_f32(), self.minimum.to_f32());
        for (index, quant) in self.quants.into_iter().enumerate() {
            let (first, second) = fifth_bits(self.high, index);
            target[index] = scale * f32::from((quant & 15) | first) + minimum;
            target[index + 16] = scale * f32::from((quant >> 4) | second) + minimum;
        }
    }
}

/// 32 values `scale × q`.
pub(crate) struct Q8_0 {
    pub(crate) scale: f16,
    pub(crate) quants: [i8; 32],
}

impl Block for Q8_0 {
    const LENGTH: usize = 32;
    const BYTES: usize = 34;

    fn read(bytes: &[u8]) -> Self {
        let quants = part::<32>(bytes, 2).map(|byte| i8::from_le_bytes([byte]));
        Self {
            scale: scale(bytes, 0),
            quants,
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let scale = self.scale.to_f32();
        for (value, quant) in target.iter_mut().zip(self.quants) {
            *value = scale * f32::from(quant);
        }
    }
}

/// Scales and minima of the eight groups of 32 in a block of 256: 6 bits each, in 12 bytes.
///
/// The first four scales and minima are the low 6 bits of bytes 0–3 and 4–7. The others have their low 4 bits in the
/// halves of bytes 8–11 and their upper 2 bits at the top of bytes 0–3 and 4–7.
pub(crate) struct GroupScales([u8; 12]);

impl GroupScales {
    /// Scale and minimum of a group.
    pub(crate) fn group(&self, group: usize) -> (u8, u8) {
        let packed = &self.0;
        if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            let low = packed[group + 4];
            (
                (low & 15) | ((packed[group - 4] >> 6) << 4),
                (low >> 4) | ((packed[group] >> 6) << 4),
            )
        }
    }
}

/// Eight groups of 32 values `(scale × s) × q − (minimum × m)`; two groups share 32 bytes, the first in the low halves.
pub(crate) struct Q4K {
    pub(crate) scale: f16,
    pub(crate) minimum: f16,
    pub(crate) groups: GroupScales,
    pub(crate) quants: [u8; 128],
}

impl Block for Q4K {
    const LENGTH: usize = 256;
    const BYTES: usize = 144;

    fn read(bytes: &[u8]) -> Self {
        Self {
            scale: scale(bytes, 0),
            minimum: scale(bytes, 2),
            groups: GroupScales(part(bytes, 4)),
            quants: part(bytes, 16),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let (scale, minimum) = (self.scale.to_f32(), self.minimum.to_f32());
        for (group, values) in target.chunks_exact_mut(32).enumerate() {
            let (step, least) = self.groups.group(group);
            let (step, least) = (scale * f32::from(step), minimum * f32::from(least));
            let (bytes, shift) = (&self.quants[group / 2 * 32..], group % 2 * 4);
            for (value, byte) in values.iter_mut().zip(bytes) {
                *value = step * f32::from((byte >> shift) & 15) - least;
            }
        }
    }
}

/// As [`Q4K`], with a fifth bit: that of value i in group g is bit g of `high[i]`.
pub(crate) struct Q5K {
    pub(crate) scale: f16,
    pub(crate) minimum: f16,
    pub(crate) groups: GroupScales,
    pub(crate) high: [u8; 32],
    pub(crate) quants: [u8; 128],
}

impl Block for Q5K {
    const LENGTH: usize = 256;
    const BYTES: usize = 176;

    fn read(bytes: &[u8]) -> Self {
        Self {
            scale: scale(bytes, 0),
            minimum: scale(bytes, 2),
            groups: GroupScales(part(bytes, 4)),
            high: part(bytes, 16),
            quants: part(bytes, 48),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let (scale, minimum) = (self.scale.to_f32(), self.minimum.to_f32());
        for (group, values) in target.chunks_exact_mut(32).enumerate() {
            let (step, least) = self.groups.group(group);
            let (step, least) = (scale * f32::from(step), minimum * f32::from(least));
            let (bytes, shift) = (&self.quants[group / 2 * 32..], group % 2 * 4);
            for ((value, byte), high) in values.iter_mut().zip(bytes).zip(self.high) {
                let quant = ((byte >> shift) & 15) | (((high >> group) & 1) << 4);
                *value = step * f32::from(quant) - least;
            }
        }
    }
}

/// Sixteen groups of 16 values `(scale × s) × (q − 32)`, in two halves of 128 values.
///
/// In a half, value `32 r + i` has its low 4 bits in byte `32 (r mod 2) + i` of 64 (low halves for r < 2) and its upper
/// 2 bits in byte i of 32, at bit 2 r.
pub(crate) struct Q6K {
    pub(crate) low: [u8; 128],
    pub(crate) high: [u8; 64],
    pub(crate) groups: [i8; 16],
    pub(crate) scale: f16,
}

impl Block for Q6K {
    const LENGTH: usize = 256;
    const BYTES: usize = 210;

    fn read(bytes: &[u8]) -> Self {
        Self {
            low: part(bytes, 0),
            high: part(bytes, 128),
            groups: part::<16>(bytes, 192).map(|byte| i8::from_le_bytes([byte])),
            scale: scale(bytes, 208),
        }
    }

    fn dequantise(&self, target: &mut [f32]) {
        let scale = self.scale.to_f32();
        for (index, value) in target.iter_mut().enumerate() {
            let (half, run, place) = (index / 128, index % 128 / 32, index % 32);
            let low = (self.low[half * 64 + run % 2 * 32 + place] >> (run / 2 * 4)) & 15;
            let high = (self.high[half * 32 + place] >> (run * 2)) & 3;
            let step = scale * f32::from(self.groups[index / 16]);
            *value = step * (f32::from(low | (high << 4)) - 32.0);
        }
    }
}
