//! Money as integers in base units.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of one ERC-20 token in its base units (wei for an 18-decimal token).
///
/// The text form, in JSON too, is a plain decimal string of base units without sign, point or exponent.
/// An amount does not know its token; the field that carries it says which one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub U256);

impl Amount {
    /// No units at all.
    pub const ZERO: Self = Self(U256::ZERO);

    /// `whole` tokens of a token with 18 decimals.
    pub fn tokens(whole: u64) -> Self {
        Self(U256::from(whole) * U256::from(10).pow(U256::from(18)))
    }

    /// Reads a decimal number of whole tokens such as `1.5`, for a token with `decimals` decimals.
    ///
    /// # Errors
    /// Anything but digits with at most one point, more fractional digits than `decimals`, or a value over 2^256 − 1.
    pub fn parse_tokens(text: &str, decimals: u8) -> Result<Self, AmountError> {
        let error = || AmountError {
            text: text.to_owned(),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let decimals = usize::from(decimals);
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals {
            return Err(error());
        }
        format!("{whole}{fraction:0<decimals$}")
            .parse()
            .map_err(|_| error())
    }

    /// The amount in whole tokens, without trailing zeros, for people to read.
    pub fn display_tokens(self, decimals: u8) -> String {
        let decimals = usize::from(decimals);
        let digits = format!("{:0>width$}", self.0.to_string(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() {
            whole.to_owned()
        } else {
            format!("{whole}.{fraction}")
        }
    }
}

/// A text that is not an amount.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{text}` is not an amount: write a decimal number without sign or exponent")]
pub struct AmountError {
    text: String,
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let error = || AmountError {
            text: text.to_owned(),
        };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        U256::from_str_radix(text, 10).map(Self).map_err(|_| error())
    }
}

impl From<U256> for Amount {
    fn from(value: U256) -> Self {
        Self(value)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_and_print_without_loss() {
        for (text, wei) in [
            ("1", "1000000000000000000"),
            ("0.05", "50000000000000000"),
            ("2.50", "2500000000000000000"),
        ] {
            let amount = Amount::parse_tokens(text, 18).unwrap();
            assert_eq!(amount.to_string(), wei);
        }
        assert_eq!(
            Amount::parse_tokens("2.50", 18).unwrap().display_tokens(18),
            "2.5"
        );
        assert_eq!(Amount(U256::from(7)).display_tokens(18), "0.000000000000000007");
        assert_eq!(Amount::tokens(3).display_tokens(18), "3");
        assert_eq!(Amount(U256::from(42)).display_tokens(0), "42");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "-1",
            "1e18",
            "1.2.3",
            ".5",
            "0x10",
            "1.0000000000000000001",
            " 1",
        ] {
            assert!(Amount::parse_tokens(text, 18).is_err(), "{text}");
        }
        assert!("1.5".parse::<Amount>().is_err());
        assert!(Amount::parse_tokens(&"9".repeat(80), 18).is_err());
    }

    #[test]
    fn json_is_a_decimal_string() {
        assert_eq!(
            serde_json::to_string(&Amount::tokens(1)).unwrap(),
            "\"1000000000000000000\""
        );
        assert!(serde_json::from_str::<Amount>("1000").is_err());
    }
}
