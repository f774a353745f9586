//! The schemes of commitments, by their names and versions.

/// How a model is committed to; [`crate::commitment`] says what each hashes.
///
/// Which of the two follows from the model: [`Scheme::Stored`] where at least one tensor is quantised. Numbers of 16 bits
/// give the results of the same numbers in f32, so that a model of such tensors has the root of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `salted-merkle-keccak256/1`: the values of tensors in f32, whatever they are stored in.
    Values,
    /// `salted-merkle-keccak256/2`: tensors as they are stored, with their types.
    Stored,
}

impl Scheme {
    /// Name and version.
    pub fn name(self) -> &'static str {
        match self {
            Self::Values => "salted-merkle-keccak256/1",
            Self::Stored => "salted-merkle-keccak256/2",
        }
    }

    /// The scheme with that name and version.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Values, Self::Stored]
            .into_iter()
            .find(|scheme| scheme.name() == name)
    }
}
