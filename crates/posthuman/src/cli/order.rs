//! `posthuman order`.

use std::path::PathBuf;

use clap::Subcommand;
use posthuman_types::{Amount, Did, EvaluateParameters, OrderId, Parameters};

use super::asset::whole;
use super::context::{Context, read_file, tokens};
use super::listen::Watch;
use super::output::{Report, facts};
use super::training::{PublicationArgs, TrainingArgs};
use crate::{Text, Work};

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
  posthuman order train DID --text speeches.txt --name M2 --dry-run --wallet bob")]
    Train {
        /// The model.
        did: Did,
        /// Only say what it would cost.
        #[arg(long)]
        dry_run: bool,
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
    #[command(after_help = "Example:\n  posthuman order evaluate DID --text test.txt --wallet elena")]
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
        let (work, limit, dry_run) = self.operation.work()?;
        let market = context.market().await?;
        let mut watch = Watch::new();
        let mut listener = |event: crate::Event<'_>| watch.hear(&event);
        let offer = market.quote(work, &mut listener).await?;
        let fee = &offer.quote.provider_fee;
        let mut lines = vec![
            (
                "tokens",
                format!("{} of {} allowed", offer.quote.tokens, offer.quote.allowance),
            ),
            ("fee", format!("{} of {}", whole(fee.amount), fee.token)),
            ("datatoken", format!("1 of {}", offer.quote.datatoken)),
        ];
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

impl Command {
    fn work(self) -> anyhow::Result<(Work, Option<Amount>, bool)> {
        Ok(match self {
            Self::Train {
                did,
                dry_run,
                publication,
                training,
            } => {
                let parameters = Parameters::Train(training.parameters(publication.publication(), None));
                (
                    Work {
                        did,
                        texts: training.texts()?,
                        parameters,
                    },
                    training.max_fee,
                    dry_run,
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
            } => {
                let parameters = Parameters::Evaluate(EvaluateParameters {
                    bootstrap_samples: samples,
                    seed,
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
        })
    }
}
