//! `posthuman jobs`.

use std::path::PathBuf;

use clap::Subcommand;
use posthuman_types::JobId;
use posthuman_types::api::Job;

use super::context::Context;
use super::listen::Watch;
use super::output::{self, Report, facts, table};
use crate::market::check_output;
use crate::{Event, Goal, MarketError};

/// Your jobs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List them, newest first.
    #[command(after_help = "Example:\n  posthuman jobs list --wallet bob")]
    List {
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u64,
        /// Skip so many.
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Show one.
    #[command(after_help = "Example:\n  posthuman jobs show 00000000000000000000000000000001 --wallet bob")]
    Show {
        /// The job.
        job: JobId,
    },
    /// Follow one until its receipt is on the chain.
    #[command(after_help = "Example:\n  posthuman jobs watch 00000000000000000000000000000001 --wallet bob")]
    Watch {
        /// The job.
        job: JobId,
    },
    /// Fetch an output file, to stdout or into a file.
    #[command(
        after_help = "Example:\n  posthuman jobs output 00000000000000000000000000000001 evaluation.json --wallet elena"
    )]
    Output {
        /// The job.
        job: JobId,
        /// Its name, as `jobs show` lists it.
        name: String,
        /// Where to put it.
        #[arg(long, value_name = "FILE")]
        into: Option<PathBuf>,
    },
    /// Fetch the receipt, as `posthuman verify` reads it.
    #[command(after_help = "Example:\n  posthuman jobs receipt 00000000000000000000000000000001")]
    Receipt {
        /// The job.
        job: JobId,
    },
    /// Cancel one; its order stays open.
    #[command(after_help = "Example:\n  posthuman jobs cancel 00000000000000000000000000000001 --wallet bob")]
    Cancel {
        /// The job.
        job: JobId,
    },
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        if let Command::Receipt { job } = self.command {
            let receipt = context.node()?.receipt_of(job).await?;
            return Report::new(serde_json::to_string_pretty(&receipt)?, &receipt);
        }
        let node = context.signed_node().await?;
        match self.command {
            Command::List { limit, offset } => {
                let page = node.jobs(limit, offset).await?;
                let rows = page.jobs.iter().map(|job| {
                    vec![
                        job.id.to_string(),
                        job.operation.to_string(),
                        state(job),
                        job.did.to_string(),
                    ]
                });
                let mut text = table(&["job", "operation", "state", "asset"], rows);
                if page.total > page.jobs.len() as u64 {
                    text.push_str(&format!("\n{} of {}", page.jobs.len(), page.total));
                }
                Report::new(text, &page)
            }
            Command::Show { job } => show(&node.job(job).await?),
            Command::Cancel { job } => show(&node.cancel(job).await?),
            Command::Watch { job } => {
                let mut watch = Watch::new();
                let job = node
                    .follow(job, Goal::Settled, &mut |event| watch.hear(&Event::Job(event)))
                    .await?;
                watch.finish();
                show(&job)
            }
            Command::Output { job, name, into } => {
                let bytes = node.output(job, &name).await?;
                let bytes = check_output(&node.job(job).await?, &name, bytes)?;
                let Some(path) = into else {
                    let text = String::from_utf8_lossy(&bytes);
                    if !context.json {
                        output::stream(&text)?;
                    }
                    return Report::streamed(&serde_json::json!({ "name": name, "text": text }));
                };
                std::fs::write(&path, &bytes).map_err(|source| MarketError::File {
                    path: path.clone(),
                    source,
                })?;
                let json = serde_json::json!({ "name": name, "file": path, "bytes": bytes.len() });
                Report::new(format!("{} bytes in {}", bytes.len(), path.display()), &json)
            }
            Command::Receipt { .. } => Ok(Report::nothing()),
        }
    }
}

fn show(job: &Job) -> anyhow::Result<Report> {
    let mut lines = vec![
        ("job", job.id.to_string()),
        ("order", job.order.to_string()),
        ("asset", job.did.to_string()),
        ("operation", job.operation.to_string()),
        ("state", state(job)),
        ("attempt", job.attempt.to_string()),
    ];
    if let Some(position) = job.queue_position {
        lines.push(("jobs before it", position.to_string()));
    }
    if let Some(failure) = &job.failure {
        lines.push(("why", format!("{} ({})", failure.message, failure.code)));
    }
    if let Some(usage) = &job.usage {
        lines.push(("tokens", usage.counted(job.operation).to_string()));
    }
    for file in &job.outputs {
        lines.push(("output", format!("{} ({} bytes)", file.name, file.bytes)));
    }
    let optional = [
        ("receipt", job.receipt.map(|receipt| receipt.to_string())),
        ("model", job.published.as_ref().map(ToString::to_string)),
        (
            "settled in",
            job.settlement.map(|transaction| transaction.to_string()),
        ),
    ];
    lines.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Report::new(facts(&lines), job)
}

fn state(job: &Job) -> String {
    if job.running {
        return "running".to_owned();
    }
    serde_json::to_value(job.state)
        .ok()
        .and_then(|state| state.as_str().map(str::to_owned))
        .unwrap_or_default()
}
