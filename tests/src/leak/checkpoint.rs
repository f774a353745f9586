//! What a sealed training holds: weights as they were on the way, and the optimizer's two moments.

use anyhow::{Context as _, ensure};

use super::Windows;

/// Weights and moments, each as long as the other two.
const PARTS: usize = 3;

/// The windows of the numbers in a checkpoint, which is a safetensors file of f32 tensors: the length of its header, the
/// header, the numbers. Zeros are left out: moments of what was never seen are zero, as much else is.
///
/// # Errors
/// Bytes that are no such file, or hardly a number in them.
pub fn of_checkpoint(bytes: &[u8]) -> anyhow::Result<Windows> {
    let (length, rest) = bytes
        .split_first_chunk::<8>()
        .context("a checkpoint has a header")?;
    let header = usize::try_from(u64::from_le_bytes(*length))?;
    let numbers = rest.get(header..).context("a checkpoint has numbers")?;
    let (chunks, over) = numbers.as_chunks::<4>();
    ensure!(
        over.is_empty() && chunks.len().is_multiple_of(PARTS),
        "a checkpoint is three tensors of f32"
    );
    let values: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    let windows = Windows::as_f32(values.split(|value| *value == 0.0));
    ensure!(
        windows.len() > values.len() / 2,
        "{} windows of {} numbers",
        windows.len(),
        values.len()
    );
    ensure!(
        windows.find(bytes).is_some(),
        "the search does not find what it must"
    );
    Ok(windows)
}
