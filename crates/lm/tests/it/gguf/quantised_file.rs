//! A GGUF file with every type of block, made up. Tests of other rooms include this file by its path.

use super::writer::{Owned, Stored, parts, write};

/// Name, rows, columns and number of the type of a tensor.
pub(super) type Described = (&'static str, u64, u64, u32);

/// The tensors of a Llama of one block. Queries, keys and values, which are one product, are of three types; so are gate
/// and value of the MLP of two.
pub(super) const TENSORS: [Described; 16] = [
    ("token_embd.weight", 421, 256, 8),
    ("blk.0.attn_norm.weight", 256, 1, 0),
    ("blk.0.attn_q.weight", 256, 256, 12),
    ("blk.0.attn_q.bias", 256, 1, 0),
    ("blk.0.attn_k.weight", 128, 256, 2),
    ("blk.0.attn_k.bias", 128, 1, 30),
    ("blk.0.attn_v.weight", 128, 256, 14),
    ("blk.0.attn_v.bias", 128, 1, 0),
    ("blk.0.attn_output.weight", 256, 256, 6),
    ("blk.0.attn_output.bias", 256, 1, 1),
    ("blk.0.ffn_norm.weight", 256, 1, 0),
    ("blk.0.ffn_gate.weight", 500, 256, 7),
    ("blk.0.ffn_up.weight", 500, 256, 13),
    ("blk.0.ffn_down.weight", 256, 500, 1),
    ("output_norm.weight", 256, 1, 0),
    ("output.weight", 421, 256, 3),
];

pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn around(&mut self, middle: f32, width: f32) -> f32 {
        middle + width * (self.next() as f32 / (1_u64 << 30) as f32 - 1.0)
    }

    /// The bytes of one block, its scales such that its values are some hundredths.
    pub(super) fn block(&mut self, kind: u32) -> Vec<u8> {
        let (size, places, scale): (usize, &[usize], f32) = match kind {
            0 => return self.around(0.5, 0.5).to_le_bytes().to_vec(),
            1 => return half::f16::from_f32(self.around(0.0, 0.05)).to_le_bytes().to_vec(),
            30 => {
                return half::bf16::from_f32(self.around(0.0, 0.05))
                    .to_le_bytes()
                    .to_vec();
            }
            2 => (18, &[0], 0.01),
            3 => (20, &[0, 2], 0.005),
            6 => (22, &[0], 0.005),
            7 => (24, &[0, 2], 0.003),
            8 => (34, &[0], 0.0005),
            12 => (144, &[0, 2], 0.0002),
            13 => (176, &[0, 2], 0.0001),
            14 => (210, &[208], 0.00005),
            other => unreachable!("type {other}"),
        };
        let mut block: Vec<u8> = (0..size).map(|_| self.next() as u8).collect();
        for &place in places {
            let number = self.around(scale, scale / 2.0);
            block[place..place + 2].copy_from_slice(&half::f16::from_f32(number).to_le_bytes());
        }
        block
    }
}

/// The file: tokenizer and keys of a file of another program (`llama_tiny.gguf`), these keys besides or instead.
pub(super) fn file(tiny: &[u8], more: &[(&str, Owned)]) -> Vec<u8> {
    file_of(tiny, more, TENSORS)
}

/// The same with tensors of other types.
pub(super) fn file_of(tiny: &[u8], more: &[(&str, Owned)], tensors: [Described; 16]) -> Vec<u8> {
    let (mut keys, _) = parts(tiny);
    for (key, value) in [
        ("llama.attention.key_length", 64),
        ("llama.attention.value_length", 64),
        ("llama.rope.dimension_count", 64),
        ("llama.embedding_length", 256),
        ("llama.feed_forward_length", 500),
        ("llama.block_count", 1),
    ] {
        let pair = keys.iter_mut().find(|(name, _)| name == key).unwrap();
        pair.1 = Owned::Unsigned(value);
    }
    for (key, value) in more {
        keys.retain(|(known, _)| known != key);
        keys.push(((*key).to_owned(), value.clone()));
    }
    let mut numbers = Numbers(1);
    let tensors = tensors.map(|(name, rows, columns, kind)| {
        let length = match kind {
            0 | 1 | 30 => 1,
            12..=14 => 256,
            _ => 32,
        };
        let dimensions = if columns == 1 {
            vec![rows]
        } else {
            vec![columns, rows]
        };
        let data = (0..rows * columns / length).flat_map(|_| numbers.block(kind));
        Stored {
            name: name.to_owned(),
            dimensions,
            kind,
            data: data.collect(),
        }
    });
    write(3, 32, &keys, &tensors)
}
