//! `posthuman node`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;

use posthuman_chain::SplitterCode;
use posthuman_chain::devnet::contracts_folder;
use posthuman_node::{MarketOptions, NodeOptions, RunningNode, WorkOptions};
use posthuman_types::Amount;
use posthuman_types::api::{Allowances, Fees};

use super::Wrong;
use super::context::{Context, DECIMALS};
use super::keys::{self, NodeKeys};
use super::output::{Report, facts};
use super::settings::SettingError;
use crate::NodeClient;

/// Start a market node on a chain that runs. Says on stdout where it serves, then runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  posthuman node --data data --address-file address.json --wallet wallet.json --password-file wallet.password --receipt-signer signer.json --receipt-signer-password-file signer.password --master-key vault.json --master-key-password-file vault.password")]
pub(crate) struct Args {
    /// Stop when the process that started this one ends.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

/// Where a node is to be and which chain it is on.
pub(crate) struct Place {
    pub data: PathBuf,
    pub rpc: String,
    pub address_file: PathBuf,
    pub chain_id: u64,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        if self.end_with_parent {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        }
        posthuman_jobs::sandbox::hide_memory()?;
        let settings = &context.settings;
        let place = Place {
            data: settings.require("data", "the data folder")?,
            rpc: settings.require("rpc", "the address of the chain")?,
            address_file: settings.require("address-file", "Ocean's address file")?,
            chain_id: settings.require("chain-id", "the chain id")?,
        };
        let stop = stop_signal()?;
        let keys = keys::open(context, place.chain_id).await?;
        let say = async |running: &RunningNode| Ok(said(running).await?.write(context.json)?);
        serve(options(context, place, keys)?, stop, say).await?;
        Ok(Report::nothing())
    }
}

/// Runs a node until `stop` is done, also where that comes while the node still starts: what it was at is completed at
/// the next start, as after a crash. Once it serves, it is let say so.
pub(crate) async fn serve(
    options: NodeOptions,
    stop: impl Future<Output = ()>,
    say: impl AsyncFnOnce(&RunningNode) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move {
        // An error means that the sender is gone, which is an end too.
        let _ = ended.await;
    };
    let mut stop = pin!(stop);
    let running = tokio::select! {
        running = posthuman_node::run(options, shutdown) => running?,
        () = &mut stop => return Ok(()),
    };
    say(&running).await?;
    let mut stopped = pin!(running.stopped());
    tokio::select! {
        served = &mut stopped => return Ok(served?),
        () = stop => {}
    }
    drop(end);
    Ok(stopped.await?)
}

/// What a node that serves says of itself.
async fn said(running: &RunningNode) -> anyhow::Result<Report> {
    let url = format!("http://{}", running.address);
    let info = NodeClient::new(&url)?.info().await?;
    let text = facts(&[
        ("node", url.clone()),
        ("wallet", info.wallet.to_string()),
        ("blank model", info.blank.to_string()),
    ]);
    Report::new(
        text,
        &serde_json::json!({ "url": url, "address": info.wallet, "blank": info.blank }),
    )
}

/// All options of a node, from the settings.
pub(crate) fn options(context: &Context, place: Place, keys: NodeKeys) -> anyhow::Result<NodeOptions> {
    let settings = &context.settings;
    let host: std::net::IpAddr = settings.require("host", "the address to listen on")?;
    Ok(NodeOptions {
        data: place.data,
        listen: SocketAddr::new(host, settings.require("port", "the port to listen on")?),
        public_url: settings.text("public-url").map(str::to_owned),
        rpc: place.rpc,
        address_file: place.address_file,
        chain_id: place.chain_id,
        wallet: keys.wallet,
        receipt_signer: keys.receipt_signer,
        former_receipt_signers: keys.former_receipt_signers,
        master_key: keys.master_key,
        keystore: keys.keystore,
        splitter: SplitterCode::read(&settings.path("contracts").unwrap_or_else(contracts_folder))?,
        executable: std::env::current_exe()?,
        sandbox: !settings.switch("unsafe-no-sandbox")?,
        market: market_options(context)?,
        work: work_options(context)?,
    })
}

fn market_options(context: &Context) -> anyhow::Result<MarketOptions> {
    let tokens = |name: &str| -> anyhow::Result<Amount> {
        let text = context.settings.text(name).unwrap_or_default();
        let amount =
            Amount::parse_tokens(text, DECIMALS).map_err(|error| Wrong(format!("{name}: {error}")))?;
        Ok(amount)
    };
    let number = |name| context.settings.require::<u64>(name, "a setting of the node");
    Ok(MarketOptions {
        fees: Fees {
            train: tokens("fee-train")?,
            infer: tokens("fee-infer")?,
            evaluate: tokens("fee-evaluate")?,
        },
        allowances: Allowances {
            train: number("allowance-train")?,
            infer: number("allowance-infer")?,
            evaluate: number("allowance-evaluate")?,
        },
        birth_supply: tokens("birth-supply")?,
        blank_price: tokens("blank-price")?,
        session_seconds: number("session-seconds")?,
        ..MarketOptions::default()
    })
}

fn work_options(context: &Context) -> Result<WorkOptions, SettingError> {
    let settings = &context.settings;
    let what = "a setting of the node";
    Ok(WorkOptions {
        threads: settings.require("threads", what)?,
        workers: settings.require("workers", what)?,
        memory_bytes: settings.require("memory-bytes", what)?,
        checkpoint_every: settings.require("checkpoint-every", what)?,
        ..WorkOptions::default()
    })
}

/// Done at Ctrl-C or SIGTERM. The handlers stand before it is first waited for.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
