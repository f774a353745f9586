//! `posthuman devnet`.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use posthuman_chain::{Devnet, DevnetOptions};

use super::context::Context;
use super::node::stop_signal;
use super::output::{Report, facts};
use crate::MarketError;

/// How often a devnet is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// Start a devnet alone: anvil with Ocean's contracts, kept across restarts. Says on stdout how to reach it, then runs
/// until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  posthuman devnet\n  posthuman devnet --rpc-port 0 --data scratch")]
pub(crate) struct Args {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let mut stop = pin!(stop_signal()?);
        let data = context.settings.require("data", "the data folder")?;
        let devnet = tokio::select! {
            devnet = start(context, data) => devnet?,
            () = &mut stop => return Ok(Report::nothing()),
        };
        let address_file = std::path::absolute(devnet.address_file())?;
        let text = facts(&[
            ("rpc", devnet.url().to_owned()),
            ("address file", address_file.display().to_string()),
        ]);
        let json = serde_json::json!({ "rpc": devnet.url(), "chain_id": devnet.chain().id(), "address_file": address_file });
        Report::new(text, &json)?.write(context.json)?;
        tokio::select! {
            () = stop => {}
            () = end(&devnet) => return Err(ended("posthuman devnet")),
        }
        devnet.stop().await;
        Ok(Report::nothing())
    }
}

/// Comes back when a devnet ended by itself.
pub(crate) async fn end(devnet: &Devnet) {
    while devnet.is_running() {
        tokio::time::sleep(LOOK).await;
    }
}

/// What to say of a devnet that ended by itself under a command.
pub(crate) fn ended(command: &str) -> anyhow::Error {
    MarketError::Input(format!(
        "the devnet ended by itself; its log is in the data folder, start `{command}` again"
    ))
    .into()
}

/// Starts a devnet that is kept in a data folder.
pub(crate) async fn start(context: &Context, data: PathBuf) -> anyhow::Result<Devnet> {
    let port = context.settings.require("rpc-port", "the devnet's port")?;
    let mut options = DevnetOptions::kept(data, port);
    if let Some(contracts) = context.settings.path("contracts") {
        options.contracts = contracts;
    }
    Ok(Devnet::start(options).await?)
}
