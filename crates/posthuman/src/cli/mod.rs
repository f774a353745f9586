//! The command line: one file per command, settings in one list, results on stdout, everything else on stderr.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use posthuman_chain::{AddressBookError, ChainError, DevnetError, WalletError};
use posthuman_types::ErrorClass;

use crate::MarketError;
use crate::error::full_text;

pub(crate) mod asset;
mod bench;
mod buy;
mod collect;
mod completions;
mod context;
#[cfg(feature = "node")]
mod demo;
mod describe;
#[cfg(feature = "node")]
mod dev;
#[cfg(feature = "node")]
pub(crate) mod devnet;
mod devnet_wallet;
mod evaluate;
mod folder;
mod infer;
mod jobs;
#[cfg(feature = "node")]
pub(crate) mod keys;
pub(crate) mod listen;
mod model;
#[cfg(feature = "node")]
mod node;
mod order;
pub(crate) mod output;
mod plot;
mod publish;
#[cfg(feature = "node")]
mod rerun;
mod sell;
mod settings;
mod settings_page;
mod token;
mod train;
mod training;
#[cfg(feature = "node")]
mod vault;
mod verify;
mod wallet;

use context::Context;
use output::Report;
use settings::{SettingError, Settings};

/// Where people and programs publish, buy, train, use and evaluate language models, with receipts.
#[derive(Debug, Parser)]
#[command(name = "posthuman", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// Print the result as one JSON object on stdout.
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// Say more on stderr; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  posthuman dev                                    a devnet and a node on this machine
  posthuman asset list                             what the market offers
  posthuman buy DID --wallet bob                   one datatoken of a model
  posthuman train DID --text book.txt --name Mine --wallet bob
  posthuman infer DID --prompt 'Call me' --wallet derek
  posthuman verify receipt.json                    whether a receipt holds

Exit codes: 0 done, 1 a fault of ours, 2 wrong use, 3 wrong input, 4 not allowed, 5 to be paid, 6 not found,
7 not now, 8 out of reach.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Assets: list, search, show, lineage, royalties.
    Asset(asset::Args),
    /// Measure the engine on this machine: training, evaluation, decode, prefill.
    Bench(bench::Args),
    /// Buy datatokens of an asset.
    Buy(buy::Args),
    /// Pay out what a model earned, up its line.
    Collect(collect::Args),
    /// Write completions for a shell to stdout.
    Completions(completions::Args),
    /// Play the whole story: five people, three models, receipts and rewards, on a devnet of its own.
    #[cfg(feature = "node")]
    Demo(demo::Args),
    /// Start a devnet and a node together, kept across restarts.
    #[cfg(feature = "node")]
    Dev(dev::Args),
    /// Start a devnet alone.
    #[cfg(feature = "node")]
    Devnet(devnet::Args),
    /// Score a text with one model or several.
    Evaluate(evaluate::Args),
    /// Open an inference session and continue prompts.
    Infer(infer::Args),
    /// Your jobs: list, show, watch, output, receipt, cancel.
    Jobs(jobs::Args),
    /// Models: import one from Hugging Face files or GGUF, list, show.
    Model(model::Args),
    /// Start a market node on a chain that runs.
    #[cfg(feature = "node")]
    Node(node::Args),
    /// Check a job and pay for it, to start it later.
    Order(order::Args),
    /// Publish a new model: trained from scratch on a text, or imported.
    Publish(publish::Args),
    /// Offer datatokens that you hold.
    Sell(sell::Args),
    /// All settings.
    #[command(hide = true)]
    Settings(settings_page::Args),
    /// Any ERC-20 token: balance, transfer, approve, allowance, transfer-from, mint, info.
    Token(token::Args),
    /// Train a model on a text; the result is a new model.
    Train(train::Args),
    /// The vault of a node: make a master key, check, rotate.
    #[cfg(feature = "node")]
    Vault(vault::Args),
    /// Check a receipt against the chain.
    Verify(verify::Args),
    /// Wallets: create, show, import, fund, list.
    Wallet(wallet::Args),
    /// Runs one job in a directory; started by a node, which answers it before this list is read.
    #[cfg(feature = "node")]
    #[command(hide = true)]
    Worker,
}

impl Command {
    /// Whether it runs until it is stopped: then what happens is worth a line.
    fn serves(&self) -> bool {
        #[cfg(feature = "node")]
        return matches!(self, Self::Node(_) | Self::Dev(_));
        #[cfg(not(feature = "node"))]
        false
    }
}

