//! Two accounts of one thing, and what differs between them in plain words.

use std::collections::BTreeSet;
use std::fmt;

use posthuman_types::{Commitment, ErrorClass, InputManifest, Statement, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Compares two statements of the same job: equal, or every field that differs.
///
/// # Errors
/// [`Differences`]; of the outputs it names the file, of the parameters the parameter.
pub fn compare(first: &Statement, second: &Statement) -> Result<(), Differences> {
    let mut differences = Differences::between("statements");
    differences.field("the version of the format", first.version, second.version);
    differences.field("the operation", first.operation, second.operation);
    differences.field("the engine", &first.engine, &second.engine);
    differences.commitment(
        "the weights that went in",
        first.commitment_in.as_ref(),
        second.commitment_in.as_ref(),
    );
    differences.commitment(
        "the weights that came out",
        first.commitment_out.as_ref(),
        second.commitment_out.as_ref(),
    );
    differences.field("the tokenizer", first.tokenizer, second.tokenizer);
    differences.field("the input", first.input, second.input);
    differences.parameters(&first.parameters, &second.parameters);
    differences.field("the seed", first.seed, second.seed);
    differences.outputs(&first.outputs, &second.outputs);
    differences.usage(&first.usage, &second.usage);
    differences.into_result()
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is, in words: `the weights that came out`, `the output `text.txt``.
    pub what: String,
    /// What the first account says.
    pub first: String,
    /// What the second account says.
    pub second: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} against {}", self.what, self.first, self.second)
    }
}

/// Everything that differs between two accounts; never empty as an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    between: String,
    items: Vec<Difference>,
}

impl std::error::Error for Differences {}

impl fmt::Display for Differences {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.items.iter().map(Difference::to_string).collect();
        write!(formatter, "the {} differ: {}", self.between, items.join("; "))
    }
}

impl Differences {
    /// Something that does not hold is its bringer's to mend.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }

    /// The single differences, in the order of the fields.
    pub fn items(&self) -> &[Difference] {
        &self.items
    }

    /// Begins a comparison. `between` completes the sentence "the … differ".
    pub(crate) fn between(between: &str) -> Self {
        Self {
            between: between.to_owned(),
            items: Vec::new(),
        }
    }

    /// Ends it.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.items.is_empty() { Ok(()) } else { Err(self) }
    }

    pub(crate) fn field<T: PartialEq + fmt::Display>(&mut self, what: &str, first: T, second: T) {
        if first != second {
            self.add(what.to_owned(), first.to_string(), second.to_string());
        }
    }

    /// As [`Self::field`], of a fact that may be unknown.
    pub(crate) fn expected<T: PartialEq + fmt::Display>(
        &mut self,
        what: &str,
        found: T,
        expected: Option<T>,
    ) {
        if let Some(expected) = expected {
            self.field(what, found, expected);
        }
    }

    pub(crate) fn commitment(&mut self, what: &str, first: Option<&Commitment>, second: Option<&Commitment>) {
        if first != second {
            self.add(what.to_owned(), name(first), name(second));
        }
    }

    pub(crate) fn parameters(&mut self, first: &str, second: &str) {
        if first == second {
            return;
        }
        let before = self.items.len();
        if let (Ok(Value::Object(first)), Ok(Value::Object(second))) =
            (serde_json::from_str(first), serde_json::from_str(second))
        {
            self.objects("", &first, &second);
        }
        if self.items.len() == before {
            // Equal in meaning or not JSON: the texts themselves are what is signed.
            self.add(
                "the text of the parameters".to_owned(),
                quoted(first),
                quoted(second),
            );
        }
    }

    fn objects(&mut self, path: &str, first: &Map<String, Value>, second: &Map<String, Value>) {
        let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
        for key in keys {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match (first.get(key), second.get(key)) {
                (Some(Value::Object(first)), Some(Value::Object(second))) => {
                    self.objects(&path, first, second)
                }
                (first, second) if first != second => {
                    let say = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
                    self.add(format!("the parameter `{path}`"), say(first), say(second));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn usage(&mut self, first: &Usage, second: &Usage) {
        for (what, first, second) in [
            (
                "the number of trained tokens",
                first.trained_tokens,
                second.trained_tokens,
            ),
            (
                "the number of prompt tokens",
                first.prompt_tokens,
                second.prompt_tokens,
            ),
            (
                "the number of generated tokens",
                first.generated_tokens,
                second.generated_tokens,
            ),
            (
                "the number of scored tokens",
                first.scored_tokens,
                second.scored_tokens,
            ),
        ] {
            self.field(what, first, second);
        }
    }

    fn outputs(&mut self, first: &InputManifest, second: &InputManifest) {
        let files = first.inputs().iter().chain(second.inputs());
        let names: BTreeSet<&str> = files.map(|file| file.name.as_str()).collect();
        let mut same = true;
        for name in names {
            let (one, two) = (first.get(name), second.get(name));
            if one != two {
                let say = |file: Option<&posthuman_types::Input>| {
                    file.map_or("no such file".to_owned(), |file| {
                        format!("{} ({} bytes)", file.digest, file.bytes)
                    })
                };
                self.add(format!("the output `{name}`"), say(one), say(two));
                same = false;
            }
        }
        if same {
            // A manifest that repeats a name agrees name by name and still has another digest.
            self.field("the list of outputs", first.digest(), second.digest());
        }
    }

    fn add(&mut self, what: String, first: String, second: String) {
        self.items.push(Difference { what, first, second });
    }
}

fn name(commitment: Option<&Commitment>) -> String {
    commitment.map_or("none".to_owned(), |commitment| {
        format!("{} ({})", commitment.root, commitment.scheme)
    })
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}
