//! What a worker is asked to do, and what can come of it.

use posthuman_types::{
    ArchitectureFacts, Commitment, Digest, Input, InputManifest, JobSpec, Limits, ObjectId, Operation,
};
use serde::{Deserialize, Serialize};

use crate::machine::FailureKind;

/// `job.json`: one of the three operations of the market, or one of the two that the node asks for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// A paid job.
    Job(JobSpec),
    /// Counting the tokens of an input, before anybody pays.
    Check(CheckSpec),
    /// Turning the files of a Hugging Face folder into a sealed model.
    Import(ImportSpec),
}

impl Task {
    /// The inputs it names.
    pub fn inputs(&self) -> &InputManifest {
        match self {
            Self::Job(job) => &job.inputs,
            Self::Check(check) => &check.inputs,
            Self::Import(import) => &import.inputs,
        }
    }

    /// The limits it runs under.
    pub fn limits(&self) -> &Limits {
        match self {
            Self::Job(job) => &job.limits,
            Self::Check(check) => &check.limits,
            Self::Import(import) => &import.limits,
        }
    }

    /// Whether it writes a sealed model.
    pub(crate) fn makes_a_model(&self) -> bool {
        match self {
            Self::Job(job) => job.operation == Operation::Train,
            Self::Check(_) => false,
            Self::Import(_) => true,
        }
    }

    /// The files it may leave under `outputs/`, exactly.
    pub(crate) fn output_names(&self) -> &'static [&'static str] {
        match self {
            Self::Job(job) => match job.operation {
                Operation::Train => &["metrics.json"],
                Operation::Infer => &["text.txt", "tokens.json"],
                Operation::Evaluate => &["evaluation.json"],
            },
            Self::Check(_) | Self::Import(_) => &[],
        }
    }
}

/// A question: would this job be accepted, and what would it count?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// The operation.
    pub operation: Operation,
    /// Its parameters in canonical text.
    pub parameters: String,
    /// The inputs, as for the job.
    pub inputs: InputManifest,
    /// The model's commitment; absent for the blank model. It is not checked here: only the job reads all weights.
    pub commitment: Option<Commitment>,
    /// Threads of the engine.
    pub threads: u16,
    /// Limits of the worker.
    pub limits: Limits,
}

/// A model that comes as files: `config.json` and `tokenizer.json` are inputs, `model.safetensors` is the sealed upload
/// that the launch names as its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// The files beside the weights: some of [`MODEL_FILES`](posthuman_types::api::MODEL_FILES).
    pub inputs: InputManifest,
    /// The sealed weights: [`WEIGHTS_FILE`](posthuman_types::api::WEIGHTS_FILE) or
    /// [`GGUF_FILE`](posthuman_types::api::GGUF_FILE).
    pub weights: Input,
    /// Limits of the worker.
    pub limits: Limits,
}

/// The answer to a [`CheckSpec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Tokens of the text or prompt.
    pub tokens: u64,
    /// Tokens of the held-out text; 0 without one.
    pub held_out_tokens: u64,
    /// Tokens that the job would count against the allowance: read in training, prompt plus most generated, or scored.
    pub counted: u64,
    /// Longest sequence of the model.
    pub context: u32,
    /// Whether token numbers are estimates: the blank model has no tokenizer before it is trained.
    pub estimated: bool,
    /// Why the job would be refused, if it would.
    pub refusal: Option<(RefusalCode, String)>,
}

/// What came of an [`ImportSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The sealed model, pending in the vault.
    pub object: ObjectId,
    /// Commitment to its weights.
    pub commitment: Commitment,
    /// Keccak-256 of its `tokenizer.json`.
    pub tokenizer: Digest,
    /// Keccak-256 of its `config.json` as it is sealed: the form in which the commitment binds it.
    pub config: Digest,
    /// Its shape, how its weights are stored, and what else its files tell.
    pub architecture: ArchitectureFacts,
    /// Digest of the manifest of the files that came, the weights among them.
    pub source: Digest,
}

/// [`Imported`] as the worker says it: the launcher adds the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportFacts {
    pub(crate) commitment: Commitment,
    pub(crate) tokenizer: Digest,
    pub(crate) config: Digest,
    pub(crate) architecture: ArchitectureFacts,
    pub(crate) source: Digest,
}

macro_rules! codes {
    ($(#[$documentation:meta])* $name:ident { $($(#[$variant_documentation:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_documentation])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every code. Each has a page in the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The public text form.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why a job is refused for what was asked. Its order stays open.
    RefusalCode {
        /// An input that the operation needs is not there, or one is there that it does not know.
        InputMissing = "text_missing",
        /// A text is empty or only white space.
        TextEmpty = "text_empty",
        /// A text holds bytes that no text has.
        TextBinary = "text_binary",
        /// A text is not UTF-8.
        TextNotUtf8 = "text_not_utf8",
        /// A text is larger than is accepted.
        TextTooLarge = "text_too_large",
        /// A text has fewer tokens than one training window, or too few to be scored.
        TextTooShort = "text_too_short",
        /// The job would take more tokens than the order allows.
        AllowanceExceeded = "allowance_exceeded",
        /// A sequence is longer than the model's context.
        ContextExceeded = "context_exceeded",
        /// The shape of the model is not possible, or one was given where the model has one already.
        ArchitectureUnsupported = "architecture_unsupported",
        /// A parameter is out of its range.
        ParametersInvalid = "parameters_invalid",
        /// The files of an imported model are not a model of the GPT-2 family.
        ModelInvalid = "model_invalid",
        /// The training left the weights as they were.
        UnchangedWeights = "unchanged_weights",
    }
}

codes! {
    /// Why a job failed, though what was asked was right. Its order stays open.
    FailureCode {
        /// The loss or the gradient stopped being a number.
        LossNotFinite = "loss_not_finite",
        /// The job needed more memory than it may have.
        OutOfMemory = "out_of_memory",
        /// The job needed more processor time than it may have.
        ProcessorTime = "processor_time_exceeded",
        /// The job took longer than it may.
        Deadline = "deadline_exceeded",
        /// The worker process ended without a word.
        Crashed = "worker_crashed",
        /// Sealed data could not be read whole, or are not those that were committed to.
        WeightsCorrupted = "weights_corrupted",
        /// An input is not the one that was described.
        InputCorrupted = "input_corrupted",
        /// No room was left on a disk.
        DiskFull = "disk_full",
        /// The worker left something under `outputs/` that does not belong there.
        OutputNotAllowed = "output_not_allowed",
        /// The worker said something that makes no sense.
        Protocol = "worker_protocol",
        /// The worker could not lock itself up.
        Sandbox = "sandbox_unavailable",
        /// Something of ours went wrong.
        Internal = "worker_internal",
    }
}

impl FailureCode {
    /// Whether another attempt makes sense.
    pub fn kind(self) -> FailureKind {
        match self {
            Self::Crashed => FailureKind::Crash,
            Self::Deadline | Self::DiskFull | Self::Sandbox => FailureKind::Retryable,
            _ => FailureKind::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_one_text_form() {
        for code in RefusalCode::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
        let mut texts: Vec<&str> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        texts.extend(RefusalCode::ALL.iter().map(|code| code.as_str()));
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }
}
