//! `posthuman sell`.

use posthuman_types::{Amount, Did};

use super::Wrong;
use super::asset::whole;
use super::context::{Context, tokens};
use super::listen::Watch;
use super::output::{Report, facts};

/// Offer datatokens that you hold. The node opens the exchange, you allow it exactly what is for sale, and the
/// proceeds go through the model's payment collector, so that its ancestors are paid too. Selling again changes amount
/// and price.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman sell DID --amount 5 --price 3 --wallet bob
  posthuman sell DID --amount 0 --wallet bob    withdraws the offer")]
pub(crate) struct Args {
    /// The model.
    did: Did,
    /// Whole datatokens; 0 withdraws what was offered.
    #[arg(long, value_parser = tokens)]
    amount: Amount,
    /// Price of one in whole base tokens, without fees.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    price: Option<Amount>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        if self.amount == Amount::ZERO {
            return self.withdraw(context).await;
        }
        let Some(price) = self.price else {
            return Err(Wrong("an offer needs a price; give --price TOKENS".to_owned()).into());
        };
        let market = context.market().await?;
        let mut watch = Watch::new();
        let selling = market
            .sell(&self.did, self.amount, price, &mut |event| watch.hear(&event))
            .await?;
        let price = match selling.former_price {
            Some(former) => format!("{}, until now {},", whole(price), whole(former)),
            None => whole(price),
        };
        let text = facts(&[
            (
                "offered",
                format!("{} of {}", whole(selling.offered), selling.sale.datatoken),
            ),
            ("price", format!("{price} of {}", selling.sale.base_token)),
            ("exchange", selling.sale.exchange.to_string()),
            ("contract", selling.sale.contract.to_string()),
        ]);
        Report::new(text, &selling)
    }

    async fn withdraw(&self, context: &Context) -> anyhow::Result<Report> {
        let market = context.market().await?;
        let mut watch = Watch::new();
        let withdrawn = market
            .withdraw_sale(&self.did, &mut |event| watch.hear(&event))
            .await?;
        let text = match withdrawn {
            true => "the offer is withdrawn",
            false => "nothing of yours was on offer",
        };
        Report::new(text, &serde_json::json!({ "withdrawn": withdrawn }))
    }
}
