//! A node that dies by SIGKILL at a named place and is started again: the end is as if nothing had happened.

pub mod audit;
mod play;
mod start;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::market::{Person, tiny_child_work};
use e2e::texts;
use posthuman_types::api::OrderState;
use posthuman_types::{Amount, Parameters, U256};

use crate::ground::{Ground, block_on, ground, quiet};
use audit::same;
pub use play::{Play, Purse};

/// Where the node dies while Bob trains a child of Alice's model; `@N` is the Nth time that it comes by.
const TRAINING: &[&str] = &[
    // The upload of his text.
    "vault.chunk.after_rename",
    "vault.manifest.before_rename",
    "node.upload_chunk.before_commit",
    "node.upload_complete.after_commit",
    // The start of his job.
    "queue.admit.before_commit",
    "queue.admit.after_commit",
    "queue.lease.after_commit",
    "queue.renew.before_commit",
    // Its first checkpoint, its second, which replaces the first, and the result.
    "launcher.checkpoint.before_record",
    "vault.commit.before_rename",
    "queue.checkpoint.after_commit@2",
    "work.result_sealed",
    "queue.finish.before_commit",
    "work.result_recorded",
    // The receipt.
    "settle.receipt_signed",
    "queue.receipted.after_commit",
    // The birth of the child, transaction by transaction.
    "publish.splitter",
    "publish.collector",
    "publish.exchange",
    "publish.mint",
    "publish.minter",
    "publish.lineage",
    "publish.metadata",
    "publish.indexed",
    "queue.published.after_commit",
    // The attestation.
    "settle.on_chain",
    "queue.settled.before_commit",
    // The life of one transaction: of the second mint, which is the fifth that the birth sends.
    "outbox.signed@5",
    "outbox.recorded@5",
    "outbox.broadcast@5",
    "outbox.mined@5",
];

/// Where it dies while Bob talks to Alice's model and ends the session.
const SESSION: &[&str] = &[
    "queue.receipted.before_commit",
    "queue.close.before_commit",
    "queue.close.after_commit",
];

/// Scenarios at the same time.
const LANES: usize = 2;
/// How long a receipt may take to the chain, on two cores that have more to do.
const SETTLEMENT: Duration = Duration::from_secs(180);

#[test]
fn whatever_the_break_point_the_end_is_the_same() {
    let ground = ground();
    let undisturbed = std::iter::once(None);
    let cases: Vec<_> = undisturbed.chain(TRAINING.iter().copied().map(Some)).collect();
    in_lanes(&cases, |place| block_on(train(&ground, place)));
}

#[test]
fn a_session_survives_every_break_point() {
    let ground = ground();
    in_lanes(SESSION, |place| block_on(talk(&ground, place)));
}

