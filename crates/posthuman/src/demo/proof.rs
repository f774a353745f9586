//! The end of the story: every receipt against the chain, every job once more.

use anyhow::{Context as _, bail};
use futures::{StreamExt, stream};
use posthuman_types::Operation;

use super::story::{Story, Tell};
use super::{Cast, Stage};
use crate::cli::keys;
use crate::cli::listen::Watch;
use crate::cli::output::Progress;
use crate::verify::rerun::{RerunOptions, rerun};
use crate::verify::{Material, verify};
use crate::{Goal, Market};

/// Jobs that are run again at a time.
const SIDE_BY_SIDE: usize = 2;

/// Waits until every digest is on the chain and verifies every receipt.
pub(super) async fn verify_all(
    stage: &Stage,
    cast: &Cast,
    story: &mut Story,
    tell: &mut Tell,
) -> anyhow::Result<()> {
    tell.step("Receipts");
    let mut watch = Watch::new();
    for done in &story.done {
        let market: &Market = match done.who {
            "alice" => &cast.alice,
            "bob" => &cast.bob,
            "charlie" => &cast.charlie,
            "derek" => &cast.derek,
            _ => &cast.elena,
        };
        let job = done.receipt.receipt.job;
        market
            .wait(job, Goal::Settled, &mut |event| watch.hear(&event))
            .await?;
        let material = Material {
            session: done.session.clone(),
            ..Material::default()
        };
        let verification = verify(stage.devnet.chain(), &done.receipt, &material).await?;
        if let Some(failure) = verification.failure() {
            bail!(
                "the receipt of job {job} does not hold: {}: {}",
                failure.name,
                failure.detail
            );
        }
        if let Some(warning) = verification.warnings.first() {
            bail!("the receipt of job {job} holds, but {warning}");
        }
        story.receipts_verified += 1;
    }
    watch.finish();
    tell.line(format!(
        "{} receipts verified against the chain.",
        story.receipts_verified
    ));
    Ok(())
}

/// Runs every job again, with other numbers of threads than the first time.
pub(super) async fn run_all_again(stage: &Stage, story: &mut Story, tell: &mut Tell) -> anyhow::Result<()> {
    let pair = &stage.keys.master_key;
    let master_key = keys::open_master_key(pair.keystore.clone(), pair.password.clone()).await?;
    let executable = std::env::current_exe()?;
    let total = story.done.len() as u64;
    let mut progress = Progress::new();
    progress.show(0, total, "jobs run again");
    let mut runs = stream::iter(story.done.iter().map(|done| {
        let receipt = done.receipt.receipt.clone();
        let options = RerunOptions {
            data: stage.data.clone(),
            master_key: master_key.clone(),
            executable: executable.clone(),
            sandbox: stage.sandbox,
            threads: other_threads(receipt.operation),
        };
        async move {
            let job = receipt.job;
            let checks = tokio::task::spawn_blocking(move || rerun(&receipt, &options)).await?;
            let checks = checks.with_context(|| format!("running job {job} again"))?;
            if let Some(failure) = checks.iter().find(|check| !check.ok) {
                bail!("job {job}, run again, differs: {}", failure.detail);
            }
            Ok(job)
        }
    }))
    .buffer_unordered(SIDE_BY_SIDE);
    while let Some(job) = runs.next().await {
        let job = job?;
        story.reruns_bit_identical += 1;
        progress.show(
            story.reruns_bit_identical,
            total,
            &format!("jobs run again; {job} gave the same bits"),
        );
    }
    progress.finish();
    tell.line(format!(
        "{} jobs run again with other numbers of threads: the same bits.",
        story.reruns_bit_identical
    ));
    Ok(())
}

/// The node ran every job with two threads. A training is run again with one, since another runs beside it.
fn other_threads(operation: Operation) -> Vec<u16> {
    match operation {
        Operation::Train => vec![1],
        Operation::Infer | Operation::Evaluate => vec![1, 3],
    }
}
