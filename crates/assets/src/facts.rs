//! What Posthuman adds to a DDO, under `metadata.additionalInformation.posthuman`.

use std::collections::BTreeMap;

pub use posthuman_types::ArchitectureFacts;
use posthuman_types::api::Allowances;
use posthuman_types::{Address, Amount, B256, Commitment, Did, Digest, JobId, Operation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ddo::{Ddo, DdoError};

/// Schema of the facts; another shape has another number.
const SCHEMA: &str = "posthuman/asset/1";

/// Where they stand.
const PATH: &str = "metadata.additionalInformation.posthuman";

/// The whole, in basis points.
const WHOLE_BPS: u16 = 10_000;

/// What kind of asset it is, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub enum AssetFacts {
    /// A model with weights.
    Model(Box<ModelFacts>),
    /// The blank model: no weights, its training makes a model from scratch.
    Blank(BlankFacts),
    /// One of the three operations.
    Operation(OperationFacts),
}

/// Facts of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Its shape.
    pub architecture: ArchitectureFacts,
    /// Commitment to its weights, tokenizer and configuration.
    pub commitment: Commitment,
    /// Keccak-256 of its `tokenizer.json`.
    pub tokenizer: Digest,
    /// Engine that made or imported it. One that computes in bf16 marks a model that was trained so.
    pub engine: String,
    /// What one order allows.
    pub allowances: Allowances,
    /// The share that models trained from this one owe to its holders, in basis points.
    pub parent_share_bps: u16,
    /// Where it comes from.
    pub lineage: Lineage,
    /// Who was given datatokens at birth, in base units of the datatoken.
    #[serde(with = "crate::checksummed::amounts")]
    pub initial_supply: BTreeMap<Address, Amount>,
    /// Payment collector at birth: the trainer of a root, else a splitter.
    #[serde(with = "crate::checksummed")]
    pub collector: Address,
    /// Fixed-rate exchange that was opened at birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<B256>,
    /// How well it did on a text that its publisher names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// Facts of the blank model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlankFacts {
    /// Engine that trains.
    pub engine: String,
    /// What one order would allow; only a training can be ordered.
    pub allowances: Allowances,
    /// Exchange that sells its datatoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<B256>,
}

/// Facts of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationFacts {
    /// Which one.
    pub operation: Operation,
    /// Engine that runs it.
    pub engine: String,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// First model of the line; the model itself if it has no parent.
    pub root: Did,
    /// 0 for a root, else one more than the parent's.
    pub generation: u32,
    /// The model it was trained from.
    pub parent: Option<Parent>,
    /// Who trained or brought it.
    #[serde(with = "crate::checksummed")]
    pub trainer: Address,
    /// What vouches for it.
    pub origin: Origin,
}

/// The model that a model was trained from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its DID.
    pub did: Did,
    /// Its data NFT.
    #[serde(with = "crate::checksummed")]
    pub nft: Address,
    /// Its weights.
    pub commitment: Commitment,
}

/// What vouches for a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A training on the market.
    Trained {
        /// The job.
        job: JobId,
        /// Digest of its receipt.
        receipt: Digest,
    },
    /// An import of a model made elsewhere.
    Imported {
        /// Digest of the publication statement.
        publication: Digest,
    },
}

/// A figure that a publisher puts beside a model. Whoever doubts it buys an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Keccak-256 of the text.
    pub text: Digest,
    /// Tokens that were scored.
    pub tokens: u64,
    /// Mean loss in nats per token.
    pub loss: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// Loss in bits per byte of the text: comparable between tokenizers.
    pub bits_per_byte: f64,
    /// 95 % interval of the bits per byte.
    pub interval: [f64; 2],
    /// Share of next tokens that were predicted right, 0 to 1.
    pub accuracy: f64,
    /// Bits per byte of an order-2 byte model fitted on the same training text.
    pub order2_bits_per_byte: Option<f64>,
}

impl AssetFacts {
    /// The value under `posthuman`.
    pub(crate) fn to_value(&self) -> Value {
        let (kind, facts) = match self {
            Self::Model(facts) => ("model", json!(facts)),
            Self::Blank(facts) => ("blank", json!(facts)),
            Self::Operation(facts) => ("operation", json!(facts)),
        };
        let mut value = Map::from_iter([
            ("schema".to_owned(), json!(SCHEMA)),
            ("kind".to_owned(), json!(kind)),
        ]);
        if let Value::Object(facts) = facts {
            value.extend(facts);
        }
        Value::Object(value)
    }

