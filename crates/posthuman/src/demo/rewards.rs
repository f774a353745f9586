//! Step 3, and its echo after M3: rewards at birth, with the arithmetic.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use posthuman_chain::birth_mint;
use posthuman_types::api::Asset;
use posthuman_types::{Address, U256};

use super::story::{Story, Tell};
use super::{Cast, numbers};
use crate::Trained;
use crate::cli::asset::{percent, whole};

/// M2's birth mint.
pub(super) async fn of_bob(
    cast: &Cast,
    m1: &Trained,
    m2: &Trained,
    story: &Story,
    tell: &mut Tell,
) -> anyhow::Result<()> {
    tell.step("3. Rewards at birth");
    tell.line(format!(
        "M1 fixed the parent share of its line at {}.",
        percent(numbers::SHARE_BPS)
    ));
    check(cast, &m1.model, &m2.model, story, tell).await
}

/// M3's birth mint: what Alice, Bob and Charlie end with.
pub(super) async fn of_charlie(
    cast: &Cast,
    line: [&Trained; 3],
    story: &Story,
    tell: &mut Tell,
) -> anyhow::Result<()> {
    let [_, m2, m3] = line;
    check(cast, &m2.model, &m3.model, story, tell).await?;
    let chain = cast.alice.chain();
    let token = chain.token(m3.model.datatoken);
    let total = token.total_supply().await?;
    for (name, market, percent) in [
        ("Charlie", &cast.charlie, 80_u64),
        ("Bob", &cast.bob, 16),
        ("Alice", &cast.alice, 4),
    ] {
        let has = token.balance_of(market.address()).await?;
        let due = total * U256::from(percent) / U256::from(100);
        ensure!(has == due, "{name} has {has} units of M3 and the rule says {due}");
        tell.line(format!(
            "{name} has {} of {} datatokens of M3: {percent} %.",
            whole(has.into()),
            whole(total.into())
        ));
    }
    Ok(())
}

/// Computes a birth mint anew and compares it with what the chain and the node say.
async fn check(
    cast: &Cast,
    parent: &Asset,
    child: &Asset,
    story: &Story,
    tell: &mut Tell,
) -> anyhow::Result<()> {
    let royalties = cast.alice.royalties(&child.did).await?;
    ensure!(
        !royalties.collector_changed,
        "the payment collector of {} was changed",
        child.name
    );
    ensure!(
        royalties.final_shares,
        "the shares of {}'s collector are not final",
        child.name
    );
    let trainer = child.trainer.context("a trained model names its trainer")?;
    let births: Vec<(Address, U256)> = parent
        .initial_supply
        .iter()
        .map(|birth| (birth.address, birth.amount.0))
        .collect();
    let total = child
        .initial_supply
        .iter()
        .fold(U256::ZERO, |sum, birth| sum + birth.amount.0);
    let share = child
        .parent_share_bps
        .context("a trained model has a parent share")?;
    let expected: BTreeMap<Address, U256> = birth_mint(total, share, Some(&births), parent.trainer, trainer)
        .into_iter()
        .collect();
    let minted: BTreeMap<Address, U256> = child
        .initial_supply
        .iter()
        .map(|birth| (birth.address, birth.amount.0))
        .collect();
    ensure!(
        minted == expected,
        "the birth mint of {} is {minted:?} and the rule says {expected:?}",
        child.name
    );
    tell.line(format!(
        "{} mints {} datatokens: 1 − {} for its trainer, {} for the holders of {}'s birth mint by their own fractions.",
        child.name,
        whole(total.into()),
        percent(share),
        percent(share),
        parent.name
    ));
    for (address, amount) in &minted {
        tell.line(format!(
            "  {} to {}",
            whole((*amount).into()),
            story.name(*address)
        ));
    }
    for payee in &royalties.payees {
        tell.line(format!(
            "  income of {}: {} to {}",
            child.name,
            percent(payee.share_bps),
            story.name(payee.address)
        ));
    }
    Ok(())
}
