//! `posthuman evaluate`.

use std::path::PathBuf;

use posthuman_types::{Amount, Did, EvaluateParameters, OrderId, Parameters, Precision};
use serde::Serialize;

use super::Wrong;
use super::context::{Context, precision, read_file, tokens};
use super::listen::Watch;
use super::output::{Report, note, table};
use crate::compare::{self, Baselines, Resampling, Verdict, Versus};
use crate::market::{EvaluationOutput, check_precision};
use crate::{Evaluation, Market, Text};

/// Resamples of the bootstrap, unless said otherwise.
pub(crate) const SAMPLES: u32 = 2000;

/// Score a text with a model, and compare: with other models on the same text, with a published figure, with an order-2
/// byte model and gzip. Each model takes one datatoken and a fee. Ends with a table and a verdict.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman evaluate DID --text test.txt --wallet elena
  posthuman evaluate DID --text test.txt --precision bf16 --wallet elena
  posthuman evaluate DID --text test.txt --against DID --baseline-text train.txt --published 2.1 --wallet elena
  posthuman evaluate DID --text test.txt --against DID --order 8996:0x0000000000000000000000000000000000000000000000000000000000000001:3 --wallet elena")]
pub(crate) struct Args {
    /// The model.
    did: Did,
    /// The text to score: one that no model has read.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Another model to score on the same text; may be given several times.
    #[arg(long, value_name = "DID")]
    against: Vec<Did>,
    /// A published figure to compare with, in bits per byte.
    #[arg(long, value_name = "FIGURE")]
    published: Option<f64>,
    /// A text that the baselines learn from.
    #[arg(long, value_name = "FILE")]
    baseline_text: Option<PathBuf>,
    /// Resamples of the bootstrap.
    #[arg(long, default_value_t = SAMPLES)]
    samples: u32,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// In what products are computed: f32, or bf16, which is faster where the processor has instructions for it and whose
    /// bits they decide; the receipt names them. Not for quantised models.
    #[arg(long, default_value_t = Precision::F32, value_parser = precision)]
    precision: Precision,
    /// Pay at most so many whole base tokens to the node for each model.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    max_fee: Option<Amount>,
    /// Go on with an order that was paid earlier; may be given several times: for the first model, then for those of
    /// --against in their order. The others are paid.
    #[arg(long, value_name = "ORDER")]
    order: Vec<OrderId>,
}

#[derive(Serialize)]
struct Row {
    did: Did,
    name: String,
    tokens: u64,
    bytes: u64,
    loss: f64,
    perplexity: f64,
    bits_per_byte: f64,
    accuracy: f64,
    ci95: [f64; 2],
    job: String,
    receipt: String,
}

#[derive(Serialize)]
struct Compared {
    against: String,
    #[serde(flatten)]
    versus: Versus,
}

#[derive(Serialize)]
struct Outcome {
    evaluation: Vec<Row>,
    baseline: Option<Baselines>,
    published: Option<f64>,
    comparisons: Vec<Compared>,
    verdict: Vec<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        if self
            .published
            .is_some_and(|figure| !figure.is_finite() || figure <= 0.0)
        {
            return Err(Wrong("a published figure is a number of bits per byte above 0".to_owned()).into());
        }
        let models: Vec<&Did> = std::iter::once(&self.did).chain(&self.against).collect();
        if self.order.len() > models.len() {
            let (orders, models) = (self.order.len(), models.len());
            return Err(Wrong(format!("{orders} orders for {models} models; leave some out")).into());
        }
        let text = read_file(&self.text)?;
        let baseline = match &self.baseline_text {
            Some(path) => Some(compare::baselines(&read_file(path)?, &text)?),
            None => None,
        };
        let market = context.market().await?;
        let parameters = self.parameters();
        check_models(&market, &models, &parameters).await?;
        check_holdings(&market, &models[self.order.len()..]).await?;
        let mut paid = Vec::new();
        let mut evaluations = Vec::new();
        for (index, did) in models.into_iter().enumerate() {
            let order = self.order.get(index).copied();
            let work = (&text[..], parameters.clone());
            let evaluation = self.score(&market, did, work, order, &mut paid).await;
            evaluations.push(evaluation.inspect_err(|_| goes_on(&paid))?);
        }
        let outcome = self.outcome(&market, &evaluations, baseline).await?;
        Report::new(outcome.text(), &outcome)
    }

    fn parameters(&self) -> EvaluateParameters {
        EvaluateParameters {
            bootstrap_samples: self.samples,
            seed: self.seed,
            precision: self.precision,
        }
    }

    async fn score(
        &self,
        market: &Market,
        did: &Did,
        (text, parameters): (&[u8], EvaluateParameters),
        order: Option<OrderId>,
        paid: &mut Vec<OrderId>,
    ) -> anyhow::Result<Evaluation> {
        let text = Text::text(text.to_vec());
        let mut watch = Watch::new();
        paid.extend(order);
        let mut listener = |event: crate::Event<'_>| {
            if let crate::Event::Ordered(order) = event {
                paid.push(order);
            }
            watch.hear(&event);
        };
        let evaluation = match order {
            Some(order) => {
                market
                    .evaluate_on(order, did, text, parameters, &mut listener)
                    .await?
            }
            None => {
                market
                    .evaluate(did, text, parameters, self.max_fee, &mut listener)
                    .await?
            }
        };
        watch.finish();
        Ok(evaluation)
    }

    async fn outcome(
        &self,
        market: &Market,
        evaluations: &[Evaluation],
        baseline: Option<Baselines>,
    ) -> anyhow::Result<Outcome> {
        let resampling = Resampling {
            samples: self.samples,
            seed: self.seed,
        };
        let mut rows = Vec::new();
        for evaluation in evaluations {
            let name = market.node().asset(&evaluation.did).await?.name;
            rows.push(row(
                evaluation,
                name,
                compare::interval(&evaluation.output, resampling)?,
            ));
        }
        let mut comparisons = Vec::new();
        let mut verdict = Vec::new();
        let Some((first, others)) = evaluations.split_first() else {
            return Err(Wrong("no model".to_owned()).into());
        };
        for (other, row) in others.iter().zip(&rows[1..]) {
            let versus = compare::versus(first, other, resampling)?;
            verdict.push(sentence(&rows[0].name, &row.name, &versus));
            comparisons.push(Compared {
                against: row.did.to_string(),
                versus,
            });
        }
        verdict.extend(self.against_figures(&first.output, &rows[0], baseline));
        Ok(Outcome {
            evaluation: rows,
            baseline,
            published: self.published,
            comparisons,
            verdict,
        })
    }

    /// A single figure has no pieces to pair: it is compared with the interval.
    fn against_figures(
        &self,
        output: &EvaluationOutput,
        row: &Row,
        baseline: Option<Baselines>,
    ) -> Vec<String> {
        let figures = [
            ("the published figure", self.published),
            (
                "an order-2 byte model",
                baseline.map(|baseline| baseline.order2_bits_per_byte),
            ),
            ("gzip", baseline.map(|baseline| baseline.gzip_bits_per_byte)),
        ];
        let sentence = |(what, figure): (&str, f64)| {
            let [low, high] = row.ci95;
            let relation = match figure {
                _ if high < figure => "beats",
                _ if low > figure => "falls behind",
                _ => "is not told apart from",
            };
            format!(
                "{} {relation} {what}: {:.4} bits per byte ({low:.4} to {high:.4}) against {figure:.4}",
                row.name, output.bits_per_byte
            )
        };
        figures
            .into_iter()
            .filter_map(|(what, figure)| Some((what, figure?)))
            .map(sentence)
            .collect()
    }
}

