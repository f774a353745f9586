//! Step 5: Derek gets datatokens of M3 and talks with it.

use posthuman_types::Amount;
use serde_json::json;

use super::story::{Story, Tell};
use super::{Cast, numbers};
use crate::Trained;
use crate::cli::listen::Watch;

/// Charlie sends a datatoken, Derek opens a session, asks twice and closes it.
pub(super) async fn infer(
    cast: &Cast,
    m3: &Trained,
    story: &mut Story,
    tell: &mut Tell,
) -> anyhow::Result<()> {
    let derek = &cast.derek;
    let did = &m3.model.did;
    tell.step("5. Derek uses M3");
    let mut watch = Watch::new();
    let mut listener = |event: crate::Event<'_>| watch.hear(&event);
    cast.charlie
        .send(did, Amount::tokens(1), derek.address(), &mut listener)
        .await?;
    tell.line("Charlie sends Derek one datatoken of M3.");
    let mut session = derek.session(did, None, &mut listener).await?;
    let mut jobs = Vec::new();
    for (prompt, parameters) in numbers::turns() {
        let turn = session.say(prompt, parameters, &mut |_| {}).await?;
        tell.line(format!(
            "Derek: {prompt}\n   M3:{}",
            turn.text.replace('\n', "\n      ")
        ));
        story.inference = match story.inference.take() {
            serde_json::Value::Null => {
                json!({ "prompt": prompt, "text": turn.text, "receipt": turn.receipt.digest })
            }
            first => first,
        };
        jobs.push(turn.job);
    }
    let end = session.close().await?;
    tell.line(format!(
        "The session closes with a chain of {} receipts; the last one's digest goes on the chain.",
        end.receipts.len()
    ));
    story.talked("derek", did, &jobs, &end.receipts);
    Ok(())
}
