//! What a consumer asks of an operation.
//!
//! The canonical text of parameters is the JSON that `serde_json` writes for the typed value: fields in the order of
//! their declaration, no spaces, numbers in their shortest form. That text is what a start request signs, what a
//! receipt carries and what a worker reads; nobody re-encodes it on the way.

mod range;

use serde::{Deserialize, Serialize};

use crate::{Amount, Operation};

/// The parameters of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameters {
    /// Of a training.
    Train(TrainParameters),
    /// Of one inference turn.
    Infer(InferParameters),
    /// Of an evaluation.
    Evaluate(EvaluateParameters),
}

impl Parameters {
    /// The operation they belong to.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Train(_) => Operation::Train,
            Self::Infer(_) => Operation::Infer,
            Self::Evaluate(_) => Operation::Evaluate,
        }
    }

    /// The seed of all randomness in the job.
    pub fn seed(&self) -> u64 {
        match self {
            Self::Train(train) => train.seed,
            Self::Infer(infer) => infer.seed,
            Self::Evaluate(evaluate) => evaluate.seed,
        }
    }

    /// In what the job's products are computed. Inference is always in 32 bits, so that what a model says does not depend
    /// on the node's processor.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Train(train) => train.precision,
            Self::Infer(_) => Precision::F32,
            Self::Evaluate(evaluate) => evaluate.precision,
        }
    }

    /// The canonical text.
    pub fn to_canonical(&self) -> String {
        serde_json::to_string(self).expect("parameters hold no map with keys that are not strings")
    }

    /// Reads a canonical text.
    ///
    /// # Errors
    /// A text that is not these parameters, or not in canonical form: then its signature would not cover what is run.
    pub fn from_canonical(text: &str) -> Result<Self, ParametersError> {
        let parameters: Self =
            serde_json::from_str(text).map_err(|source| ParametersError::Shape { source })?;
        if parameters.to_canonical() == text {
            Ok(parameters)
        } else {
            Err(ParametersError::NotCanonical)
        }
    }
}

/// Parameters that cannot be read or make no sense.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// Not JSON of the right shape.
    #[error("the parameters are not of the expected shape")]
    Shape {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Right, but written another way.
    #[error(
        "the parameters are not in canonical form: write them without spaces, fields in the documented order"
    )]
    NotCanonical,
    /// A value out of its range.
    #[error("parameter `{name}` is {value}: it must be {expected}")]
    Range {
        /// Name of the parameter.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
}

/// In what the products of activations with weights are computed. Everything else is computed in 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// In 32 bits: the same bits on every machine.
    #[default]
    F32,
    /// Both sides rounded to bf16, summed in 32 bits. Whose instructions computed it decides bits: the engine's name in
    /// the receipt tells ([`EngineName`](crate::EngineName)). Models with quantised weights are refused.
    Bf16,
}

impl Precision {
    /// The text form, as in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Reads the text form.
    pub fn named(name: &str) -> Option<Self> {
        [Self::F32, Self::Bf16]
            .into_iter()
            .find(|precision| precision.as_str() == name)
    }

    /// What nobody needs to say is not written: parameters without it keep the text that was signed.
    fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Shape of a model that is made from scratch. Names as in `config.json` of Hugging Face's GPT-2, in full words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Number of transformer blocks.
    pub layers: u32,
    /// Attention heads per block; divides `width`.
    pub heads: u32,
    /// Width of the residual stream.
    pub width: u32,
    /// Longest sequence, in tokens.
    pub context: u32,
    /// Entries of the vocabulary that the tokenizer is trained to.
    pub vocabulary: u32,
}

/// How a model that is trained or imported appears on the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Name of the asset.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Who made it, for people.
    pub author: String,
    /// Licence, as an SPDX expression or a URL.
    pub license: String,
    /// The share that models trained from this one owe to its holders, in basis points (1/10,000).
    /// Absent: the parent's, which is also the least that is accepted. A root of a line must state it.
    pub parent_share_bps: Option<u16>,
    /// Price of one datatoken in the market's base token, for the exchange that a root of a line opens; at least
    /// [`Publication::LEAST_PRICE`].
    /// A model with a parent opens none: its holders sell.
    pub price: Option<Amount>,
}

/// Parameters of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainParameters {
    /// How the result is published.
    pub publication: Publication,
    /// Shape of the model; given on the blank model, absent on every other.
    pub architecture: Option<Architecture>,
    /// Optimiser steps.
    pub steps: u32,
    /// Sequences in one micro-batch.
    pub batch: u32,
    /// Tokens in one sequence.
    pub sequence: u32,
    /// Micro-batches whose gradients are added up in one step.
    pub accumulate: u32,
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f64,
    /// Learning rate at the last step (cosine schedule).
    pub minimum_learning_rate: f64,
    /// Steps over which the learning rate rises from zero.
    pub warmup_steps: u32,
    /// Decoupled weight decay (AdamW, arXiv 1711.05101).
    pub weight_decay: f64,
    /// First moment's decay.
    pub beta1: f64,
    /// Second moment's decay.
    pub beta2: f64,
    /// Largest global norm of the gradient; what is longer is scaled down.
    pub clip: f64,
    /// Steps between two looks at the held-out loss; 0 looks only at the end.
    pub evaluate_every: u32,
    /// Seed of initial weights and of the order of the text.
    pub seed: u64,
    /// In what its products are computed.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
}

