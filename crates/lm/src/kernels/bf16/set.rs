//! Which instructions multiply in bf16. Unlike for f32, the choice decides bits.

use std::sync::OnceLock;

use super::tiles::Tile;
use super::{BLOCK, multiply_unchecked, reference};
use crate::error::{Error, Result};
use crate::kernels::{Matrix, Start, Work};

/// Instructions that multiply in bf16, the slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bf16Set {
    /// The bits of [`Amx`](Self::Amx) with the f32 arithmetic of any machine.
    Portable,
    /// x86-64 with AVX-512 F, BW and BF16.
    Avx512Bf16,
    /// x86-64 with AMX-TILE and AMX-BF16, where the system gives the process its registers.
    Amx,
}

impl Bf16Set {
    /// The fastest that this machine has.
    pub fn best() -> Self {
        [Self::Amx, Self::Avx512Bf16]
            .into_iter()
            .find(|set| set.is_available())
            .unwrap_or(Self::Portable)
    }

    /// Name of the bits of its products, as receipts write it. Sets of the same name differ in speed alone.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable | Self::Amx => "bf16/amx",
            Self::Avx512Bf16 => "bf16/avx512",
        }
    }

    /// The fastest set of this machine whose products have the bits of that name.
    ///
    /// # Errors
    /// [`Error::Options`] where no set has that name, or none of this machine.
    pub fn named(name: &str) -> Result<Self> {
        let sets = [Self::Amx, Self::Avx512Bf16, Self::Portable];
        let mut same = sets.into_iter().filter(|set| set.name() == name).peekable();
        if same.peek().is_none() {
            let known = format!("is {name:?}: it must be \"bf16/amx\" or \"bf16/avx512\"");
            return Err(Error::options("precision", known));
        }
        same.find(|set| set.is_available()).ok_or_else(|| {
            let problem = format!(
                "is {name:?}: this machine lacks its instructions (AVX-512 BF16); run it on one that has them"
            );
            Error::options("precision", problem)
        })
    }

    /// Whether this machine has it and it behaves as specified. Asked once.
    pub fn is_available(self) -> bool {
        static AVX512: OnceLock<bool> = OnceLock::new();
        static AMX: OnceLock<bool> = OnceLock::new();
        match self {
            Self::Portable => true,
            Self::Avx512Bf16 => *AVX512.get_or_init(|| has_avx512() && self.behaves()),
            Self::Amx => *AMX.get_or_init(|| has_avx512() && has_amx() && self.behaves()),
        }
    }

    /// Whether a product has the bits of the reference: makers have documented the order of these sums, not promised it.
    fn behaves(self) -> bool {
        let [rows, columns, depth] = [3, 18, 70];
        let numbers = |count: usize, seed: u32| -> Vec<f32> {
            let number = |index: usize| {
                let bits = (index as u32 + 1)
                    .wrapping_mul(0x9e37_79b9)
                    .wrapping_add(seed)
                    .wrapping_mul(0x85eb_ca6b);
                // Exponents around 0 and around -63, so that some sums lose digits and others become denormal.
                let exponent = if bits & 3 == 0 { 56 } else { 120 } + (bits >> 2 & 15);
                f32::from_bits(bits & 0x8000_0000 | exponent << 23 | bits >> 8 & 0x7f_ffff)
            };
            (0..count).map(number).collect()
        };
        let (a, b) = (numbers(rows * depth, 1), numbers(depth * columns, 2));
        let mut expected = numbers(rows * columns, 3);
        let mut target = expected.clone();
        reference::multiply(self, &mut expected, Start::Keep, (&a, &b), [rows, columns, depth]);
        let (a, b) = (Matrix::new(&a, rows, depth), Matrix::new(&b, depth, columns));
        multiply_unchecked(self, &mut target, Start::Keep, a, b, Work::Alone);
        target
            .iter()
            .zip(&expected)
            .all(|(one, other)| one.to_bits() == other.to_bits())
    }

    /// Its tile.
    pub(super) fn tile(self) -> Tile {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => super::amx::TILE,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => super::tiles::AVX512,
            _ => super::portable::TILE,
        }
    }
}

const _: () = assert!(BLOCK.is_multiple_of(super::STEP));

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

#[cfg(target_arch = "x86_64")]
fn has_amx() -> bool {
    super::amx::permitted()
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_amx() -> bool {
    false
}
