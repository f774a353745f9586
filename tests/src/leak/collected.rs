//! Windows on their way into the set that is looked for.

use super::{FILTER_BITS, WINDOW, Windows, filter_bit, window_at};

/// Windows before they are sorted.
#[derive(Default)]
pub(super) struct Collected {
    windows: Vec<u128>,
    skipped: usize,
}

impl Collected {
    /// Those of numbers as f32, and as bf16 and f16 where they are not too small for these.
    pub(super) fn values(&mut self, values: &[f32], halves: bool) {
        let f32s: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(&f32s, 4);
        if !halves {
            return;
        }
        let bf16s = values
            .iter()
            .map(|value| half::bf16::from_f32(*value).to_le_bytes());
        self.bytes(&bf16s.flatten().collect::<Vec<u8>>(), 2);
        let f16s = values
            .iter()
            .map(|value| half::f16::from_f32(*value).to_le_bytes());
        self.bytes(&f16s.flatten().collect::<Vec<u8>>(), 2);
    }

    /// Windows from every element on.
    pub(super) fn bytes(&mut self, bytes: &[u8], element: usize) {
        for window in bytes.windows(WINDOW).step_by(element) {
            if is_one_number(window, element) {
                self.skipped += 1;
            } else {
                self.windows.push(window_at(window, 0));
            }
        }
    }

    pub(super) fn sorted(self) -> Windows {
        let mut sorted = self.windows;
        sorted.sort_unstable();
        sorted.dedup();
        let mut filter = vec![0_u64; 1 << (FILTER_BITS - 6)];
        for window in &sorted {
            let bit = filter_bit(*window);
            filter[bit >> 6] |= 1 << (bit & 63);
        }
        Windows {
            sorted,
            filter,
            skipped: self.skipped,
        }
    }
}

/// Whether all elements are the same; zeros of either sign are, as quantised weights have many.
fn is_one_number(window: &[u8], element: usize) -> bool {
    let mut elements = window.chunks_exact(element);
    let is_zero = |value: &[u8]| match value {
        [rest @ .., last] => !rest.is_empty() && last & 0x7f == 0 && rest.iter().all(|&byte| byte == 0),
        [] => true,
    };
    elements.clone().all(|value| value == &window[..element]) || elements.all(is_zero)
}
