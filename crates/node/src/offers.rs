//! What an asset offers to whoever orders it: the facts in its DDO, the sealed model behind it, and the rules that
//! parameters must keep.

use posthuman_assets::{AssetFacts, Ddo, ModelFacts};
use posthuman_store::AssetRow;
use posthuman_types::api::{Allowances, AssetKind};
use posthuman_types::{Commitment, Did, ObjectId, Operation, Parameters, TrainParameters};

use crate::error::{ErrorCode, NodeError, OrFault};
use crate::node::Node;

/// An asset that this node serves.
pub(crate) struct Offer {
    pub row: AssetRow,
    pub allowances: Allowances,
    /// Absent for the blank model.
    pub model: Option<OfferedModel>,
}

/// The weights behind an offer.
pub(crate) struct OfferedModel {
    pub facts: ModelFacts,
    pub object: ObjectId,
}

impl Offer {
    /// Commitment to the weights that go in.
    pub(crate) fn commitment(&self) -> Option<&Commitment> {
        self.model.as_ref().map(|model| &model.facts.commitment)
    }
}

impl Node {
    /// The offer of an asset for an operation.
    ///
    /// # Errors
    /// No such asset, one that another node serves, one that is not active, or an operation it does not have.
    pub(crate) async fn offer(&self, did: &Did, operation: Operation) -> Result<Offer, NodeError> {
        let row = self.store.read().await?.asset(did).await?;
        let row = row.ok_or_else(|| {
            NodeError::rejected(
                ErrorCode::AssetNotFound,
                format!("This node knows no asset {did}; search for the one you mean."),
            )
        })?;
        self.offer_of(row, operation).await
    }

    pub(crate) async fn offer_of(&self, row: AssetRow, operation: Operation) -> Result<Offer, NodeError> {
        let did = row.did.clone();
        if row.state != 0 {
            let message = format!(
                "{did} is not active (its metadata state is {}), so nothing can be ordered on it.",
                row.state
            );
            return Err(NodeError::rejected(ErrorCode::AssetNotActive, message));
        }
        let not_served = |why: &str| NodeError::rejected(ErrorCode::AssetNotFound, format!("{did} {why}"));
        if row.kind == AssetKind::Foreign {
            return Err(not_served(
                "is not a model of this node, so nothing can be ordered here.",
            ));
        }
        let ddo = Ddo::parse(row.ddo.as_bytes()).or_fault("reading an indexed DDO")?;
        match ddo.facts().or_fault("reading the facts of an indexed DDO")? {
            Some(AssetFacts::Model(facts)) => {
                let model = self.store.read().await?.model(facts.commitment.root).await?;
                let model = model.filter(|model| model.did.as_ref() == Some(&row.did));
                let object = model
                    .ok_or_else(|| not_served("is a model whose weights are not on this node."))?
                    .object;
                let allowances = facts.allowances;
                Ok(Offer {
                    row,
                    allowances,
                    model: Some(OfferedModel {
                        facts: *facts,
                        object,
                    }),
                })
            }
            Some(AssetFacts::Blank(facts)) if row.did == self.identity.blank => match operation {
                Operation::Train => Ok(Offer {
                    row,
                    allowances: facts.allowances,
                    model: None,
                }),
                _ => Err(not_served(
                    "is the blank model: it has no weights, so it can only be trained.",
                )),
            },
            _ => Err(not_served(
                "is not a model of this node, so nothing can be ordered here.",
            )),
        }
    }

    /// Reads canonical parameters and checks them against the asset.
    pub(crate) fn parameters(
        &self,
        offer: &Offer,
        operation: Operation,
        text: &str,
    ) -> Result<Parameters, NodeError> {
        let invalid = |message: String| NodeError::rejected(ErrorCode::ParametersInvalid, message);
        let parameters = Parameters::from_canonical(text).map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            invalid(format!("{error}{cause}."))
        })?;
        parameters.check().map_err(|error| invalid(format!("{error}.")))?;
        if parameters.operation() != operation {
            return Err(invalid(format!(
                "The parameters are those of {}, not of {operation}.",
                parameters.operation()
            )));
        }
        if let Some(model) = &offer.model {
            let checked = model.facts.architecture.check_precision(&parameters);
            checked.map_err(|reason| invalid(format!("The model cannot be used so: {reason}.")))?;
        }
        if let Parameters::Train(train) = &parameters {
            self.check_training(offer, train).map_err(invalid)?;
        }
        Ok(parameters)
    }

    fn check_training(&self, offer: &Offer, train: &TrainParameters) -> Result<(), String> {
        let publication = &train.publication;
        match (&offer.model, &train.architecture) {
            (None, None) => {
                return Err(
                    "The blank model needs an `architecture`: layers, heads, width, context, vocabulary."
                        .to_owned(),
                );
            }
            (Some(_), Some(_)) => {
                return Err(
                    "Only the blank model takes an `architecture`; a trained model has its own.".to_owned(),
                );
            }
            (None, Some(shape)) => {
                let most = self.options.market.limits.model_parameters;
                let count = parameter_count(shape);
                if count > most {
                    return Err(format!(
                        "A model of this shape has {count} parameters; this node makes at most {most}."
                    ));
                }
            }
            (Some(_), None) => {}
        }
        match &offer.model {
            None if publication.parent_share_bps.is_none() => Err(
                "The root of a line fixes the share its descendants owe: give `parent_share_bps`.".to_owned(),
            ),
            None if publication.price.is_none_or(|price| price.0.is_zero()) => {
                Err("The root of a line opens an exchange: give a `price` above zero.".to_owned())
            }
            Some(_) if publication.price.is_some() => Err(
                "A model with a parent opens no exchange: leave out `price`; its holders sell.".to_owned(),
            ),
            Some(model)
                if publication
                    .parent_share_bps
                    .is_some_and(|share| share < model.facts.parent_share_bps) =>
            {
                Err(format!(
                    "The parent share of a child may be raised and never lowered: give at least {} basis points, or none.",
                    model.facts.parent_share_bps
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Parameters of a GPT-2 of that shape with a tied head.
pub(crate) fn parameter_count(shape: &posthuman_types::Architecture) -> u64 {
    let [layers, width, context, vocabulary] =
        [shape.layers, shape.width, shape.context, shape.vocabulary].map(u128::from);
    let count = (vocabulary + context) * width + layers * (12 * width * width + 13 * width) + 2 * width;
    u64::try_from(count).unwrap_or(u64::MAX)
}
