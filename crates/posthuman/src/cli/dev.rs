//! `posthuman dev`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use posthuman_chain::Devnet;

use super::context::Context;
use super::devnet;
use super::keys::KeyFiles;
use super::node::{Place, options, stop_signal};
use super::output::Report;
use crate::MarketError;

/// How often the devnet is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// Start a devnet and a node together, kept in one data folder across restarts. Says on stdout what to set so that other
/// commands find them, then runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman dev
  posthuman dev --rpc-port 9545 --port 9001 --data scratch")]
pub(crate) struct Args {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        posthuman_jobs::sandbox::hide_memory()?;
        let stop = stop_signal()?;
        let data: PathBuf = context.settings.require("data", "the data folder")?;
        let data = std::path::absolute(data)?;
        let devnet = devnet::start(context, data.clone()).await?;
        let files = KeyFiles::of(&data);
        let keys = tokio::task::spawn_blocking(move || files.create().and_then(|()| files.open())).await??;
        let place = Place {
            data: data.clone(),
            rpc: devnet.url().to_owned(),
            address_file: devnet.address_file().to_owned(),
            chain_id: devnet.chain().id(),
        };
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async move {
            // An error means that the sender is gone, which is an end too.
            let _ = end.await;
        };
        let running = posthuman_node::run(options(context, place, keys)?, shutdown).await?;
        said(&devnet, &format!("http://{}", running.address), &data)?.write(context.json)?;
        let alive = tokio::select! {
            () = stop => true,
            () = end_of(&devnet) => false,
        };
        let _ = ended.send(());
        running.stopped().await?;
        devnet.stop().await;
        if alive {
            return Ok(Report::nothing());
        }
        let message =
            "the devnet ended by itself; its log is in the data folder, start `posthuman dev` again";
        Err(MarketError::Input(message.to_owned()).into())
    }
}

/// What to set, as lines for a shell.
fn said(devnet: &Devnet, node: &str, data: &Path) -> anyhow::Result<Report> {
    let address_file = std::path::absolute(devnet.address_file())?;
    let text = format!(
        "export POSTHUMAN_RPC={}\nexport POSTHUMAN_NODE={node}\nexport POSTHUMAN_ADDRESS_FILE={}\nexport ADDRESS_FILE={}",
        devnet.url(),
        address_file.display(),
        address_file.display()
    );
    let json = serde_json::json!({
        "devnet": { "rpc": devnet.url(), "chain_id": devnet.chain().id(), "address_file": address_file },
        "node": { "url": node },
        "data": data,
    });
    Report::new(text, &json)
}

async fn end_of(devnet: &Devnet) {
    while devnet.is_running() {
        tokio::time::sleep(LOOK).await;
    }
}
