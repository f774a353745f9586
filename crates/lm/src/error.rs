//! What can go wrong, as sentences.

pub use posthuman_types::ErrorClass;

/// The result of a call into the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the engine refused or stopped. `Display` says what, where and what to do; a cause stays in `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `config.json` of no model that this engine runs.
    #[error("config.json: key `{key}` {problem}")]
    Config {
        /// The key at fault.
        key: String,
        /// What is wrong with it and what would be accepted.
        problem: String,
    },
    /// A JSON text that does not parse.
    #[error("{what} is not valid JSON of the expected shape")]
    Json {
        /// Which text.
        what: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A tensor that is missing, unknown, of the wrong shape or type, or holds values that are not finite.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of tensors that cannot be read at all.
    #[error(
        "the tensor file cannot be read as safetensors: save the model again with `safetensors`; pickles are not accepted"
    )]
    TensorFile {
        /// What the reader says.
        source: safetensors::SafeTensorError,
    },
    /// A GGUF file that is not one, is damaged or is of a version that is not read.
    #[error("the GGUF file {problem}")]
    Gguf {
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A metadata key of a GGUF file that is missing, damaged or asks for what is not supported.
    #[error("GGUF metadata: key `{key}` {problem}")]
    GgufKey {
        /// The key at fault.
        key: String,
        /// What is wrong with it and what would be accepted.
        problem: String,
    },
    /// A file of a model folder that is missing, damaged or not what its name says.
    #[error("file `{name}` {problem}")]
    File {
        /// Its name.
        name: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A file of a model folder that could not be read.
    #[error("file `{name}` cannot be read")]
    FileAccess {
        /// Its name.
        name: String,
        /// What its owner says.
        source: std::io::Error,
    },
    /// A chat template that cannot be parsed or rendered.
    #[error("the chat template {problem}")]
    ChatTemplate {
        /// What is wrong, with the line where it is known.
        problem: String,
    },
    /// A model bundle that is not one, or is damaged.
    #[error("the model bundle {problem}")]
    Bundle {
        /// What is wrong with it.
        problem: String,
    },
    /// A model bundle that its owner could not be read from or written to.
    #[error("the model bundle could not be read or written")]
    BundleAccess {
        /// What reader or writer say.
        source: std::io::Error,
    },
    /// A tokenizer that cannot be trained or used.
    #[error("the tokenizer {problem}")]
    Tokenizer {
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer library failed.
    #[error("the tokenizer failed to {action}")]
    TokenizerLibrary {
        /// What it was asked to do.
        action: &'static str,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text that cannot be trained on, continued or scored.
    #[error("the text {problem}")]
    Text {
        /// What is wrong with it.
        problem: String,
    },
    /// An option out of its range.
    #[error("option `{name}` {problem}")]
    Options {
        /// Its name.
        name: &'static str,
        /// What is wrong with it and what would be accepted.
        problem: String,
    },
    /// A prompt that leaves no room for what was asked.
    #[error(
        "the prompt has {prompt} tokens and {maximum} more were asked for, but the model's context holds {context}: shorten the prompt or ask for fewer tokens"
    )]
    ContextOverflow {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens asked for.
        maximum: usize,
        /// Tokens that the model can see.
        context: usize,
    },
    /// A training that ran away.
    #[error(
        "the {what} is not finite at step {step}: the training ran away; lower the learning rate, lengthen the warm-up or clip harder"
    )]
    NotFinite {
        /// Loss or gradient.
        what: &'static str,
        /// The step, counted from 1, that was not taken.
        step: u64,
    },
    /// A step asked of a training that has ended.
    #[error("the training has done all of its {steps} steps")]
    Finished {
        /// Steps of the training.
        steps: u64,
    },
    /// A checkpoint that cannot be resumed.
    #[error("the checkpoint {problem}")]
    Checkpoint {
        /// What is wrong with it.
        problem: String,
    },
    /// Something larger than the engine accepts.
    #[error("{what} is {size}, more than the {limit} that this engine accepts")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// Stopped because the caller asked for it.
    #[error("the {operation} was cancelled")]
    Cancelled {
        /// What was stopped.
        operation: &'static str,
    },
    /// The operating system gave no threads.
    #[error("no pool of {threads} threads could be started")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// What the pool says.
        source: rayon::ThreadPoolBuildError,
    },
    /// A fault of the engine itself.
    #[error("the engine is at fault: {problem}")]
    Bug {
        /// What it found.
        problem: String,
    },
}

impl Error {
    /// Who can mend it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Finished { .. } | Self::Cancelled { .. } => ErrorClass::Conflict,
            Self::Threads { .. } | Self::BundleAccess { .. } => ErrorClass::Unavailable,
            Self::Bug { .. } => ErrorClass::Bug,
            _ => ErrorClass::Caller,
        }
    }

    pub(crate) fn tensor(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Tensor {
            name: name.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn file(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::File {
            name: name.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn tokenizer(problem: impl Into<String>) -> Self {
        Self::Tokenizer {
            problem: problem.into(),
        }
    }

    pub(crate) fn chat_template(problem: impl Into<String>) -> Self {
        Self::ChatTemplate {
            problem: problem.into(),
        }
    }

    pub(crate) fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config {
            key: key.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn gguf(problem: impl Into<String>) -> Self {
        Self::Gguf {
            problem: problem.into(),
        }
    }

    pub(crate) fn gguf_key(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::GgufKey {
            key: key.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn text(problem: impl Into<String>) -> Self {
        Self::Text {
            problem: problem.into(),
        }
    }

    pub(crate) fn options(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Options {
            name,
            problem: problem.into(),
        }
    }
}
