//! The parts of a block as a file stores it, and a block out of its parts: the same bits both ways.
//!
//! Layouts are those of `ggml-common.h`; [`blocks`](super::blocks) describes them.

use super::GROUP;
use crate::tensor_type::TensorType;

/// Values in the longest block.
const LONGEST: usize = 256;
/// Groups in the longest block.
const GROUPS: usize = LONGEST / GROUP;

/// What a block consists of, whatever its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Scale and minimum, as the bits of 16-bit numbers; of a type without a minimum the second counts nothing.
    pub halves: [u16; 2],
    /// Of each group of 32: factors of scale and minimum, or of the first 16 values and of the others.
    pub steps: [[u8; 2]; GROUPS],
    /// The levels, with a sign where the type's have one, as it is in two's complement.
    pub levels: [u8; LONGEST],
}

impl Parts {
    /// Takes a block apart. Panics for a type without blocks, and for bytes that are not those of one block.
    pub fn read(kind: TensorType, block: &[u8]) -> Self {
        assert_eq!(block.len(), kind.block_bytes(), "a block of {kind}");
        let half = |index: usize| u16::from_le_bytes([block[2 * index], block[2 * index + 1]]);
        let mut parts = Self {
            halves: [half(0), half(1)],
            steps: [[0; 2]; GROUPS],
            levels: [0; LONGEST],
        };
        match kind {
            TensorType::Q4_0 => parts.read_nibbles(&block[2..]),
            TensorType::Q4_1 => parts.read_nibbles(&block[4..]),
            TensorType::Q5_0 => {
                parts.read_nibbles(&block[6..]);
                parts.read_fifth_bits(&block[2..6]);
                parts.levels[..GROUP]
                    .iter_mut()
                    .for_each(|level| *level = level.wrapping_sub(16));
            }
            TensorType::Q5_1 => {
                parts.read_nibbles(&block[8..]);
                parts.read_fifth_bits(&block[4..8]);
            }
            TensorType::Q8_0 => parts.levels[..GROUP].copy_from_slice(&block[2..]),
            TensorType::Q4_K => {
                parts.steps = read_steps(&block[4..16]);
                parts.read_halves_of_pairs(&block[16..]);
            }
            TensorType::Q5_K => {
                parts.steps = read_steps(&block[4..16]);
                parts.read_halves_of_pairs(&block[48..]);
                for (index, level) in parts.levels.iter_mut().enumerate() {
                    *level |= (block[16 + index % GROUP] >> (index / GROUP) & 1) << 4;
                }
            }
            TensorType::Q6_K => parts.read_sixes(block),
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => panic!("{kind} has no blocks"),
        }
        parts
    }

    /// The block that [`read`](Self::read) took apart.
    pub fn write(&self, kind: TensorType, block: &mut [u8]) {
        assert_eq!(block.len(), kind.block_bytes(), "a block of {kind}");
        let halves = self.halves.map(u16::to_le_bytes);
        match kind {
            TensorType::Q6_K => block[208..].copy_from_slice(&halves[0]),
            TensorType::Q4_0 | TensorType::Q5_0 | TensorType::Q8_0 => block[..2].copy_from_slice(&halves[0]),
            _ => block[..4].copy_from_slice(halves.as_flattened()),
        }
        match kind {
            TensorType::Q4_0 => self.write_nibbles(&mut block[2..]),
            TensorType::Q4_1 => self.write_nibbles(&mut block[4..]),
            TensorType::Q5_0 => {
                let mut levels = self.clone();
                levels.levels[..GROUP]
                    .iter_mut()
                    .for_each(|level| *level = level.wrapping_add(16));
                levels.write_nibbles(&mut block[6..]);
                levels.write_fifth_bits(&mut block[2..6]);
            }
            TensorType::Q5_1 => {
                self.write_nibbles(&mut block[8..]);
                self.write_fifth_bits(&mut block[4..8]);
            }
            TensorType::Q8_0 => block[2..].copy_from_slice(&self.levels[..GROUP]),
            TensorType::Q4_K => {
                write_steps(&self.steps, &mut block[4..16]);
                self.write_halves_of_pairs(&mut block[16..]);
            }
            TensorType::Q5_K => {
                write_steps(&self.steps, &mut block[4..16]);
                self.write_halves_of_pairs(&mut block[48..]);
                block[16..48].fill(0);
                for (index, level) in self.levels.iter().enumerate() {
                    block[16 + index % GROUP] |= (level >> 4 & 1) << (index / GROUP);
                }
            }
            TensorType::Q6_K => self.write_sixes(block),
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => panic!("{kind} has no blocks"),
        }
    }

