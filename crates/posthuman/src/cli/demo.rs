//! `posthuman demo`.

use posthuman_chain::devnet;

use super::context::Context;
use super::node::stop_signal;
use super::output::{Report, note};
use crate::demo::{Stage, StageOptions, Tell, play};

/// Play the whole story on a devnet and a node of its own: Alice publishes a model, Bob and Charlie fine-tune it, Derek
/// uses it, Elena evaluates it, everyone is paid, every receipt is verified and every job is run again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman demo
  posthuman demo --json
  posthuman demo --keep --data demo-data --rpc-port 0")]
pub(crate) struct Args {
    /// Leave devnet and node running at the end, until Ctrl-C, and say how to talk to them.
    #[arg(long)]
    keep: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let settings = &context.settings;
        let scratch = tempfile::Builder::new().prefix("posthuman-demo-").tempdir()?;
        let data = settings
            .given("data")
            .map_or_else(|| scratch.path().to_owned(), Into::into);
        std::fs::create_dir_all(&data)?;
        let rpc_port = match settings.given("rpc-port") {
            Some(_) => settings.require("rpc-port", "the devnet's port")?,
            None => 0,
        };
        let stop = stop_signal()?;
        let options = StageOptions {
            data: std::path::absolute(data)?,
            contracts: settings
                .path("contracts")
                .unwrap_or_else(devnet::contracts_folder),
            rpc_port,
            sandbox: !settings.switch("unsafe-no-sandbox")?,
        };
        tokio::pin!(stop);
        let mut stage = tokio::select! {
            stage = Stage::set(options) => stage?,
            () = &mut stop => return Err(stopped()),
        };
        let mut tell = Tell { json: context.json };
        let played = tokio::select! {
            played = play(&stage, &mut tell) => played,
            () = &mut stop => Err(stopped()),
        };
        let report = match played {
            Ok(story) => Report::new("", &story.json()),
            Err(error) => Err(error),
        };
        if let Ok(report) = &report
            && self.keep
        {
            report.write(context.json)?;
            note(how_to_talk(&stage));
            let gone = tokio::select! {
                () = stop => None,
                gone = stage.end() => Some(gone),
            };
            stage.strike().await?;
            return match gone {
                None => Ok(Report::nothing()),
                Some(gone) => {
                    Err(super::Wrong(format!("{gone} ended by itself; play the demo again")).into())
                }
            };
        }
        if report.is_err() && settings.given("data").is_none() {
            note(format_args!(
                "what there is of the demo stays in {}",
                scratch.keep().display()
            ));
        }
        stage.strike().await?;
        report
    }
}

fn how_to_talk(stage: &Stage) -> String {
    format!(
        "devnet and node stay up until Ctrl-C; in another shell:\n\
         export POSTHUMAN_RPC={}\nexport POSTHUMAN_NODE={}\nexport POSTHUMAN_ADDRESS_FILE={}\n\
         posthuman asset list",
        stage.devnet.url(),
        stage.node_url,
        stage.devnet.address_file().display()
    )
}

fn stopped() -> anyhow::Error {
    super::Wrong("the demo was stopped".to_owned()).into()
}
