//! The whole story in one command: five people, three models, receipts and rewards, over the client library alone.

mod alice;
mod bob;
mod charlie;
mod derek;
mod elena;
mod numbers;
mod proof;
mod rewards;
mod stage;
mod story;
mod texts;

use std::time::Instant;

use anyhow::Context as _;
use posthuman_chain::devnet;
use posthuman_types::Amount;

pub(crate) use stage::{Stage, StageOptions};
pub(crate) use story::{Story, Tell};

use crate::{Market, MarketOptions};

/// OCEAN that everyone starts with.
const PURSE: u64 = 1_000;

/// The five, each with a wallet and a connection of their own.
pub(super) struct Cast {
    pub alice: Market,
    pub bob: Market,
    pub charlie: Market,
    pub derek: Market,
    pub elena: Market,
}

/// Plays the six steps on a stage, checks every receipt, runs every job again.
///
/// # Errors
/// Anything that does not go as the story says, down to a model that does not beat its parent.
pub(crate) async fn play(stage: &Stage, tell: &mut Tell) -> anyhow::Result<Story> {
    let begun = Instant::now();
    let texts = texts::read(&stage.contracts).context("reading the texts of the story")?;
    let cast = gather(stage).await?;
    let mut story = Story::begin(stage, &cast);
    let m1 = alice::publish(&cast, &texts, &mut story, tell).await?;
    let m2 = bob::fine_tune(&cast, &texts, &m1, &mut story, tell).await?;
    rewards::of_bob(&cast, &m1, &m2, &story, tell).await?;
    let m3 = charlie::fine_tune(&cast, &texts, &m2, &mut story, tell).await?;
    rewards::of_charlie(&cast, [&m1, &m2, &m3], &story, tell).await?;
    derek::infer(&cast, &m3, &mut story, tell).await?;
    elena::evaluate(&cast, &texts, [&m1, &m2, &m3], &mut story, tell).await?;
    proof::verify_all(stage, &cast, &mut story, tell).await?;
    proof::run_all_again(stage, &mut story, tell).await?;
    story.seconds = begun.elapsed().as_secs();
    tell.line(format!("\nThe end, after {} seconds.", story.seconds));
    Ok(story)
}

/// Connects the five and fills their purses.
async fn gather(stage: &Stage) -> anyhow::Result<Cast> {
    let member = async |index: u32| -> anyhow::Result<Market> {
        let wallet = devnet::account(index);
        devnet::fund(
            stage.devnet.chain(),
            wallet.address(),
            Amount::tokens(PURSE).0,
            Amount::tokens(1).0,
        )
        .await?;
        let options = MarketOptions {
            rpc: stage.devnet.url().to_owned(),
            node: stage.node_url.clone(),
            address_file: Some(stage.devnet.address_file().to_owned()),
            ..MarketOptions::default()
        };
        Ok(Market::connect(options, wallet).await?)
    };
    Ok(Cast {
        alice: member(devnet::ALICE).await?,
        bob: member(devnet::BOB).await?,
        charlie: member(devnet::CHARLIE).await?,
        derek: member(devnet::DEREK).await?,
        elena: member(devnet::ELENA).await?,
    })
}
