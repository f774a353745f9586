//! `posthuman collect`.

use posthuman_types::Did;

use super::asset::whole;
use super::context::Context;
use super::listen::Watch;
use super::output::{Report, table};

/// Pay out the proceeds of a model's sales and orders to its payment collector and from there up its line.
/// Anyone may do it: where the money goes is fixed on the chain.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  posthuman collect DID --wallet alice")]
pub(crate) struct Args {
    /// The model.
    did: Did,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let market = context.market().await?;
        let mut watch = Watch::new();
        let collected = market.collect(&self.did, &mut |event| watch.hear(&event)).await?;
        if collected.is_empty() {
            return Report::new("nothing to pay out", &collected);
        }
        let rows = collected.iter().map(|payment| {
            let to: Vec<String> = payment.to.iter().map(ToString::to_string).collect();
            vec![
                payment.from.to_string(),
                whole(payment.amount),
                payment.token.to_string(),
                to.join(", "),
            ]
        });
        Report::new(table(&["from", "amount", "token", "to"], rows), &collected)
    }
}
