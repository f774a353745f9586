//! `posthuman dev`.

use std::path::{Path, PathBuf};
use std::pin::pin;

use posthuman_chain::Devnet;
use posthuman_node::RunningNode;

use super::context::Context;
use super::devnet;
use super::keys::KeyFiles;
use super::node::{Place, options, serve, stop_signal};
use super::output::Report;

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
        let mut stop = pin!(stop_signal()?);
        let data: PathBuf = context.settings.require("data", "the data folder")?;
        let data = std::path::absolute(data)?;
        let devnet = tokio::select! {
            devnet = devnet::start(context, data.clone()) => devnet?,
            () = &mut stop => return Ok(Report::nothing()),
        };
        let mut alive = true;
        let end = async {
            tokio::select! {
                () = stop => {}
                () = devnet::end(&devnet) => alive = false,
            }
        };
        let served = run_node(context, &devnet, &data, end).await;
        devnet.stop().await;
        if !alive {
            return Err(devnet::ended("posthuman dev"));
        }
        served.map(|()| Report::nothing())
    }
}

async fn run_node(
    context: &Context,
    devnet: &Devnet,
    data: &Path,
    end: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let files = KeyFiles::of(data);
    let keys = tokio::task::spawn_blocking(move || files.create().and_then(|()| files.open())).await??;
    let place = Place {
        data: data.to_owned(),
        rpc: devnet.url().to_owned(),
        address_file: devnet.address_file().to_owned(),
        chain_id: devnet.chain().id(),
    };
    let say = async |running: &RunningNode| {
        Ok(said(devnet, &format!("http://{}", running.address), data)?.write(context.json)?)
    };
    serve(options(context, place, keys)?, end, say).await
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
