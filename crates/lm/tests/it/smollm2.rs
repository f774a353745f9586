//! SmolLM2-135M-Instruct in Q4_1 against llama.cpp: what `tests/fixtures/make_smollm2_fixture.py` wrote down.

use posthuman_lm::{Decoder, Model, Tokenizer, import_gguf};
use serde_json::Value;

const FIXTURE: &str = include_str!("../fixtures/smollm2.json");
const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/models/SmolLM2-135M-Instruct.Q4_1.gguf"
);

/// In f32 both sum the same products in other orders.
const F32_TOLERANCE: f32 = 1e-4;
/// Quantised activations are rounded to 8 bits: a difference in the last digit of a sum moves one by a whole step now and
/// then, and thirty layers enlarge it. llama.cpp differs from itself by as much when it reads the same tokens at once or one
/// by one (`own_difference` of the fixture).
const OWN_DIFFERENCES: f32 = 0.8;

struct Run {
    prompts: Vec<Prompt>,
}

struct Prompt {
    text: String,
    tokens: Vec<u32>,
    logits: Vec<(usize, f32)>,
    written: Vec<u32>,
    margins: Vec<f32>,
}

fn fixture() -> Value {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    assert_eq!(
        fixture["format"], "posthuman-smollm2-fixture/1",
        "the fixture is of another version: make it again"
    );
    fixture
}

fn run(precision: &str) -> Run {
    let fixture = fixture();
    let runs = fixture["runs"].as_array().unwrap();
    let run = runs.iter().find(|run| run["precision"] == precision).unwrap();
    let prompts = run["prompts"].as_array().unwrap().iter().map(|prompt| Prompt {
        text: prompt["text"].as_str().unwrap().to_owned(),
        tokens: serde_json::from_value(prompt["tokens"].clone()).unwrap(),
        logits: serde_json::from_value(prompt["logits"].clone()).unwrap(),
        written: serde_json::from_value(prompt["written"].clone()).unwrap(),
        margins: serde_json::from_value(prompt["margins"].clone()).unwrap(),
    });
    Run {
        prompts: prompts.collect(),
    }
}

fn model() -> (Model, Tokenizer) {
    let bytes = std::fs::read(FILE)
        .unwrap_or_else(|error| panic!("{FILE} cannot be read ({error}): `make models` fetches it"));
    import_gguf(&bytes).unwrap().into_parts()
}

/// What we write after a prompt, token after token as long as llama.cpp would have written the same.
struct Written {
    /// Largest difference of the ten largest logits after the prompt.
    difference: f32,
    /// Where the first other token came, and by how much its logit was larger than that of llama.cpp's.
    other: Option<(usize, f32)>,
}

fn write(model: &Model, prompt: &Prompt) -> Written {
    let capacity = prompt.tokens.len() + prompt.written.len();
    let mut decoder = Decoder::new(model, capacity, 2).unwrap();
    let mut logits = decoder.read(&prompt.tokens).unwrap();
    let differences = prompt
        .logits
        .iter()
        .map(|&(token, logit)| (logits[token] - logit).abs());
    let difference = differences.fold(0.0, f32::max);
    for (index, &token) in prompt.written.iter().enumerate() {
        let ours = largest(&logits);
        if ours != token as usize {
            let ahead = logits[ours] - logits[token as usize];
            return Written {
                difference,
                other: Some((index, ahead)),
            };
        }
        logits = decoder.read(&[token]).unwrap();
    }
    Written {
        difference,
        other: None,
    }
}

fn largest(logits: &[f32]) -> usize {
    let pairs = logits.iter().enumerate();
    pairs
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map_or(0, |(index, _)| index)
}

/// Every logit within the tolerance, and every first other token a tie within it on both sides.
fn compare(model: &Model, precision: &str, tolerance: f32) -> usize {
    let mut same = 0;
    for prompt in run(precision).prompts {
        let Written { difference, other } = write(model, &prompt);
        assert!(difference <= tolerance, "{:?}: {difference}", prompt.text);
        match other {
            None => same += 1,
            Some((index, ahead)) => {
                let margin = prompt.margins[index];
                assert!(
                    ahead <= tolerance && margin <= tolerance,
                    "{:?}, token {index}: ours is ahead by {ahead}, llama.cpp's by {margin}",
                    prompt.text
                );
            }
        }
    }
    same
}

#[test]
fn tokens_logits_and_texts_are_those_of_llama_cpp() {
    let (model, tokenizer) = model();
    for prompt in run("native").prompts {
        // In a text special tokens are no tokens here: they are the chat template's alone.
        if !prompt.text.contains("<|") {
            assert_eq!(
                tokenizer.encode(&prompt.text).unwrap(),
                prompt.tokens,
                "{:?}",
                prompt.text
            );
        }
    }
    let own = fixture()["own_difference"].as_f64().unwrap() as f32;
    let same = compare(&model, "native", OWN_DIFFERENCES * own);
    assert_eq!(same, 3, "texts that are the same to their 200th token");
    let same = compare(&model.into_f32(), "f32", F32_TOLERANCE);
    assert_eq!(same, 20, "texts that are the same in f32");
}
