//! What a sealed training holds: weights as they were on the way, and the optimizer's two moments.

use anyhow::{Context as _, ensure};

use super::Windows;

/// Weights and moments, each as long as the other two.
const PARTS: usize = 3;

/// The windows of the numbers in a checkpoint: reports of the steps so far, then a safetensors file of f32 tensors, each
/// after the length of what is no number, the first big-endian, the second not. Zeros are left out: moments of what was
/// never seen are zero, as much else is.
///
/// # Errors
/// Bytes that are no such file, or hardly a number in them.
pub fn of_checkpoint(bytes: &[u8]) -> anyhow::Result<Windows> {
    let state = behind(bytes, u64::from_be_bytes)?;
    let numbers = behind(state, u64::from_le_bytes)?;
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

/// What stands behind a text that stands behind its length.
fn behind(bytes: &[u8], length: impl Fn([u8; 8]) -> u64) -> anyhow::Result<&[u8]> {
    let cut = || {
        let (head, rest) = bytes.split_first_chunk()?;
        rest.get(usize::try_from(length(*head)).ok()?..)
    };
    cut().context("a checkpoint is longer than its texts")
}
