//! Engines by their names, and what this machine has of them.

use posthuman_lm::{Arithmetic, Bf16Set, engine_version};
use posthuman_types::{EngineName, ErrorClass, Precision};

/// An engine that does not run here.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Other numerics than this program has.
    #[error(
        "the job was run by engine `{found}` and this program has `{}`, which gives other bits: use a program with that \
         engine",
        engine_version()
    )]
    Numerics {
        /// The engine that was named.
        found: String,
    },
    /// An arithmetic that does not exist, or not on this machine.
    #[error("what engine `{found}` computed cannot be computed again here")]
    Arithmetic {
        /// The engine that was named.
        found: String,
        /// What is missing.
        source: posthuman_lm::Error,
    },
}

impl EngineError {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// The name of the engine that computes so.
pub(crate) fn engine_name(arithmetic: Arithmetic) -> String {
    let name = EngineName {
        numerics: engine_version(),
        arithmetic: arithmetic.name(),
    };
    name.to_string()
}

/// The arithmetic of the engine with that name.
///
/// # Errors
/// Other numerics, or an arithmetic that this machine has not.
pub(crate) fn arithmetic_of(engine: &str) -> Result<Arithmetic, EngineError> {
    let (name, found) = (EngineName::read(engine), engine.to_owned());
    if name.numerics != engine_version() {
        return Err(EngineError::Numerics { found });
    }
    Arithmetic::named(name.arithmetic).map_err(|source| EngineError::Arithmetic { found, source })
}

/// The fastest arithmetic that this machine has of a precision.
pub(crate) fn fastest(precision: Precision) -> Arithmetic {
    match precision {
        Precision::F32 => Arithmetic::F32,
        Precision::Bf16 => Arithmetic::Bf16(Bf16Set::best()),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_engine_has_the_arithmetic_that_its_name_says() {
        assert_eq!(engine_name(Arithmetic::F32), "posthuman-lm/2");
        assert_eq!(arithmetic_of("posthuman-lm/2").unwrap(), Arithmetic::F32);
        let name = engine_name(Arithmetic::Bf16(Bf16Set::Portable));
        assert_eq!(name, "posthuman-lm/2+bf16/amx");
        // Whatever has these bits fastest here.
        assert_eq!(arithmetic_of(&name).unwrap().name(), "bf16/amx");
        let best = fastest(Precision::Bf16);
        assert_eq!(arithmetic_of(&engine_name(best)).unwrap().name(), best.name());
    }

    #[test]
    fn an_engine_that_is_not_here_is_told() {
        let error = arithmetic_of("posthuman-lm/1+bf16/amx").unwrap_err();
        assert!(error.to_string().contains("`posthuman-lm/2`"), "{error}");
        let error = arithmetic_of("posthuman-lm/2+int8/vnni").unwrap_err();
        assert!(error.source().unwrap().to_string().contains("int8/vnni"));
        if !Bf16Set::Avx512Bf16.is_available() {
            let error = arithmetic_of("posthuman-lm/2+bf16/avx512").unwrap_err();
            let source = error.source().unwrap().to_string();
            assert!(source.contains("this machine lacks its instructions"), "{source}");
        }
    }
}
