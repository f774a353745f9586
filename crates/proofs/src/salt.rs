//! The secret that keeps a commitment from confirming guesses.

use std::fmt;

use posthuman_types::{B256, keccak256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Separates this use of Keccak-256 from every other; see [`crate::commitment`].
const DERIVATION: u8 = 0x04;

/// The 32 secret bytes of one model that all its leaves are salted with.
///
/// Kept sealed beside the weights. It prints as `Salt(secret)`, cannot be serialised and is wiped when dropped.
/// It does not make itself: random bytes are the caller's to bring.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for sealing them. Whoever holds them can test guesses of the weights.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The salt of one leaf: Keccak-256 of `0x04 ‖ salt ‖ index` (8 bytes, big-endian).
    ///
    /// Prefix-keyed Keccak is a pseudo-random function (the sponge admits no length extension), so that showing one
    /// leaf's salt says nothing about another's.
    pub(crate) fn leaf(&self, index: u64) -> B256 {
        let mut message = [0_u8; 41];
        message[0] = DERIVATION;
        message[1..33].copy_from_slice(&self.0);
        message[33..].copy_from_slice(&index.to_be_bytes());
        let salt = keccak256(message);
        message.zeroize();
        salt
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Salt(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_secret_is_printed() {
        let salt = Salt::from_bytes([0xab; 32]);
        assert_eq!(format!("{salt:?}"), "Salt(secret)");
    }

    #[test]
    fn leaves_have_salts_of_their_own() {
        let salt = Salt::from_bytes([1; 32]);
        assert_ne!(salt.leaf(0), salt.leaf(1));
        assert_ne!(salt.leaf(0), Salt::from_bytes([2; 32]).leaf(0));
    }
}
