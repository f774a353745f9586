//! `posthuman buy`.

use posthuman_types::{Amount, Did};

use super::asset::whole;
use super::context::{Context, tokens};
use super::listen::Watch;
use super::output::{Report, facts};

/// Buy datatokens where they are cheapest now. One datatoken pays one order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman buy DID --wallet bob
  posthuman buy DID --amount 2 --max-price 3.5 --wallet bob.json --password-file bob.password
  posthuman buy DID --dry-run --wallet bob")]
pub(crate) struct Args {
    /// The asset.
    did: Did,
    /// Whole datatokens.
    #[arg(long, default_value = "1", value_parser = tokens)]
    amount: Amount,
    /// Pay at most so many whole base tokens in all, with fees.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    max_price: Option<Amount>,
    /// Only say what it costs.
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let market = context.market().await?;
        if self.dry_run {
            let price = market.price(&self.did, self.amount).await?;
            let json = serde_json::json!({ "did": self.did, "amount": self.amount, "price": price });
            return Report::new(whole(price), &json);
        }
        let mut watch = Watch::new();
        let purchase = market
            .buy(&self.did, self.amount, self.max_price, &mut |event| {
                watch.hear(&event)
            })
            .await?;
        let text = facts(&[
            (
                "bought",
                format!("{} of {}", whole(purchase.amount), purchase.datatoken),
            ),
            (
                "paid",
                format!("{} of {}", whole(purchase.paid), purchase.base_token),
            ),
            (
                "of it fees",
                format!(
                    "community {}, market {}",
                    whole(purchase.community_fee),
                    whole(purchase.market_fee)
                ),
            ),
            ("seller", purchase.seller.to_string()),
            ("transaction", purchase.transaction.to_string()),
        ]);
        Report::new(text, &purchase)
    }
}
