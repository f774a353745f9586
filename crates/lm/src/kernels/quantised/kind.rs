//! What products ask of a type of blocks.

use super::blocks::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
use super::{GROUP, LANES};
use crate::tensor_type::TensorType;

/// How the blocks of 16 rows lie in a panel: span after span of their values, each
///
/// ```text
/// scales [16] in 16 bits, minima [16] in 16 bits where there are any,
/// then for every 32 values: steps [2][16] in 8 bits where there are any, levels
/// ```
///
/// Levels of 8 bits are `[8][16][4]`: four consecutive values of each row side by side. Levels of 4 bits are
/// `[4][16][4]` bytes, whose low halves hold the first 16 of the 32 values and whose high halves the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Values that share the 16-bit numbers: those of a block.
    pub span: usize,
    /// 16-bit numbers of each row for a span: a scale, and a minimum after it.
    pub halves: usize,
    /// 8-bit numbers of each row for 32 values.
    pub steps: usize,
    /// Whether levels have 4 bits and not 8.
    pub nibbles: bool,
}

impl Form {
    pub const fn of(kind: TensorType) -> Option<Self> {
        let (span, halves, steps, nibbles) = match kind {
            TensorType::Q4_0 => (32, 1, 0, true),
            TensorType::Q4_1 => (32, 2, 0, true),
            TensorType::Q5_0 | TensorType::Q8_0 => (32, 1, 0, false),
            TensorType::Q5_1 => (32, 2, 0, false),
            TensorType::Q4_K => (256, 2, 2, true),
            TensorType::Q5_K => (256, 2, 2, false),
            TensorType::Q6_K => (256, 1, 2, false),
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => return None,
        };
        Some(Self {
            span,
            halves,
            steps,
            nibbles,
        })
    }

    /// Bytes of the 16-bit numbers at the head of a span.
    pub const fn head_bytes(self) -> usize {
        2 * LANES * self.halves
    }

    /// Bytes of 32 values of all rows.
    pub const fn group_bytes(self) -> usize {
        let levels = if self.nibbles { GROUP / 2 } else { GROUP };
        LANES * (self.steps + levels)
    }

    /// Bytes of a span of all rows.
    pub const fn span_bytes(self) -> usize {
        self.head_bytes() + self.span / GROUP * self.group_bytes()
    }
}

/// Bytes that values of a type of blocks take in panels, which is more than in a file where levels have 5 or 6 bits.
/// Nothing for a type without blocks.
pub(crate) fn panel_bytes(kind: TensorType, values: u64) -> Option<u64> {
    let form = Form::of(kind)?;
    Some(values * form.span_bytes() as u64 / (form.span * LANES) as u64)
}

/// A type of blocks as products see it.
pub(super) trait Kind {
    const FORM: Form;
    /// What is subtracted from every level.
    const OFFSET: i32 = 0;
    /// Whether levels of 8 bits have a sign. Those without one are below 32.
    const SIGNED: bool = false;
    /// What the two steps of 32 values are.
    const STEPS: Steps = Steps::None;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steps {
    None,
    /// A factor of the scale, and one of the minimum, which is subtracted.
    ScaleAndMinimum,
    /// Factors of the sums over the first 16 values and over the others, with a sign.
    Sixteens,
}

/// The form of a type that has one.
const fn form(kind: TensorType) -> Form {
    match Form::of(kind) {
        Some(form) => form,
        None => panic!("a type without blocks"),
    }
}

impl Kind for Q4_0 {
    const FORM: Form = form(TensorType::Q4_0);
    const OFFSET: i32 = 8;
}

impl Kind for Q4_1 {
    const FORM: Form = form(TensorType::Q4_1);
}

impl Kind for Q5_0 {
    const FORM: Form = form(TensorType::Q5_0);
    const SIGNED: bool = true;
}

impl Kind for Q5_1 {
    const FORM: Form = form(TensorType::Q5_1);
}

impl Kind for Q8_0 {
    const FORM: Form = form(TensorType::Q8_0);
    const SIGNED: bool = true;
}

impl Kind for Q4K {
    const FORM: Form = form(TensorType::Q4_K);
    const STEPS: Steps = Steps::ScaleAndMinimum;
}

impl Kind for Q5K {
    const FORM: Form = form(TensorType::Q5_K);
    const STEPS: Steps = Steps::ScaleAndMinimum;
}

impl Kind for Q6K {
    const FORM: Form = form(TensorType::Q6_K);
    const SIGNED: bool = true;
    const STEPS: Steps = Steps::Sixteens;
}
