//! Devnet and node of the story; the node is a process of its own, so that no user's key is ever near it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use posthuman_chain::{Devnet, DevnetOptions};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::cli::devnet;
use crate::cli::keys::KeyFiles;

/// A node that says nothing for so long does not start.
const START: Duration = Duration::from_secs(120);
/// A node that was told to stop and does not is killed after this.
const STOP: Duration = Duration::from_secs(20);

/// How to set the stage.
pub(crate) struct StageOptions {
    /// Folder for everything; it must be empty or new.
    pub data: PathBuf,
    /// Folder of the installed packages.
    pub contracts: PathBuf,
    /// The devnet's port.
    pub rpc_port: u16,
    /// Whether workers are confined.
    pub sandbox: bool,
}

/// A running devnet and node.
pub(crate) struct Stage {
    pub devnet: Devnet,
    pub node_url: String,
    pub data: PathBuf,
    pub contracts: PathBuf,
    pub keys: KeyFiles,
    pub sandbox: bool,
    node: Child,
    // Kept open: a node whose stdout is gone could not say anything more.
    _stdout: BufReader<ChildStdout>,
}

/// The line with which a node says that it serves.
#[derive(Deserialize)]
struct Serving {
    url: String,
}

impl Stage {
    /// Starts the devnet, then the node as a child process of this executable.
    pub(crate) async fn set(options: StageOptions) -> anyhow::Result<Self> {
        let StageOptions {
            data,
            contracts,
            rpc_port,
            sandbox,
        } = options;
        if data.join("market.sqlite").exists() {
            bail!(
                "{} holds another market; give an empty folder with --data",
                data.display()
            );
        }
        let mut devnet = DevnetOptions::kept(data.clone(), rpc_port);
        devnet.contracts = contracts.clone();
        let devnet = Devnet::start(devnet).await?;
        let keys = KeyFiles::of(&data);
        let keys = tokio::task::spawn_blocking(move || keys.create().map(|()| keys)).await??;
        let mut node = node_command(&devnet, &data, &contracts, &keys, sandbox)?
            .spawn()
            .context("starting the node")?;
        let stdout = node.stdout.take().context("the node has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = tokio::time::timeout(START, stdout.read_line(&mut line)).await;
        let log = data.join("node.log");
        let Ok(serving) = serde_json::from_str::<Serving>(&line) else {
            let why = if read.is_err() {
                "it says nothing"
            } else {
                "it ended"
            };
            bail!("the node does not start: {why}; {}", last_words(&log));
        };
        Ok(Self {
            devnet,
            node_url: serving.url,
            data,
            contracts,
            keys,
            sandbox,
            node,
            _stdout: stdout,
        })
    }

    /// Comes back when node or devnet ended by itself, and says which and where its log is.
    pub(crate) async fn end(&mut self) -> String {
        let (what, log) = tokio::select! {
            _ = self.node.wait() => ("the node", "node.log"),
            () = devnet::end(&self.devnet) => ("the devnet", "devnet"),
        };
        format!("{what}, whose log is {},", self.data.join(log).display())
    }

    /// Stops the node, then the devnet.
    pub(crate) async fn strike(mut self) -> anyhow::Result<()> {
        if let Some(id) = self
            .node
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        if tokio::time::timeout(STOP, self.node.wait()).await.is_err() {
            self.node.kill().await?;
        }
        self.devnet.stop().await;
        Ok(())
    }
}

fn node_command(
    devnet: &Devnet,
    data: &Path,
    contracts: &Path,
    keys: &KeyFiles,
    sandbox: bool,
) -> anyhow::Result<Command> {
    let contracts = std::path::absolute(contracts)?;
    let log = std::fs::File::create(data.join("node.log")).context("creating the node's log")?;
    let mut command = Command::new(std::env::current_exe()?);
    // What the user set for other nodes, in the environment or in `posthuman.toml`, is not for this one.
    command.current_dir(data);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("POSTHUMAN_") && name != "POSTHUMAN_LOG" {
            command.env_remove(name);
        }
    }
    command.args([
        "--json",
        "node",
        "--end-with-parent",
        "--port",
        "0",
        "--rpc",
        devnet.url(),
    ]);
    let files: [(&str, &Path); 9] = [
        ("--data", data),
        ("--contracts", &contracts),
        ("--address-file", devnet.address_file()),
        ("--wallet", &keys.wallet.keystore),
        ("--password-file", &keys.wallet.password),
        ("--receipt-signer", &keys.receipt_signer.keystore),
        ("--receipt-signer-password-file", &keys.receipt_signer.password),
        ("--master-key", &keys.master_key.keystore),
        ("--master-key-password-file", &keys.master_key.password),
    ];
    for (flag, path) in files {
        command.arg(flag).arg(path);
    }
    if !sandbox {
        command.arg("--unsafe-no-sandbox");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    Ok(command)
}

/// The end of a log, for an error that has nothing better to say.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!("the end of its log {}:\n{}", log.display(), lines.join("\n"))
}
