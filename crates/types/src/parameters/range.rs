//! The ranges in which parameters mean something.

use alloy_primitives::U256;

use super::{InferParameters, Parameters, ParametersError, Publication, TrainParameters};
use crate::Amount;

impl Parameters {
    /// Checks every number against the range in which it means something, independent of any model.
    ///
    /// # Errors
    /// The first parameter out of its range, by name.
    pub fn check(&self) -> Result<(), ParametersError> {
        match self {
            Self::Train(train) => check_train(train),
            Self::Infer(infer) => check_infer(infer),
            Self::Evaluate(evaluate) => {
                let samples = evaluate.bootstrap_samples;
                expect(
                    "bootstrap_samples",
                    samples,
                    (100..=100_000).contains(&samples),
                    "between 100 and 100000",
                )
            }
        }
    }
}

impl Publication {
    /// The lowest price: the exchange refuses a lower rate.
    pub const LEAST_PRICE: Amount = Amount(U256::from_limbs([10_000_000_000, 0, 0, 0]));

    /// Checks that listing and exchange will take it: what they refuse later would be found out after the work.
    ///
    /// # Errors
    /// The first field out of its range, by name.
    pub fn check(&self) -> Result<(), ParametersError> {
        let expected = "one line of 1 to 100 bytes, not blank";
        check_line("name", &self.name, 100, expected)?;
        expect("name", "blank", !self.name.trim().is_empty(), expected)?;
        for (field, text) in [("author", &self.author), ("license", &self.license)] {
            check_line(field, text, 256, "one line of at most 256 bytes")?;
        }
        check_text(
            "description",
            &self.description,
            4_000,
            &['\n', '\t'],
            "at most 4000 bytes without control characters but line feeds and tabs",
        )?;
        if let Some(price) = self.price {
            expect(
                "price",
                price,
                price >= Self::LEAST_PRICE,
                "at least 10000000000 base units of the market's token",
            )?;
        }
        let share = self.parent_share_bps.unwrap_or_default();
        expect(
            "parent_share_bps",
            share,
            share <= 9_000,
            "between 0 and 9000 (90 %)",
        )
    }
}

fn check_line(
    field: &'static str,
    text: &str,
    most: usize,
    expected: &'static str,
) -> Result<(), ParametersError> {
    check_text(field, text, most, &[], expected)
}

/// Checks a text that people read: its length in bytes, and that it holds no control characters or separators of lines
/// but those `allowed`.
fn check_text(
    field: &'static str,
    text: &str,
    most: usize,
    allowed: &[char],
    expected: &'static str,
) -> Result<(), ParametersError> {
    let length = text.len();
    expect(field, format!("{length} bytes long"), length <= most, expected)?;
    let strange = text.chars().find(|character| {
        (character.is_control() || matches!(character, '\u{2028}' | '\u{2029}'))
            && !allowed.contains(character)
    });
    let found = strange.map_or(String::new(), |character| {
        format!("a text with U+{:04X}", u32::from(character))
    });
    expect(field, found, strange.is_none(), expected)
}

fn check_train(train: &TrainParameters) -> Result<(), ParametersError> {
    train.publication.check()?;
    for (field, count) in [
        ("steps", train.steps),
        ("batch", train.batch),
        ("accumulate", train.accumulate),
    ] {
        expect(
            field,
            count,
            (1..=1_000_000).contains(&count),
            "between 1 and 1000000",
        )?;
    }
    expect(
        "sequence",
        train.sequence,
        (1..=65_536).contains(&train.sequence),
        "between 1 and 65536",
    )?;
    let rate = train.learning_rate;
    expect(
        "learning_rate",
        rate,
        rate > 0.0 && rate <= 1.0,
        "above 0 and at most 1",
    )?;
    let least = train.minimum_learning_rate;
    expect(
        "minimum_learning_rate",
        least,
        (0.0..=rate).contains(&least),
        "between 0 and the learning rate",
    )?;
    expect(
        "weight_decay",
        train.weight_decay,
        (0.0..=1.0).contains(&train.weight_decay),
        "between 0 and 1",
    )?;
    expect(
        "beta1",
        train.beta1,
        (0.0..1.0).contains(&train.beta1),
        "at least 0 and below 1",
    )?;
    expect(
        "beta2",
        train.beta2,
        (0.0..1.0).contains(&train.beta2),
        "at least 0 and below 1",
    )?;
    expect(
        "clip",
        train.clip,
        train.clip > 0.0 && train.clip.is_finite(),
        "above 0",
    )
}

fn check_infer(infer: &InferParameters) -> Result<(), ParametersError> {
    let tokens = infer.maximum_tokens;
    expect(
        "maximum_tokens",
        tokens,
        (1..=65_536).contains(&tokens),
        "between 1 and 65536",
    )?;
    let temperature = infer.temperature;
    expect(
        "temperature",
        temperature,
        (0.0..=100.0).contains(&temperature),
        "between 0 and 100",
    )?;
    expect(
        "top_p",
        infer.top_p,
        infer.top_p > 0.0 && infer.top_p <= 1.0,
        "above 0 and at most 1",
    )?;
    let stops = infer.stop.len();
    expect("stop", format!("{stops} texts"), stops <= 16, "at most 16 texts")?;
    let fit = infer
        .stop
        .iter()
        .all(|text| !text.is_empty() && text.len() <= 256);
    expect("stop", "a text of another length", fit, "texts of 1 to 256 bytes")
}

fn expect(
    name: &'static str,
    value: impl ToString,
    holds: bool,
    expected: &'static str,
) -> Result<(), ParametersError> {
    if holds {
        Ok(())
    } else {
        Err(ParametersError::Range {
            name,
            value: value.to_string(),
            expected,
        })
    }
}
