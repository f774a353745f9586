//! Step 2: Bob fine-tunes M1 into M2.

use anyhow::ensure;
use posthuman_types::{Amount, Parameters};

use super::story::{Story, Tell};
use super::texts::Texts;
use super::{Cast, numbers};
use crate::cli::asset::whole;
use crate::cli::listen::Watch;
use crate::{Goal, Text, Trained, Work};

/// Bob buys, has his text checked before he pays, orders, starts, and M2 exists. The node gets its fee to the unit.
pub(super) async fn fine_tune(
    cast: &Cast,
    texts: &Texts,
    m1: &Trained,
    story: &mut Story,
    tell: &mut Tell,
) -> anyhow::Result<Trained> {
    let bob = &cast.bob;
    let parent = &m1.model.did;
    tell.step("2. Bob fine-tunes M1 into M2");
    let mut watch = Watch::new();
    let mut listener = |event: crate::Event<'_>| watch.hear(&event);
    let purchase = bob.buy(parent, Amount::tokens(1), None, &mut listener).await?;
    tell.line(format!(
        "Bob buys one datatoken of M1 for {} OCEAN.",
        whole(purchase.paid)
    ));
    let work = Work {
        did: parent.clone(),
        texts: vec![
            Text::text(texts.y.text.clone()),
            Text::held_out(texts.y.held_out.clone()),
        ],
        parameters: Parameters::Train(numbers::m2()),
    };
    let offer = bob.quote(work, &mut listener).await?;
    let fee = offer.quote.provider_fee.amount;
    tell.line(format!(
        "The node has checked his text: {} tokens to train, fee {} OCEAN.",
        offer.quote.tokens,
        whole(fee)
    ));
    let (ocean, node) = (bob.chain().token(bob.info().base_token), bob.info().wallet);
    let before = ocean.balance_of(node).await?;
    let order = bob.order(&offer, None, &mut listener).await?;
    let earned = ocean.balance_of(node).await?.saturating_sub(before);
    let net = bob.chain().net_provider_fee(fee.0).await?;
    ensure!(earned == net, "the node earned {earned} and the net fee is {net}");
    tell.line(format!(
        "He orders; the node's balance rises by exactly {} OCEAN, the fee without the community's share.",
        whole(Amount(net))
    ));
    let job = bob.start(order, &offer, &mut listener).await?;
    let job = bob.wait(job.id, Goal::Published, &mut listener).await?;
    watch.finish();
    let trained = bob.trained(job).await?;
    tell.line(format!(
        "M2 is {}, its receipt {}.",
        trained.model.did, trained.receipt.digest
    ));
    let royalties = bob.royalties(&trained.model.did).await?;
    story.worked("bob", parent, &trained.job, &trained.receipt);
    story.born(&trained.model, &royalties, &trained.receipt);
    Ok(trained)
}
