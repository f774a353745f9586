//! Addresses in JSON as Ocean writes them: EIP-55 out, any case in.

use std::collections::BTreeMap;

use posthuman_types::{Address, Amount};
use serde::{Deserialize, Deserializer, Serializer};

/// Writes the EIP-55 form.
pub(crate) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// Reads an address in any case.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = text.starts_with("0x").then(|| text.parse().ok()).flatten();
    address.ok_or_else(|| {
        serde::de::Error::custom(format!(
            "`{text}` is not an address: expected 0x and 40 hex digits"
        ))
    })
}

/// Amounts by address.
pub(crate) mod amounts {
    use super::{Address, Amount, BTreeMap, Deserialize, Deserializer, Serializer};

    /// Writes the keys in EIP-55 form, in order of the addresses.
    pub(crate) fn serialize<S: Serializer>(
        amounts: &BTreeMap<Address, Amount>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            amounts
                .iter()
                .map(|(address, amount)| (address.to_string(), amount)),
        )
    }

    /// Reads addresses in any case.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Address, Amount>, D::Error> {
        BTreeMap::deserialize(deserializer)
    }
}
