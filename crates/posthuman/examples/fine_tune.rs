//! Bob's day as a program: find a model, buy access, check the text before paying, fine-tune, keep the receipt.
//!
//! Run it against `posthuman dev` with a text that is yours: `cargo run --example fine_tune -- speeches.txt`.

use posthuman::{Event, Market, MarketError, MarketOptions, Text, Work, verify};
use posthuman_chain::devnet;
use posthuman_types::api::{AssetKind, AssetQuery};
use posthuman_types::{Amount, Parameters, Precision, Publication, TrainParameters};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read(std::env::args().nth(1).ok_or("name a text file")?)?;
    let market = Market::connect(options(), devnet::account(devnet::BOB)).await?;
    fine_tune(&market, text).await?;
    Ok(())
}

/// The ports of `posthuman dev`, unless the environment names others, as it does for `posthuman`.
fn options() -> MarketOptions {
    let mut options = MarketOptions::default();
    if let Ok(rpc) = std::env::var("POSTHUMAN_RPC") {
        options.rpc = rpc;
    }
    if let Ok(node) = std::env::var("POSTHUMAN_NODE") {
        options.node = node;
    }
    options
}

async fn fine_tune(market: &Market, text: Vec<u8>) -> Result<(), MarketError> {
    let mut on_event = |event: Event<'_>| {
        if let Event::Ordered(order) = event {
            // With this id a program that crashed goes on without paying again: `market.train_on(order, …)`.
            tracing::info!(%order, "paid");
        }
    };
    let query = AssetQuery {
        kind: Some(AssetKind::Model),
        ..AssetQuery::default()
    };
    let models = market.assets(&query).await?.assets;
    let parent = models
        .first()
        .ok_or_else(|| MarketError::Input("nothing is for sale".to_owned()))?;

    market
        .buy(
            &parent.did,
            Amount::tokens(1),
            Some(Amount::tokens(5)),
            &mut on_event,
        )
        .await?;
    let texts = vec![Text::text(text)];
    let work = Work {
        did: parent.did.clone(),
        texts,
        parameters: Parameters::Train(parameters()),
    };
    let offer = market.quote(work, &mut on_event).await?;
    let order = market
        .order(&offer, Some(Amount::tokens(2)), &mut on_event)
        .await?;
    let job = market.start(order, &offer, &mut on_event).await?;
    let job = market
        .wait(job.id, posthuman::Goal::Settled, &mut on_event)
        .await?;
    let trained = market.trained(job).await?;

    let verification = verify(market.chain(), &trained.receipt, &Default::default()).await?;
    assert!(verification.holds(), "{:?}", verification.failure());
    Ok(())
}

fn parameters() -> TrainParameters {
    TrainParameters {
        publication: Publication {
            name: "Mine".to_owned(),
            description: String::new(),
            author: "Bob".to_owned(),
            license: "CC0-1.0".to_owned(),
            parent_share_bps: None,
            price: None,
        },
        architecture: None,
        steps: 10,
        batch: 4,
        sequence: 64,
        accumulate: 1,
        learning_rate: 0.001,
        minimum_learning_rate: 0.0001,
        warmup_steps: 2,
        weight_decay: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        clip: 1.0,
        evaluate_every: 0,
        seed: 1,
        precision: Precision::F32,
    }
}
