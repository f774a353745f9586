//! `posthuman order`.

use std::path::PathBuf;

use clap::Subcommand;
use posthuman_types::{Amount, B256, Did, EvaluateParameters, Operation, OrderId, Parameters, Precision};

use super::Wrong;
use super::asset::whole;
use super::context::{Context, precision, read_file, tokens};
use super::listen::Watch;
use super::output::{Report, facts};
use super::training::{PublicationArgs, TrainingArgs};
use crate::{Offer, Text, Work};

/// Have a job checked and priced, and pay for it without starting it. Start it later with the same texts and
/// parameters and `--order`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pay a new provider fee for this order, whose own fee was refused as expired or used; no datatoken is spent.
    #[arg(long, value_name = "ORDER")]
    renew: Option<OrderId>,
    #[command(subcommand)]
    operation: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A training.
    #[command(after_help = "Examples:
  posthuman order train DID --text speeches.txt --name M2 --wallet bob
  posthuman order train DID --text speeches.txt --name M2 --dry-run --wallet bob
  posthuman order train DID --text speeches.txt --name M2 --precision bf16 --wallet bob")]
    Train {
        /// The model.
        did: Did,
        #[command(flatten)]
        publication: PublicationArgs,
        #[command(flatten)]
        training: Box<TrainingArgs>,
    },
    /// An inference session.
    #[command(after_help = "Example:\n  posthuman order infer DID --wallet derek")]
    Infer {
        #[command(flatten)]
        what: What,
    },
    /// An evaluation.
    #[command(
        after_help = "Examples:\n  posthuman order evaluate DID --text test.txt --wallet elena\n  posthuman order evaluate DID --text test.txt --precision bf16 --wallet elena"
    )]
    Evaluate {
        #[command(flatten)]
        what: What,
        /// The text to score.
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        /// Resamples of the bootstrap.
        #[arg(long, default_value_t = super::evaluate::SAMPLES)]
        samples: u32,
        /// Seed of the bootstrap.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// In what products are computed: f32, or bf16, which is faster where the processor has instructions for it and
        /// whose bits they decide; the receipt names them. Not for quantised models.
        #[arg(long, default_value_t = Precision::F32, value_parser = precision)]
        precision: Precision,
    },
    /// The orders that a transaction made, where the answer to it was lost.
    #[command(
        after_help = "Example:\n  posthuman order find 0x0000000000000000000000000000000000000000000000000000000000000001"
    )]
    Find {
        /// Its hash, as it was said when the transaction was sent.
        transaction: B256,
    },
}

/// What is ordered and for how much at most.
#[derive(Debug, clap::Args)]
struct What {
    /// The model.
    did: Did,
    /// Only say what it would cost.
    #[arg(long)]
    dry_run: bool,
    /// Pay at most so many whole base tokens to the node.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    max_fee: Option<Amount>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        if let (Command::Find { transaction }, None) = (&self.operation, self.renew) {
            return find(context, *transaction).await;
        }
        let (work, limit, dry_run) = self.operation.work()?;
        let market = context.market().await?;
        let mut watch = Watch::new();
        let mut listener = |event: crate::Event<'_>| watch.hear(&event);
        let offer = market.quote(work, &mut listener).await?;
        let mut lines = costs(&offer);
        if dry_run {
            return Report::new(facts(&lines), &serde_json::json!({ "quote": offer.quote }));
        }
        let order = match self.renew {
            Some(order) => {
                market.renew(order, &offer, limit, &mut listener).await?;
                order
            }
            None => market.order(&offer, limit, &mut listener).await?,
        };
        lines.push(("order", order.to_string()));
        Report::new(
            facts(&lines),
            &serde_json::json!({ "order": order.to_string(), "quote": offer.quote }),
        )
    }
}

/// What an offer takes.
pub(crate) fn costs(offer: &Offer) -> Vec<(&'static str, String)> {
    let fee = &offer.quote.provider_fee;
    vec![
        (
            "tokens",
            format!("{} of {} allowed", offer.quote.tokens, offer.quote.allowance),
        ),
        ("fee", format!("{} of {}", whole(fee.amount), fee.token)),
        ("datatoken", format!("1 of {}", offer.quote.datatoken)),
    ]
}

/// An order that is there is not paid again.
fn goes_on(did: &Did, order: OrderId) -> Wrong {
    Wrong(format!(
        "`posthuman order train` pays for a new order and does not go on with {order}; to run the training on it, use \
         `posthuman train {did} … --order {order}`, and to pay it a new provider fee, \
         `posthuman order --renew {order} train {did} …`"
    ))
}

async fn find(context: &Context, transaction: B256) -> anyhow::Result<Report> {
    let orders = context.chain().await?.orders_in(transaction).await?;
    if orders.is_empty() {
        let message = format!(
            "transaction {transaction} made no order that the chain knows: it is not mined, it failed, or it did \
             something else; look again in a minute before you pay again"
        );
        return Err(Wrong(message).into());
    }
    let mut lines = Vec::new();
    let mut found = Vec::new();
    for order in &orders {
        let operation = Operation::from_service_index(order.service_index);
        let operation = operation.map_or("unknown", Operation::as_str);
        lines.push(("order", order.id.to_string()));
        lines.push(("operation", operation.to_owned()));
        lines.push(("datatoken", order.datatoken.to_string()));
        lines.push(("consumer", order.consumer.to_string()));
        found.push(serde_json::json!({
            "order": order.id.to_string(),
            "operation": operation,
            "datatoken": order.datatoken,
            "consumer": order.consumer,
        }));
    }
    Report::new(facts(&lines), &serde_json::json!({ "orders": found }))
}

impl Command {
    fn work(self) -> anyhow::Result<(Work, Option<Amount>, bool)> {
        Ok(match self {
            Self::Train {
                did,
                publication,
                training,
            } => {
                if let Some(order) = training.order {
                    return Err(goes_on(&did, order).into());
                }
                let parameters = Parameters::Train(training.parameters(publication.publication(), None));
                (
                    Work {
                        did,
                        texts: training.texts()?,
                        parameters,
                    },
                    training.max_fee,
                    training.dry_run,
                )
            }
            Self::Infer { what } => {
                let parameters = crate::market::session_parameters();
                (
                    Work {
                        did: what.did,
                        texts: Vec::new(),
                        parameters,
                    },
                    what.max_fee,
                    what.dry_run,
                )
            }
            Self::Evaluate {
                what,
                text,
                samples,
                seed,
                precision,
            } => {
                let parameters = Parameters::Evaluate(EvaluateParameters {
                    bootstrap_samples: samples,
                    seed,
                    precision,
                });
                let texts = vec![Text::text(read_file(&text)?)];
                (
                    Work {
                        did: what.did,
                        texts,
                        parameters,
                    },
                    what.max_fee,
                    what.dry_run,
                )
            }
            Self::Find { .. } => {
                let message = "--renew pays for a job, and `order find` only looks; leave it out";
                return Err(Wrong(message.to_owned()).into());
            }
        })
    }
}
