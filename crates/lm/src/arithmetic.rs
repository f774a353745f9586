//! In what products of matrices are computed.

use crate::error::{Error, Result};
use crate::kernels::bf16::{self, Bf16Set};
use crate::kernels::number::Number;
use crate::kernels::{Matrix, Start, Work, multiply};
use crate::tensor_type::TensorType;

/// In what a network's products of activations with weights are computed. Everything else is computed in f32.
///
/// Products of quantised matrices are in whole numbers whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// In f32: the same bits on every machine.
    #[default]
    F32,
    /// In bf16, summed in f32: that both sides are rounded decides bits, and so do the instructions.
    Bf16(Bf16Set),
}

impl Arithmetic {
    /// Its name, as receipts and checkpoints have it: `f32`, `bf16/amx` or `bf16/avx512`. Equal names give equal bits.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16(set) => set.name(),
        }
    }

    /// The fastest that this machine has under a name.
    ///
    /// # Errors
    /// [`Error::Options`](crate::Error::Options) for a name that no arithmetic has, or none of this machine.
    pub fn named(name: &str) -> Result<Self> {
        if name == Self::F32.name() {
            return Ok(Self::F32);
        }
        Bf16Set::named(name).map(Self::Bf16)
    }

    /// Checks that this machine has its instructions, and that products with all of these tensors, by their names, can be
    /// computed in it.
    pub(crate) fn check<'a>(self, tensors: impl IntoIterator<Item = (&'a str, TensorType)>) -> Result<()> {
        let quantised = tensors.into_iter().find(|(_, kind)| kind.is_quantised());
        match (self, quantised) {
            (Self::Bf16(set), _) if !set.is_available() => Err(Error::options(
                "precision",
                format!("is {}: this machine lacks its instructions ({set:?})", set.name()),
            )),
            (Self::Bf16(_), Some((name, kind))) => {
                let problem = format!(
                    "is {}, but `{name}` is stored in {kind}: products with it are in whole numbers; leave it away",
                    self.name()
                );
                Err(Error::options("precision", problem))
            }
            _ => Ok(()),
        }
    }

    /// target `[a.rows, b.columns]` = (target +) a · b.
    pub(crate) fn multiply<N: Number>(
        self,
        target: &mut [f32],
        start: Start,
        a: Matrix<'_>,
        b: Matrix<'_, N>,
        work: Work,
    ) {
        match self {
            Self::F32 => multiply(target, start, a, b, work),
            Self::Bf16(set) => bf16::multiply(set, target, start, a, b, work),
        }
    }
}
