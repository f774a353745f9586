//! `posthuman publish`.

use posthuman_types::Architecture;

use super::context::Context;
use super::output::Report;
use super::training::{PublicationArgs, Target, TrainingArgs};
use crate::market::check_root;

/// Publish a new model, trained from scratch on a text: an order of the blank model. It needs one datatoken of the
/// blank model (`posthuman buy DID` of it), a share for its line and a price.
///
/// To publish a model that exists, see `posthuman model import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman publish --text moby.txt --held-out end.txt --name M1 --share 20% --price 2 --wallet alice
  posthuman publish --text moby.txt --name M1 --share 20% --price 2 --dry-run --wallet alice
  posthuman publish --text moby.txt --name M1 --share 20% --price 2 --layers 4 --heads 4 --width 128 --context 128 --vocabulary 2048 --wallet alice")]
pub(crate) struct Args {
    #[command(flatten)]
    publication: PublicationArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

/// Shape of the new model.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Shape")]
struct ShapeArgs {
    /// Transformer blocks.
    #[arg(long, default_value_t = 4)]
    layers: u32,
    /// Attention heads; divides the width.
    #[arg(long, default_value_t = 4)]
    heads: u32,
    /// Width of the residual stream.
    #[arg(long, default_value_t = 128)]
    width: u32,
    /// Longest sequence, in tokens.
    #[arg(long, default_value_t = 128)]
    context: u32,
    /// Entries of the vocabulary that the tokenizer is trained to.
    #[arg(long, default_value_t = 2048)]
    vocabulary: u32,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let publication = self.publication.publication();
        check_root(&publication)?;
        let ShapeArgs {
            layers,
            heads,
            width,
            context: longest,
            vocabulary,
        } = self.shape;
        let architecture = Architecture {
            layers,
            heads,
            width,
            context: longest,
            vocabulary,
        };
        let parameters = self.training.parameters(publication, Some(architecture));
        self.training.run(context, Target::Blank, parameters).await
    }
}
