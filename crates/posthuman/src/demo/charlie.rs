//! Step 4: Charlie buys from Bob and fine-tunes M2 into M3.

use posthuman_types::Amount;

use super::story::{Story, Tell};
use super::texts::Texts;
use super::{Cast, numbers};
use crate::cli::asset::whole;
use crate::cli::listen::Watch;
use crate::{Text, Trained};

/// Bob opens a sale of his own datatokens; Charlie buys one and trains.
pub(super) async fn fine_tune(
    cast: &Cast,
    texts: &Texts,
    m2: &Trained,
    story: &mut Story,
    tell: &mut Tell,
) -> anyhow::Result<Trained> {
    let (bob, charlie) = (&cast.bob, &cast.charlie);
    let parent = &m2.model.did;
    tell.step("4. Charlie fine-tunes M2 into M3");
    let mut watch = Watch::new();
    let mut listener = |event: crate::Event<'_>| watch.hear(&event);
    let (amount, price) = (
        Amount::tokens(numbers::BOB_SELLS),
        Amount::tokens(numbers::RESALE_PRICE),
    );
    let selling = bob.sell(parent, amount, price, &mut listener).await?;
    tell.line(format!(
        "Bob offers {} datatokens of M2 at {} OCEAN; the exchange may take exactly those.",
        whole(selling.offered),
        whole(price)
    ));
    let purchase = charlie
        .buy(parent, Amount::tokens(1), None, &mut listener)
        .await?;
    tell.line(format!(
        "Charlie buys one from {} for {} OCEAN.",
        story.name(purchase.seller),
        whole(purchase.paid)
    ));
    let inputs = vec![
        Text::text(texts.z.text.clone()),
        Text::held_out(texts.z.held_out.clone()),
    ];
    let trained = charlie
        .train(parent, inputs, numbers::m3(), None, &mut listener)
        .await?;
    for payment in charlie.collect(parent, &mut listener).await? {
        let to: Vec<String> = payment.to.iter().map(|to| story.name(*to)).collect();
        let amount = charlie
            .chain()
            .token(payment.token)
            .amount(payment.amount.0)
            .await?;
        tell.line(format!("{amount} go to {}.", to.join(" and ")));
    }
    watch.finish();
    tell.line(format!(
        "M3 is {}, its receipt {}.",
        trained.model.did, trained.receipt.digest
    ));
    let royalties = charlie.royalties(&trained.model.did).await?;
    story.worked("charlie", parent, &trained.job, &trained.receipt);
    story.born(&trained.model, &royalties, &trained.receipt);
    Ok(trained)
}
