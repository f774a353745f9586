//! `posthuman infer`.

use std::io::{BufRead, IsTerminal};

use posthuman_types::{Amount, Did, InferParameters, OrderId, SignedReceipt};
use serde::Serialize;

use super::context::{Context, tokens};
use super::listen::Watch;
use super::output::{self, Report, note};
use crate::{Session, Turn};

/// Open an inference session and continue prompts; answers stream to stdout. Without --prompt, prompts are read from
/// stdin, one a line. The session is closed at the end, so that its last receipt goes on the chain.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman infer DID --prompt 'Call me Ishmael' --wallet derek
  posthuman infer DID --prompt Whale --prompt Sea --temperature 0.8 --top-k 40 --top-p 0.95 --seed 7 --wallet derek
  posthuman infer DID --wallet derek < prompts.txt
  posthuman infer DID --order 8996:0x0000000000000000000000000000000000000000000000000000000000000001:3 --wallet derek")]
pub(crate) struct Args {
    /// The model.
    did: Did,
    /// A prompt; may be given several times.
    #[arg(long)]
    prompt: Vec<String>,
    /// Most tokens of one answer.
    #[arg(long, default_value_t = 64)]
    tokens: u32,
    /// 0 is greedy; otherwise logits are divided by it.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Sample among so many most likely tokens; 0 is all.
    #[arg(long, default_value_t = 0)]
    top_k: u32,
    /// Sample among the most likely tokens that hold this much probability; 1 is all.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// A text that ends the answer; may be given several times.
    #[arg(long)]
    stop: Vec<String>,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pay at most so many whole base tokens to the node.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    max_fee: Option<Amount>,
    /// Go on with a session that was paid earlier.
    #[arg(long, value_name = "ORDER")]
    order: Option<OrderId>,
    /// Leave the session open, to go on later with --order.
    #[arg(long)]
    keep_open: bool,
}

#[derive(Serialize)]
struct Said {
    prompt: String,
    text: String,
    job: String,
    receipt: SignedReceipt,
}

#[derive(Serialize)]
struct Ended {
    did: Did,
    order: String,
    turns: Vec<Said>,
    receipts: Vec<SignedReceipt>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let market = context.market().await?;
        let mut session = match self.order {
            Some(order) => market.session_on(&self.did, order).await?,
            None => {
                let mut watch = Watch::new();
                market
                    .session(&self.did, self.max_fee, &mut |event| watch.hear(&event))
                    .await?
            }
        };
        let order = session.order().to_string();
        let mut turns = Vec::new();
        if self.prompt.is_empty() {
            self.read_prompts(&mut session, context.json, &mut turns).await?;
        }
        for prompt in &self.prompt {
            turns.push(self.say(&mut session, prompt.clone(), context.json).await?);
        }
        let receipts = if self.keep_open {
            note(format_args!("the session stays open; go on with --order {order}"));
            turns.iter().map(|turn: &Said| turn.receipt.clone()).collect()
        } else {
            session.close().await?.receipts
        };
        Report::streamed(&Ended {
            did: self.did,
            order,
            turns,
            receipts,
        })
    }

    async fn read_prompts(
        &self,
        session: &mut Session<'_>,
        json: bool,
        turns: &mut Vec<Said>,
    ) -> anyhow::Result<()> {
        let terminal = std::io::stdin().is_terminal();
        loop {
            if terminal {
                note(format_args!(
                    "{} tokens left; a prompt, or nothing to end:",
                    session.tokens_left()
                ));
            }
            // A person may think for as long as they like: the read must not hold a thread of the runtime.
            let line = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).map(|_| line)
            });
            let line = line.await??;
            let prompt = line.trim_end_matches(['\n', '\r']);
            if prompt.is_empty() {
                return Ok(());
            }
            turns.push(self.say(session, prompt.to_owned(), json).await?);
        }
    }

    async fn say(&self, session: &mut Session<'_>, prompt: String, json: bool) -> anyhow::Result<Said> {
        let mut streamed = String::new();
        let mut on_text = |text: &str| {
            streamed.push_str(text);
            if !json && let Err(error) = output::stream(text) {
                tracing::debug!(%error, "nobody reads the answer");
            }
        };
        let turn: Turn = session.say(&prompt, self.parameters(), &mut on_text).await?;
        if !json {
            // Whatever the stream missed, for example across a restart of the node, is in the whole answer.
            let rest = turn.text.strip_prefix(streamed.as_str()).unwrap_or_default();
            output::stream(&format!("{rest}\n"))?;
        }
        Ok(Said {
            prompt,
            text: turn.text,
            job: turn.job.id.to_string(),
            receipt: turn.receipt,
        })
    }

    fn parameters(&self) -> InferParameters {
        InferParameters {
            maximum_tokens: self.tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            stop: self.stop.clone(),
            seed: self.seed,
        }
    }
}
