//! `posthuman model`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use posthuman_types::Did;

use super::Wrong;
use super::asset::{self, List};
use super::context::Context;
use super::describe;
use super::folder::{self, Prepared};
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
    /// Publish a model that exists, from a Hugging Face folder (safetensors, in one file or in shards) or a GGUF file.
    /// Families: GPT-2, Llama, Mistral, Qwen2, Qwen3.
    #[command(
        after_help = "Examples:\n  posthuman model import ./gpt2 --name GPT-2 --share 10% --price 3 --license MIT --wallet alice\n  posthuman model import SmolLM2.Q4_1.gguf --name SmolLM2 --share 10% --price 3 --license Apache-2.0 --wallet alice"
    )]
    Import {
        /// The folder, or the file.
        source: PathBuf,
        #[command(flatten)]
        publication: PublicationArgs,
    },
    /// List the market's models.
    #[command(after_help = "Example:\n  posthuman model list")]
    List,
    /// Show one model: architecture, parameters, how its weights are stored, context, tokenizer, memory needed. One of the
    /// market, or one that lies on this machine.
    #[command(
        after_help = "Examples:\n  posthuman model show DID\n  posthuman model show ./gpt2\n  posthuman --json model show SmolLM2.Q4_1.gguf"
    )]
    Show {
        /// A model of the market, a Hugging Face folder, or a GGUF file.
        #[arg(value_name = "DID|FOLDER|FILE")]
        model: String,
    },
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        match self.command {
            Command::List => List::of_models().run(context, None).await,
            Command::Show { model } => match model.parse::<Did>() {
                Ok(did) => asset::show_model(&context.node()?.asset(&did).await?),
                Err(error) if model.starts_with("did:") => Err(Wrong(format!("`{model}`: {error}")).into()),
                Err(_) => show_local(Path::new(&model)),
            },
            Command::Import { source, publication } => {
                let source = Prepared::new(&source)?;
                let market = context.market().await?;
                let mut watch = Watch::new();
                let mut listener = |event: crate::Event<'_>| watch.hear(&event);
                let imported = market
                    .import_model(source.path(), publication.publication(), &mut listener)
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

/// A model that lies on this machine.
fn show_local(source: &Path) -> anyhow::Result<Report> {
    let shape = folder::describe(source)?;
    let path = source.display().to_string();
    let mut lines = vec![
        ("source", path.clone()),
        ("architecture", describe::shape(&shape)),
    ];
    if let Some(details) = &shape.details {
        lines.extend(describe::details(&shape, details));
    }
    let json = serde_json::json!({ "source": path, "architecture": shape });
    Report::new(facts(&lines), &json)
}
