//! `posthuman model`.

use std::path::PathBuf;

use clap::Subcommand;
use posthuman_types::Did;

use super::asset::{self, List};
use super::context::Context;
use super::listen::Watch;
use super::output::{Report, facts};
use super::training::PublicationArgs;

/// Models of the market.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish a model that exists, from a Hugging Face folder: config.json, tokenizer.json, model.safetensors.
    #[command(
        after_help = "Example:\n  posthuman model import ./gpt2 --name GPT-2 --share 10% --price 3 --license MIT --wallet alice"
    )]
    Import {
        /// The folder.
        folder: PathBuf,
        #[command(flatten)]
        publication: PublicationArgs,
    },
    /// List the market's models.
    #[command(after_help = "Example:\n  posthuman model list")]
    List,
    /// Show one model.
    #[command(after_help = "Example:\n  posthuman model show DID")]
    Show {
        /// The model.
        did: Did,
    },
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        match self.command {
            Command::List => List::of_models().run(context, None).await,
            Command::Show { did } => asset::show(&context.node()?.asset(&did).await?),
            Command::Import { folder, publication } => {
                let market = context.market().await?;
                let mut watch = Watch::new();
                let mut listener = |event: crate::Event<'_>| watch.hear(&event);
                let imported = market
                    .import_model(&folder, publication.publication(), &mut listener)
                    .await?;
                watch.finish();
                let text = facts(&[
                    ("model", imported.did.to_string()),
                    (
                        "commitment",
                        format!("{} {}", imported.commitment.scheme, imported.commitment.root),
                    ),
                    ("publication", imported.publication.to_string()),
                ]);
                Report::new(text, &imported)
            }
        }
    }
}
