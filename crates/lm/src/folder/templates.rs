//! The chat template of a folder.

use serde_json::Value;

use super::files::{self, ModelFiles};
use crate::chat::ChatTemplate;
use crate::error::{Error, Result};

const FILE: &str = "chat_template.jinja";
const CONFIG: &str = "tokenizer_config.json";

/// The template of `chat_template.jinja`, else that of `tokenizer_config.json`; of several named ones `default`.
pub(super) fn read(files: &dyn ModelFiles) -> Result<Option<ChatTemplate>> {
    if let Some(bytes) = files::optional(files, FILE)? {
        let text = String::from_utf8(bytes).map_err(|_| Error::file(FILE, "is not UTF-8"))?;
        return parse(&text, FILE);
    }
    let Some(config) = files::optional_object(files, CONFIG)? else {
        return Ok(None);
    };
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => parse(text, CONFIG),
        Some(Value::Array(named)) => parse(default(named)?, CONFIG),
        Some(_) => Err(Error::file(
            CONFIG,
            "key `chat_template` is neither a text nor a list of named texts",
        )),
    }
}

fn parse(text: &str, file: &str) -> Result<Option<ChatTemplate>> {
    if text.is_empty() {
        return Ok(None);
    }
    ChatTemplate::parse(text).map(Some).map_err(|error| {
        Error::file(
            file,
            format!("cannot be used, mend it or take the template out: {error}"),
        )
    })
}

/// The template named `default`, or the only one.
fn default(named: &[Value]) -> Result<&str> {
    let chosen = named
        .iter()
        .find(|one| one["name"] == "default")
        .or_else(|| named.first().filter(|_| named.len() == 1));
    chosen.and_then(|one| one["template"].as_str()).ok_or_else(|| {
        let names: Vec<String> = named.iter().map(|one| one["name"].to_string()).collect();
        let problem = format!(
            "key `chat_template` has no template named `default` among [{}]",
            names.join(", ")
        );
        Error::file(CONFIG, problem)
    })
}
