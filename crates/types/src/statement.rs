//! What a worker states about its own run.

use serde::{Deserialize, Serialize};

use crate::{Commitment, Digest, InputManifest, Operation};

/// `statement.json`: what was run on what and what came out. No price, no time, no signature: the node adds those.
///
/// A statement is a pure function of the job's directory and the sealed weights, so a second run anywhere gives an
/// equal one. `proofs` compares two statements and names the first field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Version of this format: 1.
    pub version: u16,
    /// What was done.
    pub operation: Operation,
    /// Name and version of the engine's numerics.
    pub engine: String,
    /// Commitment to the weights that went in; absent for a model made from scratch.
    pub commitment_in: Option<Commitment>,
    /// Commitment to the weights that came out; only of a training.
    pub commitment_out: Option<Commitment>,
    /// Digest of the `tokenizer.json` in use.
    pub tokenizer: Digest,
    /// Digest of the input manifest.
    pub input: Digest,
    /// Parameters in canonical text, as they were signed.
    pub parameters: String,
    /// The seed among the parameters.
    pub seed: u64,
    /// The files under `outputs/`.
    pub outputs: InputManifest,
    /// What was used up.
    pub usage: Usage,
}

/// Tokens that a job worked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read in training steps.
    pub trained_tokens: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Tokens scored.
    pub scored_tokens: u64,
}

impl Usage {
    /// What counts against the allowance of an order of that operation.
    pub fn counted(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Train => self.trained_tokens,
            Operation::Infer => self.prompt_tokens + self.generated_tokens,
            Operation::Evaluate => self.scored_tokens,
        }
    }
}