/// Runs the command line of this process and says how it ended.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_log(cli.verbose + u8::from(cli.command.serves()));
    let settings = Settings::collect(&matches, |name| std::env::var(name).ok());
    let outcome = settings.map_err(anyhow::Error::from).and_then(|settings| {
        let context = Context {
            settings,
            json: cli.json,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let report = runtime.block_on(run(cli.command, &context));
        // A command that was told to stop does not wait for threads that read.
        runtime.shutdown_background();
        Ok(report?.write(cli.json)?)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, cli.json),
    }
}

/// The commands with all flags, for help, completions and documentation.
pub fn command() -> clap::Command {
    settings::add_flags(Cli::command())
}

async fn run(command: Command, context: &Context) -> anyhow::Result<Report> {
    match command {
        Command::Asset(args) => args.run(context).await,
        Command::Bench(args) => args.run(),
        Command::Buy(args) => args.run(context).await,
        Command::Collect(args) => args.run(context).await,
        Command::Completions(args) => args.run(),
        #[cfg(feature = "node")]
        Command::Demo(args) => args.run(context).await,
        #[cfg(feature = "node")]
        Command::Dev(args) => args.run(context).await,
        #[cfg(feature = "node")]
        Command::Devnet(args) => args.run(context).await,
        Command::Evaluate(args) => args.run(context).await,
        Command::Infer(args) => args.run(context).await,
        Command::Jobs(args) => args.run(context).await,
        Command::Model(args) => args.run(context).await,
        #[cfg(feature = "node")]
        Command::Node(args) => args.run(context).await,
        Command::Order(args) => args.run(context).await,
        Command::Publish(args) => args.run(context).await,
        Command::Sell(args) => args.run(context).await,
        Command::Settings(args) => args.run(context),
        Command::Token(args) => args.run(context).await,
        Command::Train(args) => args.run(context).await,
        #[cfg(feature = "node")]
        Command::Vault(args) => args.run(context).await,
        Command::Verify(args) => args.run(context).await,
        Command::Wallet(args) => args.run(context).await,
        #[cfg(feature = "node")]
        Command::Worker => {
            Err(Wrong("a worker is started by a node, with a job's directory".to_owned()).into())
        }
    }
}

/// Says on stderr what went wrong; with `--json` as an object there, since stdout is for results.
fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let (code, class) = kind_of(error);
    let message = full_text(error.as_ref());
    if json {
        let refusal = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<MarketError>())
            .find_map(MarketError::refusal);
        let body = serde_json::json!({ "error": { "code": code, "message": message, "class": class, "refusal": refusal } });
        output::note(body);
    } else {
        output::note(format_args!("error: {message}"));
    }
    ExitCode::from(class.exit_code())
}

/// The code, with a page in `docs/errors/`, and the class of the outermost cause that has them.
fn kind_of(error: &anyhow::Error) -> (String, ErrorClass) {
    let found = error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<MarketError>() {
            return Some((error.code(), error.class()));
        }
        if let Some(error) = cause.downcast_ref::<ChainError>() {
            return Some(("chain", error.class()));
        }
        if let Some(error) = cause.downcast_ref::<posthuman_lm::Error>() {
            return Some(("input", error.class()));
        }
        if let Some(error) = cause.downcast_ref::<WalletError>() {
            return Some(("local", error.class()));
        }
        if let Some(error) = cause.downcast_ref::<DevnetError>() {
            return Some(("local", error.class()));
        }
        #[cfg(feature = "node")]
        if let Some(error) = cause.downcast_ref::<posthuman_node::NodeError>() {
            return Some((error.code(), error.class()));
        }
        #[cfg(feature = "node")]
        if let Some(error) = cause.downcast_ref::<posthuman_jobs::vault::VaultError>() {
            return Some(("local", error.class()));
        }
        if cause.is::<AddressBookError>() {
            return Some(("addresses", ErrorClass::Caller));
        }
        // A receipt is the word of a node.
        if cause.is::<Unverified>() {
            return Some(("node_untrue", ErrorClass::Unauthorized));
        }
        let given = cause.is::<SettingError>() || cause.is::<Wrong>();
        given.then_some(("input", ErrorClass::Caller))
    });
    let (code, class) = found.unwrap_or(("local", ErrorClass::Bug));
    (code.to_owned(), class)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A wrong argument that the parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// A receipt that does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the receipt does not hold: {0}")]
struct Unverified(String);

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("POSTHUMAN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours);
    // A log that is there already, as in a test, stays.
    let _ = log.with_writer(std::io::stderr).try_init();
}

#[cfg(test)]
mod tests;
