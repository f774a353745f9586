//! `posthuman infer`.

use std::io::{BufRead, IsTerminal};

use posthuman_lm::{Message, Role};
use posthuman_types::{Amount, Did, InferParameters, OrderId, Parameters, SignedReceipt};
use serde::Serialize;

use super::Wrong;
use super::context::{Context, tokens};
use super::listen::Watch;
use super::output::{self, Report, note};
use crate::{Market, MarketError, Session, Turn};

/// Open an inference session and continue prompts; answers stream to stdout. Without --prompt, prompts are read from
/// stdin, one a line, and nothing is paid before the first. The session is closed at the end, so that its last receipt
/// goes on the chain.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman infer DID --prompt 'Call me Ishmael' --wallet derek
  posthuman infer DID --prompt Whale --prompt Sea --temperature 0.8 --top-k 40 --top-p 0.95 --seed 7 --wallet derek
  posthuman infer DID --chat --system 'Answer briefly.' --prompt 'Who hunts the whale?' --tokens 200 --wallet derek
  posthuman infer DID --wallet derek < prompts.txt
  posthuman infer DID --order 8996:0x0000000000000000000000000000000000000000000000000000000000000001:3 --wallet derek")]
pub(crate) struct Args {
    /// The model.
    did: Did,
    /// A prompt; may be given several times.
    #[arg(long)]
    prompt: Vec<String>,
    /// Talk with a model that has a chat template: prompts are what a person says, and the earlier turns of this command are remembered.
    #[arg(long)]
    chat: bool,
    /// Instructions for the whole conversation.
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
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
        Parameters::Infer(self.parameters())
            .check()
            .map_err(MarketError::Parameters)?;
        let market = context.market().await?;
        let mut prompts = Prompts::new(self.prompt.clone());
        // Nobody pays for a session without a question.
        let Some(first) = prompts.next(None).await? else {
            return Err(
                Wrong("no prompt; nothing was paid: give --prompt, or prompts on stdin".to_owned()).into(),
            );
        };
        self.check_model(&market).await?;
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
        let talked = self.talk(&mut session, first, prompts, context.json).await;
        let turns = talked.inspect_err(|_| goes_on(&order))?;
        let receipts = if self.keep_open {
            goes_on(&order);
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

    /// A session is paid before its first turn says what it asks for, so that is looked at here.
    async fn check_model(&self, market: &Market) -> anyhow::Result<()> {
        let asset = market.asset(&self.did).await?;
        let details = asset.architecture.and_then(|shape| shape.details);
        if self.chat && details.is_some_and(|details| !details.chat_template) {
            let message = "this model has no chat template, so it cannot be talked to; leave --chat away and give the \
                           text to continue; nothing was paid";
            return Err(Wrong(message.to_owned()).into());
        }
        Ok(())
    }

    async fn talk(
        &self,
        session: &mut Session<'_>,
        first: String,
        mut prompts: Prompts,
        json: bool,
    ) -> anyhow::Result<Vec<Said>> {
        let mut turns = Vec::new();
        let mut conversation = Conversation::begin(self.chat, self.system.as_deref());
        let mut next = Some(first);
        while let Some(prompt) = next {
            let sent = conversation.ask(&prompt)?;
            let said = self.say(session, prompt, &sent, json).await?;
            conversation.answer(&said.text);
            turns.push(said);
            next = prompts.next(Some(session.tokens_left())).await?;
        }
        Ok(turns)
    }

    async fn say(
        &self,
        session: &mut Session<'_>,
        prompt: String,
        sent: &str,
        json: bool,
    ) -> anyhow::Result<Said> {
        let mut streamed = String::new();
        let mut on_text = |text: &str| {
            streamed.push_str(text);
            if !json && let Err(error) = output::stream(text) {
                tracing::debug!(%error, "nobody reads the answer");
            }
        };
        let turn: Turn = session.say(sent, self.parameters(), &mut on_text).await?;
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
            chat: self.chat,
        }
    }
}

