//! Models out of a vault.

use anyhow::ensure;
use posthuman_lm::{Bundle, Tensor};

use super::Windows;

/// The windows of every tensor: of its values, and of its blocks where it is quantised.
///
/// # Errors
/// Fewer windows than such models have, or a search that does not find a piece of them.
pub fn of_models(models: &[Bundle]) -> anyhow::Result<Windows> {
    let tensors: Vec<Tensor<'_>> = models.iter().flat_map(Bundle::tensors).collect();
    let values: Vec<_> = tensors.iter().map(Tensor::values).collect();
    let quantised = tensors.iter().filter(|tensor| tensor.kind.is_quantised());
    let blocks: Vec<Vec<u8>> = quantised.map(blocks).collect();
    let windows = Windows::of_both(
        values.iter().map(|values| &**values),
        blocks.iter().map(Vec::as_slice),
    );
    // Of quantised values many are alike.
    let numbers: usize = tensors
        .iter()
        .zip(&values)
        .filter(|(tensor, _)| !tensor.kind.is_quantised())
        .map(|(_, values)| values.len())
        .sum();
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    ensure!(
        windows.len() > numbers * 2 + bytes / 2,
        "{} windows of {numbers} numbers and {bytes} bytes of blocks",
        windows.len()
    );
    let largest = values.iter().max_by_key(|values| values.len());
    let number = largest
        .and_then(|values| values.get(100..104))
        .unwrap_or_default();
    let number: Vec<u8> = number.iter().flat_map(|value| value.to_le_bytes()).collect();
    let piece = blocks.first().and_then(|blocks| blocks.get(101..117));
    for leak in [Some(&number[..]), piece].into_iter().flatten() {
        ensure!(
            windows.find(leak).is_some(),
            "the search does not find what it must"
        );
    }
    Ok(windows)
}

fn blocks(tensor: &Tensor<'_>) -> Vec<u8> {
    let mut blocks = Vec::new();
    tensor.bytes(&mut |piece| blocks.extend_from_slice(piece));
    blocks
}
