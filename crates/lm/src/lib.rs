//! Language models on the CPU: kernels, training, generation and evaluation of GPT-2 and of the Llama family.
//!
//! Everything here is synchronous and deterministic. Bytes come in and bytes go out: there is no file, network, clock
//! or unseeded randomness, and the same inputs give the same bits for any number of threads. The rules that make it
//! so are written down in `src/kernels/mod.rs`.
//!
//! The way through the crate: a [`Tokenizer`] is trained or imported, a [`Model`] is made or imported, both together
//! are a [`Bundle`]; a [`Trainer`] trains, [`generate`] writes, [`evaluate()`] scores, and [`OrderTwoModel`],
//! [`gzip_bits_per_byte`] and the bootstrap of [`bootstrap_bits_per_byte`] and [`paired_difference`] say what a score
//! is worth.

mod arithmetic;
mod baseline;
mod bundle;
mod chat;
mod config;
mod data;
mod describe;
mod error;
mod evaluate;
mod folder;
mod generate;
mod generation_defaults;
mod gguf;
mod import;
mod kernels;
mod layout;
mod limits;
mod model;
mod network;
mod random;
mod sampling;
mod statistics;
mod tensor_file;
mod tensor_type;
mod threads;
mod tokenizer;
mod train;
mod weights;
mod workload;

pub use arithmetic::Arithmetic;
pub use baseline::{OrderTwoModel, gzip_bits_per_byte};
pub use bundle::{Bundle, BundleExtras, BundleHeader, HeaderRead};
pub use chat::{ChatOptions, ChatTemplate, Date, Message, Role};
pub use config::{AttentionBias, Config, Family, Rotary, RotaryScaling};
pub use data::{TrainingData, check_text};
pub use error::{Error, ErrorClass, Result};
pub use evaluate::{EvaluateOptions, Evaluation, Segment, evaluate};
pub use folder::{ModelFiles, describe_folder, import_folder, import_folder_model, join_shards};
pub use generate::{Finish, Generation, check_context, generate};
pub use generation_defaults::GenerationDefaults;
pub use gguf::{
    GgufArray, GgufFile, GgufMetadata, GgufModel, GgufParameter, GgufTensor, GgufTokenizer, GgufValue,
    describe_gguf, import_gguf, import_gguf_model, import_gguf_stream,
};
pub use kernels::bf16::Bf16Set;
pub use kernels::instructions::InstructionSet;
pub use limits::{evaluation_bytes, inference_bytes, training_bytes};
pub use model::{Model, Tensor};
pub use sampling::{Sampling, likeliest};
pub use statistics::{Interval, PairedDifference, bootstrap_bits_per_byte, paired_difference};
pub use tensor_type::TensorType;
pub use tokenizer::{SpecialTokens, StreamDecoder, Tokenizer};
pub use train::{StepReport, TrainOptions, Trainer};
pub use workload::{Decoder, LossMeter, bf16_product};

/// Name of the numerics: two engines of the same version give the same bits.
///
/// A change that moves any bit of a training, a generation or an evaluation comes with a new version; the tests pin
/// digests of each.
pub fn engine_version() -> &'static str {
    "posthuman-lm/2"
}