    fn read_nibbles(&mut self, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            self.levels[index] = byte & 15;
            self.levels[index + 16] = byte >> 4;
        }
    }

    fn write_nibbles(&self, bytes: &mut [u8]) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = self.levels[index] & 15 | self.levels[index + 16] << 4;
        }
    }

    fn read_fifth_bits(&mut self, bytes: &[u8]) {
        for (index, level) in self.levels[..GROUP].iter_mut().enumerate() {
            *level |= (bytes[index / 8] >> (index % 8) & 1) << 4;
        }
    }

    fn write_fifth_bits(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        for (index, level) in self.levels[..GROUP].iter().enumerate() {
            bytes[index / 8] |= (level >> 4 & 1) << (index % 8);
        }
    }

    /// Two groups share 32 bytes, the first in the low halves.
    fn read_halves_of_pairs(&mut self, bytes: &[u8]) {
        for (index, level) in self.levels.iter_mut().enumerate() {
            let (group, place) = (index / GROUP, index % GROUP);
            *level = bytes[group / 2 * GROUP + place] >> (group % 2 * 4) & 15;
        }
    }

    fn write_halves_of_pairs(&self, bytes: &mut [u8]) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            let first = index / GROUP * 2 * GROUP + index % GROUP;
            *byte = self.levels[first] & 15 | self.levels[first + GROUP] << 4;
        }
    }

    fn read_sixes(&mut self, block: &[u8]) {
        self.halves[0] = u16::from_le_bytes([block[208], block[209]]);
        for (step, bytes) in self.steps.iter_mut().zip(block[192..208].as_chunks().0) {
            *step = *bytes;
        }
        for (index, level) in self.levels.iter_mut().enumerate() {
            let Six { low, high, shifts } = six(index);
            let six = block[low] >> shifts[0] & 15 | (block[high] >> shifts[1] & 3) << 4;
            *level = six.wrapping_sub(32);
        }
    }

    fn write_sixes(&self, block: &mut [u8]) {
        block[..192].fill(0);
        block[192..208].copy_from_slice(self.steps.as_flattened());
        for (index, level) in self.levels.iter().enumerate() {
            let (Six { low, high, shifts }, value) = (six(index), level.wrapping_add(32));
            block[low] |= (value & 15) << shifts[0];
            block[high] |= (value >> 4 & 3) << shifts[1];
        }
    }
}

/// Where the bits of a value of 6 bits lie: the bytes with its lower four and its upper two, and how far up in each.
struct Six {
    low: usize,
    high: usize,
    shifts: [usize; 2],
}

fn six(index: usize) -> Six {
    let (half, run, place) = (index / 128, index % 128 / 32, index % 32);
    Six {
        low: half * 64 + run % 2 * 32 + place,
        high: 128 + half * 32 + place,
        shifts: [run / 2 * 4, run * 2],
    }
}

/// Factors of 6 bits of the eight groups, in 12 bytes; see [`GroupScales`](super::blocks::GroupScales).
fn read_steps(bytes: &[u8]) -> [[u8; 2]; GROUPS] {
    std::array::from_fn(|group| {
        if group < 4 {
            [bytes[group] & 63, bytes[group + 4] & 63]
        } else {
            let low = bytes[group + 4];
            [
                low & 15 | bytes[group - 4] >> 6 << 4,
                low >> 4 | bytes[group] >> 6 << 4,
            ]
        }
    })
}

fn write_steps(steps: &[[u8; 2]; GROUPS], bytes: &mut [u8]) {
    for group in 0..4 {
        let ([scale, minimum], [later_scale, later_minimum]) = (steps[group], steps[group + 4]);
        bytes[group] = scale & 63 | later_scale >> 4 << 6;
        bytes[group + 4] = minimum & 63 | later_minimum >> 4 << 6;
        bytes[group + 8] = later_scale & 15 | later_minimum << 4;
    }
}
