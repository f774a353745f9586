//! Step 1: Alice publishes M1.

use posthuman_types::Amount;

use super::story::{Story, Tell};
use super::texts::Texts;
use super::{Cast, numbers};
use crate::cli::asset::whole;
use crate::cli::listen::Watch;
use crate::{Text, Trained};

/// Alice buys a datatoken of the blank model and has M1 made from her text.
pub(super) async fn publish(
    cast: &Cast,
    texts: &Texts,
    story: &mut Story,
    tell: &mut Tell,
) -> anyhow::Result<Trained> {
    let alice = &cast.alice;
    tell.step("1. Alice publishes M1");
    let blank = alice.info().blank.clone();
    let mut watch = Watch::new();
    let mut listener = |event: crate::Event<'_>| watch.hear(&event);
    let purchase = alice.buy(&blank, Amount::tokens(1), None, &mut listener).await?;
    tell.line(format!(
        "Alice buys one datatoken of the blank model for {} OCEAN.",
        whole(purchase.paid)
    ));
    let inputs = vec![
        Text::text(texts.x.text.clone()),
        Text::held_out(texts.x.held_out.clone()),
    ];
    let trained = alice
        .train(&blank, inputs, numbers::m1(), None, &mut listener)
        .await?;
    watch.finish();
    let model = &trained.model;
    if let Some(shape) = &model.architecture {
        tell.line(format!(
            "She orders a training from scratch on {} bytes of Moby-Dick: {} layers, {} heads, width {}, {} parameters.",
            texts.x.text.len(),
            shape.layers,
            shape.heads,
            shape.width,
            shape.parameters
        ));
    }
    tell.line(format!(
        "M1 is {}, its receipt {}.",
        model.did, trained.receipt.digest
    ));
    let royalties = alice.royalties(&model.did).await?;
    story.worked("alice", &blank, &trained.job, &trained.receipt);
    story.born(model, &royalties, &trained.receipt);
    Ok(trained)
}