/// What was said so far, where the model shall know it.
enum Conversation {
    /// Every prompt stands for itself.
    Prompts,
    Chat(Vec<Message>),
}

impl Conversation {
    fn begin(chat: bool, system: Option<&str>) -> Self {
        if !chat {
            return Self::Prompts;
        }
        let message = |content: &str| Message {
            role: Role::System,
            content: content.to_owned(),
        };
        Self::Chat(system.map(message).into_iter().collect())
    }

    /// What is sent for a prompt.
    fn ask(&mut self, prompt: &str) -> anyhow::Result<String> {
        match self {
            Self::Prompts => Ok(prompt.to_owned()),
            Self::Chat(messages) => {
                messages.push(Message {
                    role: Role::User,
                    content: prompt.to_owned(),
                });
                Ok(serde_json::to_string(messages)?)
            }
        }
    }

    fn answer(&mut self, text: &str) {
        if let Self::Chat(messages) = self {
            messages.push(Message {
                role: Role::Assistant,
                content: text.to_owned(),
            });
        }
    }
}

fn goes_on(order: &str) {
    note(format_args!("the session stays open; go on with --order {order}"));
}

/// Where prompts come from: the arguments, or stdin if there are none.
enum Prompts {
    Given(std::vec::IntoIter<String>),
    Stdin { terminal: bool },
}

impl Prompts {
    fn new(given: Vec<String>) -> Self {
        if given.is_empty() {
            let terminal = std::io::stdin().is_terminal();
            return Self::Stdin { terminal };
        }
        Self::Given(given.into_iter())
    }

    async fn next(&mut self, tokens_left: Option<u64>) -> anyhow::Result<Option<String>> {
        let terminal = match self {
            Self::Given(prompts) => return Ok(prompts.next()),
            Self::Stdin { terminal } => *terminal,
        };
        if terminal {
            let left = tokens_left.map_or_else(String::new, |left| format!("{left} tokens left; "));
            note(format_args!("{left}a prompt, or nothing to end:"));
        }
        // A person may think for as long as they like: the read must not hold a thread of the runtime.
        let read = tokio::task::spawn_blocking(move || read_prompt(&mut std::io::stdin().lock(), terminal));
        let read = read.await?;
        Ok(read.map_err(|error| Wrong(format!("stdin cannot be read as text: {error}")))?)
    }
}

/// The next line with a prompt in it. An empty line ends what a person types, and is passed over in a file.
fn read_prompt(input: &mut impl BufRead, terminal: bool) -> std::io::Result<Option<String>> {
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let prompt = line.trim_end_matches(['\n', '\r']);
        if !prompt.is_empty() {
            return Ok(Some(prompt.to_owned()));
        }
        if terminal {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_remembers_what_was_said_and_prompts_do_not() {
        let mut conversation = Conversation::begin(true, Some("Be brief."));
        conversation.ask("One?").unwrap();
        conversation.answer("Yes.");
        let sent: Vec<Message> = serde_json::from_str(&conversation.ask("Two?").unwrap()).unwrap();
        let contents: Vec<&str> = sent.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(contents, ["Be brief.", "One?", "Yes.", "Two?"]);
        let mut prompts = Conversation::begin(false, None);
        prompts.ask("One?").unwrap();
        prompts.answer("Yes.");
        assert_eq!(prompts.ask("Two?").unwrap(), "Two?");
    }

    #[test]
    fn an_empty_line_ends_at_a_terminal_only() {
        let prompts = |text: &str, terminal| {
            let mut input = text.as_bytes();
            std::iter::from_fn(|| read_prompt(&mut input, terminal).unwrap()).collect::<Vec<String>>()
        };
        assert_eq!(prompts("one\r\n\n two\nthree", false), ["one", " two", "three"]);
        assert_eq!(prompts("one\n\ntwo\n", true), ["one"]);
        assert!(prompts("", false).is_empty() && prompts("\n\n", false).is_empty());
    }
}
