//! What a model is, for people.

use posthuman_types::{ArchitectureFacts, MemoryNeeds, ModelDetails, SpecialToken, TokenizerFacts};

/// The shape in one line.
pub(crate) fn shape(facts: &ArchitectureFacts) -> String {
    format!(
        "{}, {} layers, {} heads, width {}, context {}, vocabulary {}, {} parameters, {}",
        facts.family,
        facts.layers,
        facts.heads,
        facts.width,
        facts.context,
        facts.vocabulary,
        facts.parameters,
        facts.precision
    )
}

/// Everything else that is known of it.
pub(crate) fn details(facts: &ArchitectureFacts, details: &ModelDetails) -> Vec<(&'static str, String)> {
    let attention = format!(
        "{} heads of queries, {} of keys and values, {} wide",
        facts.heads, details.key_value_heads, details.head_width
    );
    let chat = if details.chat_template {
        "yes: it can be talked to"
    } else {
        "no"
    };
    vec![
        ("attention", attention),
        ("MLP", format!("{} wide", details.inner_width)),
        ("weights", weights(details)),
        ("tokenizer", tokenizer(&details.tokenizer)),
        ("chat template", chat.to_owned()),
        ("memory", memory(&details.memory)),
    ]
}

/// The types of tensors with their share of the bytes.
fn weights(details: &ModelDetails) -> String {
    let total: u64 = details.tensors.iter().map(|share| share.bytes).sum();
    let shares: Vec<String> = details
        .tensors
        .iter()
        .map(|share| {
            let percent = 100.0 * share.bytes as f64 / total.max(1) as f64;
            format!("{} {percent:.1} %", share.kind)
        })
        .collect();
    format!("{} of {}", shares.join(", "), bytes(total))
}

fn tokenizer(facts: &TokenizerFacts) -> String {
    let mut text = format!("{}, {} tokens", facts.kind, facts.tokens);
    if let Some(begin) = &facts.begin {
        text.push_str(&format!("; begins a text with {}", token(begin)));
    }
    let ends: Vec<String> = facts.ends.iter().map(token).collect();
    if !ends.is_empty() {
        text.push_str(&format!("; ends one with {}", ends.join(" or ")));
    }
    text
}

/// A token's name is its author's: nothing of it may move the cursor of a terminal.
fn token(token: &SpecialToken) -> String {
    format!("{} ({})", token.text.escape_debug(), token.id)
}

fn memory(needs: &MemoryNeeds) -> String {
    format!(
        "inference {}, evaluation {}, training on {} x {} tokens at once {}",
        bytes(needs.inference),
        bytes(needs.evaluation),
        needs.training_batch,
        needs.training_sequence,
        bytes(needs.training)
    )
}

/// Bytes in the largest decimal unit that they fill.
fn bytes(count: u64) -> String {
    let count_of = |unit: f64| count as f64 / unit;
    match count {
        0..1_000_000 => format!("{:.1} kB", count_of(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count_of(1e6)),
        _ => format!("{:.2} GB", count_of(1e9)),
    }
}

#[cfg(test)]
mod tests {
    use posthuman_types::TensorShare;

    use super::*;

    #[test]
    fn details_read_as_sentences() {
        let share = |kind: &str, bytes| TensorShare {
            kind: kind.to_owned(),
            bytes,
        };
        let end = SpecialToken {
            id: 2,
            text: "<|im_end|>\u{1b}[2J".to_owned(),
        };
        let known = ModelDetails {
            key_value_heads: 3,
            head_width: 64,
            inner_width: 1536,
            tensors: vec![share("Q4_1", 75_000_000), share("F32", 25_000_000)],
            tokenizer: TokenizerFacts {
                kind: "byte-level BPE".to_owned(),
                tokens: 49_152,
                begin: None,
                ends: vec![end],
            },
            chat_template: true,
            memory: MemoryNeeds {
                inference: 250_000_000,
                evaluation: 999_999,
                training: 2_345_000_000,
                training_batch: 8,
                training_sequence: 128,
            },
        };
        let facts = ArchitectureFacts {
            family: "llama".to_owned(),
            layers: 30,
            heads: 9,
            width: 576,
            context: 8192,
            vocabulary: 49_152,
            parameters: 134_515_008,
            precision: "Q4_1".to_owned(),
            details: None,
        };
        assert!(shape(&facts).ends_with("134515008 parameters, Q4_1"));
        let lines: Vec<String> = details(&facts, &known)
            .into_iter()
            .map(|(_, line)| line)
            .collect();
        assert_eq!(
            lines,
            [
                "9 heads of queries, 3 of keys and values, 64 wide",
                "1536 wide",
                "Q4_1 75.0 %, F32 25.0 % of 100.0 MB",
                "byte-level BPE, 49152 tokens; ends one with <|im_end|>\\u{1b}[2J (2)",
                "yes: it can be talked to",
                "inference 250.0 MB, evaluation 1000.0 kB, training on 8 x 128 tokens at once 2.35 GB",
            ]
        );
    }
}
