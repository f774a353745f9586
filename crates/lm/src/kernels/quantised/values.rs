//! The values of tensors of every type.

use half::{bf16, f16};

use super::blocks::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, dequantise as blocks};
use crate::tensor_type::TensorType;

/// Dequantises whole blocks; `target` has their number of values.
pub(crate) fn dequantise(kind: TensorType, bytes: &[u8], target: &mut [f32]) {
    match kind {
        TensorType::F32 => numbers(bytes, target, f32::from_le_bytes),
        TensorType::F16 => numbers(bytes, target, |bytes| f16::from_le_bytes(bytes).to_f32()),
        TensorType::BF16 => numbers(bytes, target, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        TensorType::Q4_0 => blocks::<Q4_0>(bytes, target),
        TensorType::Q4_1 => blocks::<Q4_1>(bytes, target),
        TensorType::Q5_0 => blocks::<Q5_0>(bytes, target),
        TensorType::Q5_1 => blocks::<Q5_1>(bytes, target),
        TensorType::Q8_0 => blocks::<Q8_0>(bytes, target),
        TensorType::Q4_K => blocks::<Q4K>(bytes, target),
        TensorType::Q5_K => blocks::<Q5K>(bytes, target),
        TensorType::Q6_K => blocks::<Q6K>(bytes, target),
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
    use crate::tensor_type::TensorType;

    #[test]
    fn layouts_are_as_large_as_their_types_say() {
        fn same<B: Block>(kind: TensorType) {
            assert_eq!(
                (kind.block_length(), kind.block_bytes()),
                (B::LENGTH, B::BYTES),
                "{kind}"
            );
        }
        same::<Q4_0>(TensorType::Q4_0);
        same::<Q4_1>(TensorType::Q4_1);
        same::<Q5_0>(TensorType::Q5_0);
        same::<Q5_1>(TensorType::Q5_1);
        same::<Q8_0>(TensorType::Q8_0);
        same::<Q4K>(TensorType::Q4_K);
        same::<Q5K>(TensorType::Q5_K);
        same::<Q6K>(TensorType::Q6_K);
    }
}
