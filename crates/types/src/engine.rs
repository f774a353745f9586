//! Names of engines, as statements, receipts and assets have them.

use std::fmt;

use crate::Precision;

/// An engine's name in its parts: `posthuman-lm/1`, or `posthuman-lm/1+bf16/amx` where products were computed in bf16.
///
/// Equal names give equal bits. This is the one place where such a name is put together and taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineName<'a> {
    /// Name and version of the numerics.
    pub numerics: &'a str,
    /// In what products are computed: `f32`, `bf16/amx` or `bf16/avx512`.
    pub arithmetic: &'a str,
}

/// The arithmetic that a name does not mention.
const USUAL: &str = "f32";

impl<'a> EngineName<'a> {
    /// Takes a name apart. Every text is one; whether it names an engine that exists is for those who have engines.
    pub fn read(name: &'a str) -> Self {
        let (numerics, arithmetic) = name.split_once('+').unwrap_or((name, USUAL));
        Self { numerics, arithmetic }
    }

    /// The precision that its arithmetic is of; none that this program knows for an unknown one.
    pub fn precision(&self) -> Option<Precision> {
        let family = self.arithmetic.split('/').next().unwrap_or_default();
        Precision::named(family)
    }
}

impl fmt::Display for EngineName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.numerics)?;
        if self.arithmetic != USUAL {
            write!(formatter, "+{}", self.arithmetic)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_numerics_and_arithmetic() {
        for (name, numerics, arithmetic, precision) in [
            ("posthuman-lm/1", "posthuman-lm/1", "f32", Some(Precision::F32)),
            (
                "posthuman-lm/1+bf16/amx",
                "posthuman-lm/1",
                "bf16/amx",
                Some(Precision::Bf16),
            ),
            ("other/2+int8/vnni", "other/2", "int8/vnni", None),
        ] {
            let read = EngineName::read(name);
            assert_eq!((read.numerics, read.arithmetic), (numerics, arithmetic));
            assert_eq!(read.precision(), precision, "{name}");
            assert_eq!(read.to_string(), name);
        }
    }
}
