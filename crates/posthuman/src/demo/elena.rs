//! Step 6: Elena evaluates.

use anyhow::ensure;
use posthuman_types::Amount;

use super::story::{Story, Tell};
use super::texts::Texts;
use super::{Cast, numbers};
use crate::cli::listen::Watch;
use crate::cli::output::table;
use crate::compare::{self, Resampling, Verdict};
use crate::{Evaluation, Text, Trained};

/// Elena scores all three models on her text, and each child against its parent on the child's held-out text.
pub(super) async fn evaluate(
    cast: &Cast,
    texts: &Texts,
    line: [&Trained; 3],
    story: &mut Story,
    tell: &mut Tell,
) -> anyhow::Result<()> {
    tell.step("6. Elena evaluates");
    provide(cast, line).await?;
    let [m1, m2, m3] = line;
    let mut scores = Vec::new();
    for model in line {
        scores.push(score(cast, model, "elena", &texts.elena, story).await?);
    }
    let bob = [
        score(cast, m1, "bob", &texts.y.held_out, story).await?,
        score(cast, m2, "bob", &texts.y.held_out, story).await?,
    ];
    let charlie = [
        score(cast, m2, "charlie", &texts.z.held_out, story).await?,
        score(cast, m3, "charlie", &texts.z.held_out, story).await?,
    ];
    let rows = scores.iter().zip(["M1", "M2", "M3"]).map(|(evaluation, name)| {
        let output = &evaluation.output;
        vec![
            name.to_owned(),
            output.tokens.to_string(),
            format!("{:.4}", output.loss),
            format!("{:.2}", output.perplexity),
            format!("{:.4}", output.bits_per_byte),
            format!("{:.2} %", output.accuracy * 100.0),
        ]
    });
    tell.line(table(
        &[
            "on Elena's text",
            "tokens",
            "loss",
            "perplexity",
            "bits/byte",
            "accuracy",
        ],
        rows,
    ));
    let baselines = compare::baselines(texts.x.text.as_bytes(), texts.elena.as_bytes())?;
    story.order2_bits_per_byte = baselines.order2_bits_per_byte;
    let m1 = scores[0].output.bits_per_byte;
    tell.line(format!(
        "An order-2 byte model fitted on Alice's text needs {:.4} bits per byte, gzip {:.4}.",
        baselines.order2_bits_per_byte, baselines.gzip_bits_per_byte
    ));
    ensure!(
        m1 < baselines.order2_bits_per_byte,
        "M1 needs {m1:.4} bits per byte and an order-2 byte model {:.4}: M1 learned too little",
        baselines.order2_bits_per_byte
    );
    against_parent("M2", "M1", &bob, tell)?;
    against_parent("M3", "M2", &charlie, tell)
}

/// Two datatokens of M1 from Alice's exchange, three of M2 from Bob, two of M3 from Charlie.
async fn provide(cast: &Cast, line: [&Trained; 3]) -> anyhow::Result<()> {
    let mut watch = Watch::new();
    let mut listener = |event: crate::Event<'_>| watch.hear(&event);
    let [m1, m2, m3] = line.map(|model| &model.model.did);
    let price = Amount::tokens(numbers::RESALE_PRICE);
    cast.charlie
        .sell(m3, Amount::tokens(numbers::CHARLIE_SELLS), price, &mut listener)
        .await?;
    for (did, amount) in [(m1, 2), (m2, 3), (m3, numbers::CHARLIE_SELLS)] {
        cast.elena
            .buy(did, Amount::tokens(amount), None, &mut listener)
            .await?;
    }
    Ok(())
}

async fn score(
    cast: &Cast,
    model: &Trained,
    whose: &'static str,
    text: &str,
    story: &mut Story,
) -> anyhow::Result<Evaluation> {
    let mut watch = Watch::new();
    let mut listener = |event: crate::Event<'_>| watch.hear(&event);
    let text = Text::text(text.to_owned());
    let did = &model.model.did;
    let evaluation = cast
        .elena
        .evaluate(did, text, numbers::evaluation(), None, &mut listener)
        .await?;
    watch.finish();
    let ci95 = compare::interval(&evaluation.output, resampling())?;
    story.evaluated(&model.model.name, whose, &evaluation, ci95);
    story.worked("elena", did, &evaluation.job, &evaluation.receipt);
    Ok(evaluation)
}

fn against_parent(child: &str, parent: &str, pair: &[Evaluation; 2], tell: &mut Tell) -> anyhow::Result<()> {
    let versus = compare::versus(&pair[1], &pair[0], resampling())?;
    let [low, high] = versus.ci95;
    let difference = versus.difference;
    let detail =
        format!("difference {difference:.4} bits per byte, paired 95 % interval {low:.4} to {high:.4}");
    ensure!(
        versus.verdict == Verdict::First,
        "{child} does not beat {parent} on its own held-out text: {detail}"
    );
    tell.line(format!(
        "{child} beats {parent} on its own held-out text: {detail}."
    ));
    Ok(())
}

fn resampling() -> Resampling {
    let parameters = numbers::evaluation();
    Resampling {
        samples: parameters.bootstrap_samples,
        seed: parameters.seed,
    }
}
