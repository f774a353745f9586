//! What `train` and `publish` have in common.

use std::path::PathBuf;

use posthuman_types::{
    Amount, Architecture, Did, OrderId, Parameters, Precision, Publication, TrainParameters,
};

use super::context::{Context, precision, read_file, share, tokens};
use super::listen::Watch;
use super::output::{self, Report, facts};
use super::plot;
use crate::{Market, Text, Trained, Work};

const PLOT_WIDTH: usize = 60;
const PLOT_HEIGHT: usize = 8;

/// How the new model appears on the market.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Publication")]
pub(crate) struct PublicationArgs {
    /// Name of the new model.
    #[arg(long)]
    pub name: String,
    /// What it is, for people.
    #[arg(long, default_value = "")]
    pub description: String,
    /// Who made it, for people.
    #[arg(long, default_value = "")]
    pub author: String,
    /// Licence: an SPDX expression or a URL.
    #[arg(long, default_value = "CC0-1.0")]
    pub license: String,
    /// Share that its children owe to its holders, such as 20%. A child cannot go below its parent's.
    #[arg(long, value_parser = share)]
    pub share: Option<u16>,
    /// Price of one datatoken in whole base tokens; of roots only.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    pub price: Option<Amount>,
}

impl PublicationArgs {
    pub(crate) fn publication(&self) -> Publication {
        Publication {
            name: self.name.clone(),
            description: self.description.clone(),
            author: self.author.clone(),
            license: self.license.clone(),
            parent_share_bps: self.share,
            price: self.price,
        }
    }
}

/// The text, the schedule and the payment.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// The text to learn from, UTF-8.
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// A text to look at without learning from it: whole chapters, not scattered lines.
    #[arg(long, value_name = "FILE")]
    pub held_out: Option<PathBuf>,
    /// Optimiser steps.
    #[arg(long, default_value_t = 200)]
    pub steps: u32,
    /// Sequences in one micro-batch.
    #[arg(long, default_value_t = 8)]
    pub batch: u32,
    /// Tokens in one sequence.
    #[arg(long, default_value_t = 128)]
    pub sequence: u32,
    /// Micro-batches in one step.
    #[arg(long, default_value_t = 1)]
    pub accumulate: u32,
    /// Learning rate at the end of the warm-up.
    #[arg(long, default_value_t = 0.002)]
    pub learning_rate: f64,
    /// Learning rate at the last step.
    #[arg(long, default_value_t = 0.0002)]
    pub minimum_learning_rate: f64,
    /// Steps over which the learning rate rises.
    #[arg(long, default_value_t = 20)]
    pub warmup_steps: u32,
    /// Decoupled weight decay.
    #[arg(long, default_value_t = 0.1)]
    pub weight_decay: f64,
    /// First moment's decay.
    #[arg(long, default_value_t = 0.9)]
    pub beta1: f64,
    /// Second moment's decay.
    #[arg(long, default_value_t = 0.99)]
    pub beta2: f64,
    /// Largest norm of the gradient.
    #[arg(long, default_value_t = 1.0)]
    pub clip: f64,
    /// Steps between two looks at the held-out text; 0 looks only at the end.
    #[arg(long, default_value_t = 50)]
    pub evaluate_every: u32,
    /// Seed of all randomness.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// In what products are computed: f32, or bf16, which is faster where the processor has instructions for it. In bf16
    /// these instructions decide bits; the receipt names them, and the new model is marked.
    #[arg(long, default_value_t = Precision::F32, value_parser = precision)]
    pub precision: Precision,
    /// Pay at most so many whole base tokens to the node.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    pub max_fee: Option<Amount>,
    /// Only have it checked and say what it would cost.
    #[arg(long, conflicts_with = "order")]
    pub dry_run: bool,
    /// Go on with an order that was paid earlier; nothing is paid again.
    #[arg(long, value_name = "ORDER")]
    pub order: Option<OrderId>,
}

impl TrainingArgs {
    pub(crate) fn parameters(
        &self,
        publication: Publication,
        architecture: Option<Architecture>,
    ) -> TrainParameters {
        TrainParameters {
            publication,
            architecture,
            steps: self.steps,
            batch: self.batch,
            sequence: self.sequence,
            accumulate: self.accumulate,
            learning_rate: self.learning_rate,
            minimum_learning_rate: self.minimum_learning_rate,
            warmup_steps: self.warmup_steps,
            weight_decay: self.weight_decay,
            beta1: self.beta1,
            beta2: self.beta2,
            clip: self.clip,
            evaluate_every: self.evaluate_every,
            seed: self.seed,
            precision: self.precision,
        }
    }

    pub(crate) fn texts(&self) -> anyhow::Result<Vec<Text>> {
        let mut texts = vec![Text::text(read_file(&self.text)?)];
        if let Some(path) = &self.held_out {
            texts.push(Text::held_out(read_file(path)?));
        }
        Ok(texts)
    }

    /// Trains, shows the losses and reports the new model.
    pub(crate) async fn run(
        &self,
        context: &Context,
        did: Target,
        parameters: TrainParameters,
    ) -> anyhow::Result<Report> {
        let texts = self.texts()?;
        let market: Market = context.market().await?;
        let did = match did {
            Target::Model(did) => did,
            Target::Blank => market.info().blank.clone(),
        };
        let mut watch = Watch::new();
        if self.dry_run {
            let work = Work {
                did,
                texts,
                parameters: Parameters::Train(parameters),
            };
            let offer = market.quote(work, &mut |event| watch.hear(&event)).await?;
            watch.finish();
            let json = serde_json::json!({ "quote": offer.quote });
            return Report::new(facts(&super::order::costs(&offer)), &json);
        }
        let trained = {
            let mut listener = |event: crate::Event<'_>| watch.hear(&event);
            match self.order {
                Some(order) => {
                    market
                        .train_on(order, &did, texts, parameters, &mut listener)
                        .await?
                }
                None => {
                    market
                        .train(&did, texts, parameters, self.max_fee, &mut listener)
                        .await?
                }
            }
        };
        watch.finish();
        show_losses(&watch);
        report(&trained)
    }
}

/// What is trained.
pub(crate) enum Target {
    /// A model of the market.
    Model(Did),
    /// Nothing: a model from scratch.
    Blank,
}

fn show_losses(watch: &Watch) {
    let drawn = plot::curve(watch.losses(), PLOT_WIDTH, PLOT_HEIGHT);
    if !drawn.is_empty() {
        output::note(format_args!(
            "loss, nats per token, over {} steps\n{drawn}",
            watch.losses().len()
        ));
    }
    let held_out = plot::curve(watch.held_out(), PLOT_WIDTH, PLOT_HEIGHT / 2);
    if !held_out.is_empty() {
        output::note(format_args!("loss on the held-out text\n{held_out}"));
    }
}

fn report(trained: &Trained) -> anyhow::Result<Report> {
    let mut lines = vec![
        ("model", trained.model.did.to_string()),
        ("datatoken", trained.model.datatoken.to_string()),
        ("job", trained.job.id.to_string()),
        ("order", trained.job.order.to_string()),
        ("receipt", trained.receipt.digest.to_string()),
    ];
    for birth in &trained.model.initial_supply {
        lines.push((
            "minted",
            format!("{} to {}", super::asset::whole(birth.amount), birth.address),
        ));
    }
    let json = serde_json::json!({ "model": trained.model, "job": trained.job, "receipt": trained.receipt });
    Report::new(facts(&lines), &json)
}
