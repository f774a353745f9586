//! Digests of inputs and outputs, and commitments to weights.

use alloy_primitives::{B256, Keccak256, keccak256};
use serde::{Deserialize, Serialize};

/// A Keccak-256 digest. The text form is `0x` and 64 lower-case hexadecimal digits.
pub type Digest = B256;

/// Computes a digest of bytes that come in pieces.
///
/// Not the library's own: that one is compiled anew in every room that uses it, and without optimisation in most of them.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Keccak256);

impl Hasher {
    /// A hasher of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes that came.
    pub fn finalize(self) -> Digest {
        self.0.finalize()
    }
}

/// A commitment to the weights of a model.
///
/// The scheme names how the root is made and its version, so that schemes can follow one another
/// (`proofs` computes and checks them). Leaves are salted: a root does not confirm a guess of the weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Commitment {
    /// Name and version of the scheme, for example `salted-merkle-keccak256/1`.
    pub scheme: String,
    /// The root.
    pub root: Digest,
}

/// One named input of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What the operation calls it: `text`, `held_out` or `prompt`. Also its file name in the job's `inputs/`.
    pub name: String,
    /// Keccak-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Input {
    /// Describes `bytes` under `name`.
    pub fn describe(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            digest: keccak256(bytes),
            bytes: bytes.len() as u64,
        }
    }
}

/// All inputs of a job, in order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputManifest(Vec<Input>);

impl InputManifest {
    /// Sorts the inputs by name.
    pub fn new(mut inputs: Vec<Input>) -> Self {
        inputs.sort_by(|left, right| left.name.cmp(&right.name));
        Self(inputs)
    }

    /// The inputs, sorted by name.
    pub fn inputs(&self) -> &[Input] {
        &self.0
    }

    /// The input of that name.
    pub fn get(&self, name: &str) -> Option<&Input> {
        self.0.iter().find(|input| input.name == name)
    }

    /// The input digest that a start request and a receipt carry.
    ///
    /// Keccak-256 over, for each input in order of names: the length of the name as one 8-byte big-endian number,
    /// the name, the input's digest and its length as an 8-byte big-endian number.
    pub fn digest(&self) -> Digest {
        let mut encoded = Vec::new();
        for input in &self.0 {
            encoded.extend_from_slice(&(input.name.len() as u64).to_be_bytes());
            encoded.extend_from_slice(input.name.as_bytes());
            encoded.extend_from_slice(input.digest.as_slice());
            encoded.extend_from_slice(&input.bytes.to_be_bytes());
        }
        keccak256(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let mut hasher = Hasher::new();
        for piece in [&b"call "[..], b"", b"me ishmael"] {
            hasher.update(piece);
        }
        assert_eq!(hasher.finalize(), keccak256("call me ishmael"));
        assert_eq!(Hasher::new().finalize(), keccak256(""));
    }

    #[test]
    fn order_of_giving_does_not_matter_and_names_do() {
        let (text, held_out) = (Input::describe("text", b"a"), Input::describe("held_out", b"b"));
        let one = InputManifest::new(vec![text.clone(), held_out.clone()]);
        let two = InputManifest::new(vec![held_out, text]);
        assert_eq!(one.digest(), two.digest());
        let swapped = InputManifest::new(vec![
            Input::describe("held_out", b"a"),
            Input::describe("text", b"b"),
        ]);
        assert_ne!(one.digest(), swapped.digest());
    }
}