/// None is paid while another could not be scored so.
async fn check_models(
    market: &Market,
    models: &[&Did],
    parameters: &EvaluateParameters,
) -> anyhow::Result<()> {
    let parameters = Parameters::Evaluate(parameters.clone());
    for did in models {
        check_precision(&market.asset(did).await?, &parameters)?;
    }
    Ok(())
}

/// Each order spends a datatoken: none is paid while another could not be.
async fn check_holdings(market: &Market, models: &[&Did]) -> anyhow::Result<()> {
    for (index, did) in models.iter().enumerate() {
        if models[..index].contains(did) {
            continue;
        }
        let orders = models.iter().filter(|other| *other == did).count();
        market.check_holding(did, orders as u64).await?;
    }
    Ok(())
}

fn goes_on(paid: &[OrderId]) {
    if paid.is_empty() {
        return;
    }
    let orders: Vec<String> = paid.iter().map(|order| format!(" --order {order}")).collect();
    note(format_args!(
        "what was paid is not lost; go on with the same command and{}",
        orders.concat()
    ));
}

impl Outcome {
    fn text(&self) -> String {
        let header = [
            "model",
            "tokens",
            "loss",
            "perplexity",
            "bits/byte",
            "95 % interval",
            "accuracy",
        ];
        let mut rows: Vec<Vec<String>> = self.evaluation.iter().map(Row::cells).collect();
        let single = |name: &str, figure: f64| {
            let mut cells = vec!["-".to_owned(); header.len()];
            cells[0] = name.to_owned();
            cells[4] = format!("{figure:.4}");
            cells
        };
        if let Some(baseline) = &self.baseline {
            rows.push(single("order-2 byte model", baseline.order2_bits_per_byte));
            rows.push(single("gzip", baseline.gzip_bits_per_byte));
        }
        rows.extend(self.published.map(|figure| single("published", figure)));
        let mut text = table(&header, rows);
        for line in &self.verdict {
            text.push_str(&format!("\n\n{line}"));
        }
        text
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.tokens.to_string(),
            format!("{:.4}", self.loss),
            format!("{:.2}", self.perplexity),
            format!("{:.4}", self.bits_per_byte),
            format!("{:.4} to {:.4}", self.ci95[0], self.ci95[1]),
            format!("{:.2} %", self.accuracy * 100.0),
        ]
    }
}

fn row(evaluation: &Evaluation, name: String, ci95: [f64; 2]) -> Row {
    let output = &evaluation.output;
    Row {
        did: evaluation.did.clone(),
        name,
        tokens: output.tokens,
        bytes: output.bytes,
        loss: output.loss,
        perplexity: output.perplexity,
        bits_per_byte: output.bits_per_byte,
        accuracy: output.accuracy,
        ci95,
        job: evaluation.job.id.to_string(),
        receipt: evaluation.receipt.digest.to_string(),
    }
}

fn sentence(first: &str, second: &str, versus: &Versus) -> String {
    let difference = versus.difference.abs();
    let [low, high] = versus.ci95;
    let interval = format!(
        "difference {:.4}, paired 95 % interval {low:.4} to {high:.4}",
        versus.difference
    );
    match versus.verdict {
        Verdict::First => format!("{first} beats {second} by {difference:.4} bits per byte ({interval})"),
        Verdict::Second => format!("{second} beats {first} by {difference:.4} bits per byte ({interval})"),
        Verdict::Undecided => format!("{first} and {second} are not told apart on this text ({interval})"),
    }
}
