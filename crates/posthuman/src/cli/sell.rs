//! `posthuman sell`.

use posthuman_types::{Amount, Did};

use super::asset::whole;
use super::context::{Context, tokens};
use super::listen::Watch;
use super::output::{Report, facts};

/// Offer datatokens that you hold. The node opens the exchange, you allow it exactly what is for sale, and the
/// proceeds go through the model's payment collector, so that its ancestors are paid too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman sell DID --amount 5 --price 3 --wallet bob
  posthuman sell DID --amount 0 --price 3 --wallet bob    withdraws the offer")]
pub(crate) struct Args {
    /// The model.
    did: Did,
    /// Whole datatokens.
    #[arg(long, value_parser = tokens)]
    amount: Amount,
    /// Price of one in whole base tokens, without fees.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    price: Amount,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let market = context.market().await?;
        let mut watch = Watch::new();
        let selling = market
            .sell(&self.did, self.amount, self.price, &mut |event| {
                watch.hear(&event)
            })
            .await?;
        let text = facts(&[
            (
                "offered",
                format!("{} of {}", whole(selling.offered), selling.sale.datatoken),
            ),
            (
                "price",
                format!("{} of {}", whole(selling.sale.price), selling.sale.base_token),
            ),
            ("exchange", selling.sale.exchange.to_string()),
            ("contract", selling.sale.contract.to_string()),
        ]);
        Report::new(text, &selling)
    }
}
