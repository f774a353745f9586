//! Model folders in Hugging Face's form, read through the caller's access to files.
//!
//! | file | what is made of it |
//! | --- | --- |
//! | `config.json` | the shape |
//! | `model.safetensors`, or `model.safetensors.index.json` and its shards | the weights, one tensor at a time |
//! | `tokenizer.json`, or `vocab.json` and `merges.txt` | the tokenizer |
//! | `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` | which token begins and ends a text |
//! | `chat_template.jinja`, or `chat_template` in `tokenizer_config.json` | the chat template |
//! | `generation_config.json` | how text is generated where nothing else is asked for |

mod files;
mod join;
mod legacy;
mod shards;
mod special;
mod templates;

pub use files::ModelFiles;
pub use join::join_shards;
pub(crate) use shards::{InMemory, Shards, TensorSource};

use crate::bundle::{Bundle, BundleExtras, BundleHeader};
use crate::config::Config;
use crate::error::Result;
use crate::generation_defaults::GenerationDefaults;
use crate::import;
use crate::model::Model;
use crate::tokenizer::Tokenizer;

/// Most bytes of a text file of a folder; tokenizers of 256,000 tokens have 35 MB.
const MAXIMUM_TEXT: u64 = 1 << 27;

/// Makes a bundle of a folder. Weights may be f32, f16 or bf16, in one file or in shards; they stay in their types and are
/// read one tensor at a time, so that beside the model no more than its largest tensor is held.
///
/// # Errors
/// What is wrong, by the file, the key or the tensor at fault. Pickled weights are refused: they are programs.
pub fn import_folder(files: &dyn ModelFiles) -> Result<Bundle> {
    let (config, tokenizer, extras) = read_texts(files)?;
    let model = import::model_of(config, &Shards::open(files)?)?;
    Bundle::new(model, tokenizer)?.with_extras(extras)
}

/// What [`import_folder`] would make of a folder, without the weights: their names, shapes and types are read, and no
/// value.
///
/// # Errors
/// As [`import_folder`], for all but values.
pub fn describe_folder(files: &dyn ModelFiles) -> Result<BundleHeader> {
    let (config, tokenizer, extras) = read_texts(files)?;
    let kinds = import::kinds_of(&config, &Shards::open(files)?)?;
    Ok(BundleHeader {
        config,
        tokenizer,
        extras,
        kinds,
    })
}

/// All that a folder says beside the weights.
fn read_texts(files: &dyn ModelFiles) -> Result<(Config, Tokenizer, BundleExtras)> {
    let config_json = files::required(files, "config.json")?;
    let config = Config::from_json(&config_json)?;
    let tokenizer = read_tokenizer(files, &config_json)?;
    let chat_template = templates::read(files)?;
    let generation = files::optional(files, "generation_config.json")?
        .map(|json| GenerationDefaults::from_generation_config(&json))
        .transpose()?
        .filter(|defaults| !defaults.is_empty());
    let extras = BundleExtras {
        chat_template,
        generation,
    };
    Ok((config, tokenizer, extras))
}

/// The model of a folder alone, without tokenizer and templates, which need not be there.
///
/// # Errors
/// As [`import_folder`], for `config.json` and the weights.
pub fn import_folder_model(files: &dyn ModelFiles) -> Result<Model> {
    let config = Config::from_json(&files::required(files, "config.json")?)?;
    import::model_of(config, &Shards::open(files)?)
}

/// The tokenizer of a folder, with the tokens that begin and end a text as the folder's files say.
pub(crate) fn read_tokenizer(files: &dyn ModelFiles, config_json: &[u8]) -> Result<Tokenizer> {
    let tokenizer = match files::optional(files, "tokenizer.json")? {
        Some(json) => Tokenizer::from_json(&json)?,
        None => legacy::read(files, config_json)?,
    };
    let special = special::read(files, config_json, &tokenizer)?;
    tokenizer.with_special_tokens(special)
}
