//! The values of tensors of every type.

use half::{bf16, f16};

use super::tensor_type::GgufType;
use crate::kernels::quantised::blocks::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, dequantise as blocks};

/// Dequantises whole blocks; `target` has their number of values.
pub(super) fn dequantise(kind: GgufType, bytes: &[u8], target: &mut [f32]) {
    match kind {
        GgufType::F32 => numbers(bytes, target, f32::from_le_bytes),
        GgufType::F16 => numbers(bytes, target, |bytes| f16::from_le_bytes(bytes).to_f32()),
        GgufType::BF16 => numbers(bytes, target, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        GgufType::Q4_0 => blocks::<Q4_0>(bytes, target),
        GgufType::Q4_1 => blocks::<Q4_1>(bytes, target),
        GgufType::Q5_0 => blocks::<Q5_0>(bytes, target),
        GgufType::Q5_1 => blocks::<Q5_1>(bytes, target),
        GgufType::Q8_0 => blocks::<Q8_0>(bytes, target),
        GgufType::Q4_K => blocks::<Q4K>(bytes, target),
        GgufType::Q5_K => blocks::<Q5K>(bytes, target),
        GgufType::Q6_K => blocks::<Q6K>(bytes, target),
    }
}

fn numbers<const SIZE: usize>(bytes: &[u8], target: &mut [f32], convert: impl Fn([u8; SIZE]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<SIZE>();
    for (value, chunk) in target.iter_mut().zip(chunks) {
        *value = convert(*chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::quantised::blocks::Block;

    #[test]
    fn layouts_are_as_large_as_their_types_say() {
        fn same<B: Block>(kind: GgufType) {
            assert_eq!(
                (kind.block_length(), kind.block_bytes()),
                (B::LENGTH, B::BYTES),
                "{kind}"
            );
        }
        same::<Q4_0>(GgufType::Q4_0);
        same::<Q4_1>(GgufType::Q4_1);
        same::<Q5_0>(GgufType::Q5_0);
        same::<Q5_1>(GgufType::Q5_1);
        same::<Q8_0>(GgufType::Q8_0);
        same::<Q4K>(GgufType::Q4_K);
        same::<Q5K>(GgufType::Q5_K);
        same::<Q6K>(GgufType::Q6_K);
    }
}
