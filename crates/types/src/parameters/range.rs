//! The ranges in which parameters mean something.

use super::{InferParameters, Parameters, ParametersError, TrainParameters};

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

fn check_train(train: &TrainParameters) -> Result<(), ParametersError> {
    let publication = &train.publication;
    let name = publication.name.trim();
    expect(
        "name",
        &publication.name,
        !name.is_empty() && name.len() <= 100,
        "a name of 1 to 100 bytes",
    )?;
    for (field, text) in [
        ("description", &publication.description),
        ("author", &publication.author),
        ("license", &publication.license),
    ] {
        expect(
            field,
            format!("{} bytes long", text.len()),
            text.len() <= 4000,
            "at most 4000 bytes long",
        )?;
    }
    if let Some(share) = publication.parent_share_bps {
        expect(
            "parent_share_bps",
            share,
            share <= 9_000,
            "between 0 and 9000 (90 %)",
        )?;
    }
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