/// Runs all cases, tells all failures.
pub fn in_lanes<C: Copy + std::fmt::Debug + Sync>(cases: &[C], run: impl Fn(C) -> anyhow::Result<()> + Sync) {
    let next = Mutex::new(cases.iter());
    let failures = Mutex::new(Vec::new());
    let lane = || {
        loop {
            let case = next
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next()
                .copied();
            let Some(case) = case else { break };
            if let Err(error) = run(case) {
                failures
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(format!("{case:?}: {error:?}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}

async fn train(ground: &Ground, place: Option<&str>) -> anyhow::Result<()> {
    let mut play = Play::begin(ground, place, Person::Bob).await?;
    let mut work = tiny_child_work(&ground.root.did, "Child")?;
    if let Parameters::Train(parameters) = &mut work.parameters {
        // Three checkpoints of two steps each.
        parameters.steps = 6;
    }
    let before = Purse::of(&play.market, Person::Bob, ground.root.datatoken).await?;
    let offer = play
        .step(async |bob| Ok(bob.quote(work.clone(), &mut quiet()).await?))
        .await?;
    // Paying needs the chain alone.
    let order = play.person().await?.order(&offer, None, &mut quiet()).await?;
    let job = play
        .until_settled(order, async |bob| {
            Ok(bob.start(order, &offer, &mut quiet()).await?)
        })
        .await?;
    let child = job.published.clone().context("the job published nothing")?;

    // The node still serves: Bob talks to the child with a datatoken that he was born with.
    let bob = play.person().await?;
    let offer_fee = offer.quote.provider_fee.amount.0;
    let mut session = bob.session(&child, None, &mut quiet()).await?;
    session.say("Call me", texts::greedy(), &mut |_| {}).await?;
    let second = session.order();
    session.close().await?;
    wait_for_settlement(&bob, second).await?;
    let second = play
        .market
        .chain()
        .order(&second)
        .await?
        .context("no second order")?;
    let second_fee = second.provider_fee.context("no second fee")?.amount.0;
    let after = Purse::of(&play.market, Person::Bob, ground.root.datatoken).await?;
    let expected = Purse {
        ocean: before.ocean - offer_fee - second_fee,
        datatokens: before.datatokens - Amount::tokens(1).0,
    };
    same("Bob's purse", after, expected)?;

    audit::child(&play.market, &bob, &ground.root.did, &job).await?;
    // Three operations, the blank model, the root and one child.
    same("data NFTs", audit::nfts(&play.market).await?, 6)?;
    play.market.stop_node()?;
    audit::database(play.market.data(), &job).await?;
    audit::outbox(&play.market, &[&job]).await?;
    audit::vault(play.market.data()).await
}

async fn talk(ground: &Ground, place: &str) -> anyhow::Result<()> {
    let mut play = Play::begin(ground, Some(place), Person::Bob).await?;
    let did = &ground.root.did;
    let before = Purse::of(&play.market, Person::Bob, ground.root.datatoken).await?;
    let bob = play.person().await?;
    let order = bob.session(did, None, &mut quiet()).await?.order();
    let job = play
        .step(async |bob| {
            let mut session = bob.session_on(did, order).await?;
            // A turn that was taken before the node died is not taken again.
            if let Some(job) = bob
                .jobs(10, 0)
                .await?
                .jobs
                .into_iter()
                .find(|job| job.order == order)
            {
                return Ok(bob.wait(job.id, posthuman::Goal::Receipted, &mut quiet()).await?);
            }
            Ok(session.say("Call me", texts::greedy(), &mut |_| {}).await?.job)
        })
        .await?;
    play.step(async |bob| {
        let state = bob.node().order(&order).await?;
        if state.state != OrderState::Used {
            bob.node().close(&order).await?;
        }
        Ok(())
    })
    .await?;
    play.step(async |bob| wait_for_settlement(&bob, order).await)
        .await?;
    play.outlive_death().await?;
    let bob = play.person().await?;
    wait_for_settlement(&bob, order).await?;
    let job = bob.node().job(job.id).await?;
    audit::attested_once(&play.market, &bob, &job).await?;
    let fee = play
        .market
        .chain()
        .order(&order)
        .await?
        .and_then(|order| order.provider_fee)
        .context("no fee")?;
    let after = Purse::of(&play.market, Person::Bob, ground.root.datatoken).await?;
    let one: U256 = Amount::tokens(1).0;
    same(
        "Bob's purse",
        after,
        Purse {
            ocean: before.ocean - fee.amount.0,
            datatokens: before.datatokens - one,
        },
    )?;
    play.market.stop_node()?;
    audit::database(play.market.data(), &job).await?;
    audit::outbox(&play.market, &[]).await?;
    audit::vault(play.market.data()).await
}

/// Waits until the last receipt of an order is on the chain.
pub async fn wait_for_settlement(
    person: &posthuman::Market,
    order: posthuman_types::OrderId,
) -> anyhow::Result<()> {
    let end = Instant::now() + SETTLEMENT;
    while Instant::now() < end {
        if person.node().order(&order).await?.settlement.is_some() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("order {order} is not settled after {} s", SETTLEMENT.as_secs())
}
