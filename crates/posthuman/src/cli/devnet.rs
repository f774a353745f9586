//! `posthuman devnet`.

use std::path::PathBuf;

use posthuman_chain::{Devnet, DevnetOptions};

use super::context::Context;
use super::node::stop_signal;
use super::output::{Report, facts};

/// Start a devnet alone: anvil with Ocean's contracts, kept across restarts. Says on stdout how to reach it, then runs
/// until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  posthuman devnet\n  posthuman devnet --rpc-port 0 --data scratch")]
pub(crate) struct Args {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let stop = stop_signal()?;
        let devnet = start(context, context.settings.require("data", "the data folder")?).await?;
        let address_file = std::path::absolute(devnet.address_file())?;
        let text = facts(&[
            ("rpc", devnet.url().to_owned()),
            ("address file", address_file.display().to_string()),
        ]);
        let json = serde_json::json!({ "rpc": devnet.url(), "chain_id": devnet.chain().id(), "address_file": address_file });
        Report::new(text, &json)?.write(context.json)?;
        stop.await;
        devnet.stop().await;
        Ok(Report::nothing())
    }
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
