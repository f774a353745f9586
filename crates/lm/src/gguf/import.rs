//! A bundle out of a GGUF file.

use std::io::Read;

use super::GgufFile;
use super::model::{GgufModel, ROPE_TABLE};
use super::stream::{self, Head, Streamed};
use crate::bundle::{Bundle, BundleExtras, BundleHeader};
use crate::chat::ChatTemplate;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::import::{Described, assemble, stored_kinds};
use crate::model::Model;
use crate::tokenizer::{SpecialTokens, Tokenizer};

/// Makes a bundle of a GGUF file: its model in the file's own types, its tokenizer, the tokens that begin and end a text,
/// and its chat template.
///
/// # Errors
/// A file that is damaged or asks for what is not supported, by the tensor or the key at fault.
pub fn import_gguf(bytes: &[u8]) -> Result<Bundle> {
    import_gguf_stream(&mut &*bytes, bytes.len() as u64)
}

/// As [`import_gguf`], of a file of `length` bytes that comes as a stream, of which what follows the last tensor may be
/// left unread. Beside the model no more is held than the head of the file and its largest tensor; of a GPT-2 with a head
/// of its own, all up to that.
///
/// # Errors
/// As [`import_gguf`]; [`Error::FileAccess`] for a stream that breaks off.
pub fn import_gguf_stream(from: &mut dyn Read, length: u64) -> Result<Bundle> {
    let head = stream::head(from, length)?;
    let file = head.file()?;
    // A tokenizer is refused sooner than a model is read.
    let (tokenizer, chat_template) = tokenizer(&file)?;
    let model = model(&file, &head, from)?;
    Bundle::new(model, tokenizer)?.with_extras(BundleExtras {
        chat_template,
        generation: None,
    })
}

/// What [`import_gguf`] would make of a file, without the weights: their names, shapes and types are read, and no value.
///
/// # Errors
/// As [`import_gguf`], for all but values.
pub fn describe_gguf(bytes: &[u8]) -> Result<BundleHeader> {
    let file = GgufFile::read(bytes)?;
    let model = file.model()?;
    let config = model.checked_config()?;
    let (tokenizer, chat_template) = tokenizer(&file)?;
    let kinds = stored_kinds(&config, &described(&model))?;
    Ok(BundleHeader {
        config,
        tokenizer,
        extras: BundleExtras {
            chat_template,
            generation: None,
        },
        kinds,
    })
}

/// The model of a GGUF file alone, without its tokenizer.
///
/// # Errors
/// As [`import_gguf`], for the tensors and the keys that describe them.
pub fn import_gguf_model(bytes: &[u8]) -> Result<Model> {
    let from = &mut &*bytes;
    let head = stream::head(from, bytes.len() as u64)?;
    model(&head.file()?, &head, from)
}

pub(super) fn model(file: &GgufFile<'_>, head: &Head, from: &mut dyn Read) -> Result<Model> {
    let model = file.model()?;
    let config = model.checked_config()?;
    let table = model.table(file);
    let streamed = Streamed::new(model, head, from, table);
    let made = assemble(config, &streamed)?.with_equal_head_tied();
    let Some(table) = streamed.table()? else {
        return Ok(made);
    };
    let scaled = file.with_data(ROPE_TABLE, &table).model()?.checked_config()?;
    Ok(made.with_rotary(scaled.rotary))
}

fn tokenizer(file: &GgufFile<'_>) -> Result<(Tokenizer, Option<ChatTemplate>)> {
    let found = file.tokenizer()?;
    let special = SpecialTokens {
        adds_bos: found.add_bos,
        bos: found.bos,
        eos: found.eos.into_iter().chain(found.end_of_turn).collect(),
    };
    let tokenizer = Tokenizer::from_json(&found.json)?.with_special_tokens(special)?;
    let template = found
        .chat_template
        .as_deref()
        .map(ChatTemplate::parse)
        .transpose()?;
    Ok((tokenizer, template))
}

/// The parameters of a model, by their names in a Hugging Face folder.
pub(super) fn described<'a>(model: &'a GgufModel<'_>) -> Vec<Described<'a>> {
    let parameters = model.parameters().iter();
    parameters
        .map(|parameter| Described {
            name: parameter.name(),
            shape: parameter.shape(),
            kind: Ok(parameter.kind()),
            order: parameter.stored().place().start,
        })
        .collect()
}
