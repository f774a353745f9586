//! `posthuman train`.

use posthuman_types::Did;

use super::context::Context;
use super::output::Report;
use super::training::{PublicationArgs, Target, TrainingArgs};

/// Train a model on a text. The text is checked before anything is paid; the result is a new model on the market.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman train DID --text speeches.txt --held-out others.txt --name M2 --wallet bob
  posthuman train DID --text speeches.txt --name M2 --steps 400 --learning-rate 0.001 --max-fee 2 --wallet bob
  posthuman train DID --text speeches.txt --name M2 --precision bf16 --wallet bob
  posthuman train DID --text speeches.txt --name M2 --order 8996:0x0000000000000000000000000000000000000000000000000000000000000001:3 --wallet bob")]
pub(crate) struct Args {
    /// The model to train from.
    did: Did,
    #[command(flatten)]
    publication: PublicationArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let parameters = self.training.parameters(self.publication.publication(), None);
        self.training
            .run(context, Target::Model(self.did), parameters)
            .await
    }
}