    /// Reads and checks the value under `posthuman`, if there is one.
    pub(crate) fn read(ddo: &Ddo) -> Result<Option<Self>, DdoError> {
        let information = ddo.metadata.additional_information.as_ref();
        let Some(value) = information.and_then(|information| information.get("posthuman")) else {
            return Ok(None);
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("schema") != SCHEMA {
            return Err(DdoError::rule(
                format!("{PATH}.schema"),
                format!("`{SCHEMA}` is the schema that is read here"),
            ));
        }
        let facts = match text("kind") {
            "model" => Self::Model(Box::new(typed(value)?)),
            "blank" => Self::Blank(typed(value)?),
            "operation" => Self::Operation(typed(value)?),
            _ => {
                return Err(DdoError::rule(
                    format!("{PATH}.kind"),
                    "it is one of model, blank, operation",
                ));
            }
        };
        facts.check(&ddo.id)?;
        Ok(Some(facts))
    }

    /// Checks that the facts can be true of the asset `did`.
    pub(crate) fn check(&self, did: &Did) -> Result<(), DdoError> {
        match self {
            Self::Model(facts) => facts.check(did),
            Self::Blank(facts) => rule(
                facts.allowances.train > 0,
                "allowances",
                "an order allows some tokens",
            ),
            Self::Operation(_) => Ok(()),
        }
    }
}

impl ModelFacts {
    fn check(&self, did: &Did) -> Result<(), DdoError> {
        let shape = &self.architecture;
        let sizes = [
            shape.layers,
            shape.heads,
            shape.width,
            shape.context,
            shape.vocabulary,
        ];
        rule(
            !sizes.contains(&0) && shape.parameters > 0,
            "architecture",
            "every size is above 0",
        )?;
        rule(
            !shape.precision.is_empty(),
            "architecture.precision",
            "it says how weights are stored",
        )?;
        if let Some(details) = &shape.details {
            let sizes = [details.key_value_heads, details.head_width, details.inner_width];
            rule(
                !sizes.contains(&0),
                "architecture.details",
                "every size is above 0",
            )?;
        }
        let bps = self.parent_share_bps;
        rule(
            bps <= WHOLE_BPS,
            "parent_share_bps",
            "it counts ten-thousandths, 10000 at most",
        )?;
        let some = Operation::ALL
            .into_iter()
            .all(|operation| self.allowances.of(operation) > 0);
        rule(some, "allowances", "an order of each service allows some tokens")?;
        let given = self.initial_supply.values().any(|amount| *amount > Amount::ZERO);
        rule(given, "initial_supply", "somebody holds datatokens at birth")?;
        if let Some(baseline) = &self.baseline {
            baseline.check()?;
        }
        self.lineage.check(did)
    }
}

impl Lineage {
    fn check(&self, did: &Did) -> Result<(), DdoError> {
        match self.fault().or_else(|| self.fault_of(did)) {
            None => Ok(()),
            Some((field, reason)) => Err(DdoError::rule(format!("{PATH}.lineage.{field}"), reason)),
        }
    }

    /// The field that cannot be right whatever the model is, and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_root = self.parent.is_none();
        if is_root != (self.generation == 0) {
            return Some(("generation", "it is 0 without a parent and above 0 with one"));
        }
        if self
            .parent
            .as_ref()
            .is_some_and(|parent| (parent.did == self.root) != (self.generation == 1))
        {
            return Some(("generation", "it is 1 if the parent is the root, and only then"));
        }
        if !is_root && matches!(self.origin, Origin::Imported { .. }) {
            return Some(("origin", "an imported model has no parent on the market"));
        }
        None
    }

    /// The field that cannot be right for the model `did`, and why.
    pub(crate) fn fault_of(&self, did: &Did) -> Option<(&'static str, &'static str)> {
        if self.parent.is_none() != (self.root == *did) {
            return Some((
                "root",
                "a model is its own root if it has no parent, and only then",
            ));
        }
        if self.parent.as_ref().is_some_and(|parent| parent.did == *did) {
            return Some(("parent.did", "a model is not its own parent"));
        }
        None
    }
}

impl Baseline {
    fn check(&self) -> Result<(), DdoError> {
        let order2 = self.order2_bits_per_byte.unwrap_or_default();
        let [low, high] = self.interval;
        let figures = [
            self.loss,
            self.perplexity,
            self.bits_per_byte,
            low,
            high,
            self.accuracy,
            order2,
        ];
        let finite = figures
            .into_iter()
            .all(|figure| figure.is_finite() && figure >= 0.0);
        rule(
            finite && low <= high && self.accuracy <= 1.0,
            "baseline",
            "its figures are numbers in their range",
        )
    }
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, DdoError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        let path = if inner == "." {
            PATH.to_owned()
        } else {
            format!("{PATH}.{inner}")
        };
        DdoError::Field {
            path,
            source: error.into_inner(),
        }
    })
}

fn rule(holds: bool, field: &str, reason: &str) -> Result<(), DdoError> {
    if holds {
        Ok(())
    } else {
        Err(DdoError::rule(format!("{PATH}.{field}"), reason))
    }
}