impl TrainParameters {
    /// Tokens that the training reads: steps × accumulate × batch × sequence.
    pub fn tokens(&self) -> u64 {
        [self.steps, self.accumulate, self.batch, self.sequence]
            .into_iter()
            .fold(1_u64, |product, factor| product.saturating_mul(u64::from(factor)))
    }
}

/// Parameters of one turn of an inference session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferParameters {
    /// Most tokens to generate.
    pub maximum_tokens: u32,
    /// 0 is greedy; otherwise logits are divided by it.
    pub temperature: f64,
    /// Sample among that many most likely tokens; 0 is all.
    pub top_k: u32,
    /// Sample among the most likely tokens that hold this much probability; 1 is all.
    pub top_p: f64,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Seed of the sampling.
    pub seed: u64,
    /// Whether the prompt is a conversation, a JSON array of `{"role": …, "content": …}`, which the model's own chat
    /// template writes as text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chat: bool,
}

/// Parameters of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateParameters {
    /// Resamples of the bootstrap that gives the 95 % interval.
    pub bootstrap_samples: u32,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// In what its products are computed.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    fn infer() -> InferParameters {
        InferParameters {
            maximum_tokens: 8,
            temperature: 0.7,
            top_k: 40,
            top_p: 0.9,
            stop: vec![],
            seed: 1,
            chat: false,
        }
    }

    #[test]
    fn canonical_text_reads_back_and_any_other_writing_is_refused() {
        let text = Parameters::Infer(infer()).to_canonical();
        assert_eq!(
            Parameters::from_canonical(&text).unwrap(),
            Parameters::Infer(infer())
        );
        let spaced = text.replace(":0.7", ": 0.7");
        assert!(matches!(
            Parameters::from_canonical(&spaced),
            Err(ParametersError::NotCanonical)
        ));
        let longer = text.replace(":0.7", ":0.70");
        assert!(matches!(
            Parameters::from_canonical(&longer),
            Err(ParametersError::NotCanonical)
        ));
        let unknown = text.replace("\"seed\"", "\"speed\"");
        assert!(matches!(
            Parameters::from_canonical(&unknown),
            Err(ParametersError::Shape { .. })
        ));
    }

    #[test]
    fn a_precision_is_written_only_where_it_is_not_the_usual_one() {
        let evaluate = |precision| {
            Parameters::Evaluate(EvaluateParameters {
                bootstrap_samples: 100,
                seed: 1,
                precision,
            })
        };
        let usual = evaluate(Precision::F32).to_canonical();
        assert!(
            usual.ends_with(r#""bootstrap_samples":100,"seed":1}}"#),
            "{usual}"
        );
        let parameters = evaluate(Precision::Bf16);
        let text = parameters.to_canonical();
        assert!(text.ends_with(r#""seed":1,"precision":"bf16"}}"#), "{text}");
        assert_eq!(Parameters::from_canonical(&text).unwrap(), parameters);
        assert_eq!(parameters.precision(), Precision::Bf16);
        assert!(matches!(
            Parameters::from_canonical(&text.replace("bf16", "f32")),
            Err(ParametersError::NotCanonical)
        ));
        assert!(matches!(
            Parameters::from_canonical(&text.replace("bf16", "f16")),
            Err(ParametersError::Shape { .. })
        ));
        let infer = Parameters::Infer(infer()).to_canonical();
        let infer = infer.replace("\"seed\":1", "\"seed\":1,\"precision\":\"bf16\"");
        assert!(matches!(
            Parameters::from_canonical(&infer),
            Err(ParametersError::Shape { .. })
        ));
        assert_eq!(Precision::named("bf16"), Some(Precision::Bf16));
        assert_eq!(Precision::named("BF16"), None);
    }

    #[test]
    fn what_the_market_would_refuse_is_no_publication() {
        let good = || Publication {
            name: "x".repeat(100),
            description: "Two lines,\n\tindented. ".repeat(160),
            author: "é".repeat(128),
            license: String::new(),
            parent_share_bps: Some(9_000),
            price: Some(Publication::LEAST_PRICE),
        };
        good().check().unwrap();
        type Change = fn(&mut Publication);
        let changes: [(&str, Change); 13] = [
            ("name", |publication| publication.name.clear()),
            ("name", |publication| publication.name = " ".into()),
            ("name", |publication| publication.name.push('x')),
            ("name", |publication| publication.name = "a\nb".into()),
            ("author", |publication| publication.author.push('x')),
            ("author", |publication| publication.author = "a\u{2028}b".into()),
            ("license", |publication| publication.license = "x".repeat(257)),
            ("license", |publication| publication.license = "a\tb".into()),
            ("description", |publication| {
                publication.description = "x".repeat(4_001)
            }),
            ("description", |publication| {
                publication.description = "a\r\nb".into()
            }),
            ("description", |publication| {
                publication.description = "a\u{2029}b".into()
            }),
            ("price", |publication| {
                publication.price = Some(Amount(U256::from(9_999_999_999_u64)))
            }),
            ("parent_share_bps", |publication| {
                publication.parent_share_bps = Some(9_001)
            }),
        ];
        for (field, change) in changes {
            let mut bad = good();
            change(&mut bad);
            let error = bad.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("parameter `{field}` is ")), "{error}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let mut parameters = infer();
        parameters.top_p = f64::NAN;
        let error = Parameters::Infer(parameters).check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter `top_p` is NaN: it must be above 0 and at most 1"
        );
        let evaluate = EvaluateParameters {
            bootstrap_samples: 0,
            seed: 0,
            precision: Precision::F32,
        };
        assert!(Parameters::Evaluate(evaluate).check().is_err());
    }
}
