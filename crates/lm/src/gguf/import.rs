//! A bundle out of a GGUF file.

use super::GgufFile;
use super::model::GgufModel;
use crate::bundle::{Bundle, BundleExtras, BundleHeader};
use crate::chat::ChatTemplate;
use crate::error::Result;
use crate::import::{Described, NamedTensors, assemble, stored_kinds};
use crate::model::Model;
use crate::tokenizer::{SpecialTokens, Tokenizer};

/// Makes a bundle of a GGUF file: its model in the file's own types, its tokenizer, the tokens that begin and end a text,
/// and its chat template.
///
/// # Errors
/// A file that is damaged or asks for what is not supported, by the tensor or the key at fault.
pub fn import_gguf(bytes: &[u8]) -> Result<Bundle> {
    let file = GgufFile::read(bytes)?;
    // A tokenizer is refused sooner than a model is read.
    let (tokenizer, chat_template) = tokenizer(&file)?;
    let model = model(&file)?;
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
    let kinds = stored_kinds(&config, &model)?;
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
    model(&GgufFile::read(bytes)?)
}

fn model(file: &GgufFile<'_>) -> Result<Model> {
    let model = file.model()?;
    let config = model.checked_config()?;
    assemble(config, &model)
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

impl NamedTensors for GgufModel<'_> {
    fn described(&self) -> Vec<Described<'_>> {
        let parameters = self.parameters().iter();
        parameters
            .map(|parameter| Described {
                name: parameter.name(),
                shape: parameter.shape(),
                kind: Ok(parameter.kind()),
            })
            .collect()
    }

    fn values(&self, index: usize, target: &mut [f32]) -> Result<()> {
        self.parameters()[index].dequantise(target)
    }

    fn blocks(&self, index: usize, output: usize, target: &mut [u8]) -> Result<()> {
        self.parameters()[index].output_blocks(output, target);
        Ok(())
    }
}
