//! Identifiers, each with one text form.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an identifier of the kind asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{text}` is not a {kind}: expected {expected}")]
pub struct IdError {
    text: String,
    kind: &'static str,
    expected: &'static str,
}

/// A decentralised identifier of Ocean Protocol: `did:op:` and 64 lower-case hexadecimal digits.
///
/// It names one data NFT on one chain. How it is derived from them is a rule of DDOs and lives in `assets`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Did(String);

impl Did {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Did {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let valid = text.strip_prefix("did:op:").is_some_and(|digits| {
            digits.len() == 64
                && digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        if valid {
            return Ok(Self(text.to_owned()));
        }
        Err(IdError {
            text: text.to_owned(),
            kind: "DID",
            expected: "did:op: and 64 lower-case hexadecimal digits",
        })
    }
}

impl fmt::Display for Did {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Did {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

macro_rules! sixteen_byte_id {
    ($(#[$documentation:meta])* $name:ident, $kind:literal) => {
        $(#[$documentation])*
        ///
        /// Sixteen bytes; the text form is 32 lower-case hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                let mut bytes = [0; 16];
                if lower && hex::decode_to_slice(text, &mut bytes).is_ok() {
                    return Ok(Self(bytes));
                }
                Err(IdError { text: text.to_owned(), kind: $kind, expected: "32 lower-case hexadecimal digits" })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

sixteen_byte_id!(
    /// A job: one run of one operation that one signed start request asked for.
    ///
    /// It is the head of the digest of that request, so that sending the same request twice names the same job.
    JobId,
    "job id"
);
sixteen_byte_id!(
    /// A file that a user sends to the node in chunks, before a job or a publication uses it.
    UploadId,
    "upload id"
);
sixteen_byte_id!(
    /// An offer of the node: what an order would cost. One quote pays for one order.
    QuoteId,
    "quote id"
);
sixteen_byte_id!(
    /// A sealed object in the vault: a model, a checkpoint or an uploaded file.
    ObjectId,
    "object id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_form() {
        let did: Did = format!("did:op:{}", "0a".repeat(32)).parse().unwrap();
        assert_eq!(serde_json::to_string(&did).unwrap(), format!("\"{did}\""));
        let id = JobId([0xab; 16]);
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "did:op:",
            &format!("did:op:{}", "0A".repeat(32)),
            &format!("did:ex:{}", "00".repeat(32)),
        ] {
            assert!(text.parse::<Did>().is_err(), "{text}");
        }
        for text in ["", "ab", &"AB".repeat(16), &format!("0x{}", "ab".repeat(15))] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }
}
