//! A market node as a child process of the real binary.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::files::tail;
use crate::keys::Keys;
use crate::process::{Process, posthuman_command};

/// A node that says nothing for so long does not start.
const START: Duration = Duration::from_secs(180);
/// A node that was asked to stop must have stopped after this.
const STOP: Duration = Duration::from_secs(120);
/// Lines of the log that a failure shows.
const SHOWN: usize = 20;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    /// Its data folder.
    pub data: PathBuf,
    /// Where it writes its log; a restart goes on with it.
    pub log: PathBuf,
    /// The chain's address.
    pub rpc: String,
    /// Ocean's address file.
    pub address_file: PathBuf,
    /// Its keys.
    pub keys: Keys,
    /// Its port; 0 for any free one.
    pub port: u16,
    /// More flags, such as `--checkpoint-every 1`.
    pub flags: Vec<OsString>,
    /// More environment, such as `POSTHUMAN_BREAK_POINT`.
    pub environment: Vec<(OsString, OsString)>,
    /// Pieces of so many bytes find its disk full.
    pub full_disk: Option<u64>,
}

/// A node. Dropping it kills it.
#[derive(Debug)]
pub struct NodeProcess {
    process: Process,
    line: Receiver<String>,
    url: Option<String>,
    log: PathBuf,
}

impl NodeProcess {
    /// Starts a node and waits until it serves.
    ///
    /// # Errors
    /// It ends, or says nothing for three minutes.
    pub fn start(setup: &NodeSetup) -> anyhow::Result<Self> {
        let mut node = Self::spawn(setup)?;
        node.wait_ready()?;
        Ok(node)
    }

    /// Starts a node and waits for nothing.
    ///
    /// # Errors
    /// The binary was not built.
    pub fn spawn(setup: &NodeSetup) -> anyhow::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&setup.log)
            .context("cannot open the node's log")?;
        let mut command = posthuman_command()?;
        command.args(["--json", "node", "--end-with-parent", "--rpc", &setup.rpc]);
        command.args(["--port", &setup.port.to_string()]);
        let keys = &setup.keys;
        let files: [(&str, &Path); 8] = [
            ("--data", &setup.data),
            ("--address-file", &setup.address_file),
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
        command.args(&setup.flags).envs(setup.environment.iter().cloned());
        let (stdout, stderr) = (Stdio::piped(), log.into());
        let mut process = match setup.full_disk {
            Some(room) => Process::spawn_on_full_disk(command, stdout, stderr, room)?,
            None => Process::spawn(command, stdout, stderr)?,
        };
        let stdout = process.child().stdout.take().context("the node has no stdout")?;
        let (sender, line) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Whoever waits for nothing reads nothing; the pipe is emptied all the same.
                let _ = sender.send(line);
            }
        });
        Ok(Self {
            process,
            line,
            url: None,
            log: setup.log.clone(),
        })
    }

    /// Waits until it serves, and answers its address.
    ///
    /// # Errors
    /// It ends, or says nothing for three minutes.
    pub fn wait_ready(&mut self) -> anyhow::Result<String> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let line = match self.line.recv_timeout(START) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                bail!("the node says nothing; its log ends with\n{}", self.last_words())
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait(STOP);
                bail!(
                    "the node ended ({status:?}) before it served; its log ends with\n{}",
                    self.last_words()
                );
            }
        };
        let said: Value = serde_json::from_str(&line).with_context(|| format!("the node said `{line}`"))?;
        let url = said["url"]
            .as_str()
            .with_context(|| format!("the node said no address: `{line}`"))?;
        self.url = Some(url.to_owned());
        Ok(url.to_owned())
    }

    /// Where it serves.
    ///
    /// # Panics
    /// Before it was waited for by [`NodeProcess::wait_ready`].
    pub fn url(&self) -> &str {
        self.url
            .as_deref()
            .expect("a node is waited for before it is used")
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// It does not stop within two minutes.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.stop(STOP)
    }

    /// Waits for its end, as after a break point.
    ///
    /// # Errors
    /// It still runs at the limit.
    pub fn wait_end(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let ended = self.process.wait(limit);
        ended.with_context(|| format!("the node still runs; its log ends with\n{}", self.last_words()))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        tail(&self.log, SHOWN)
    }
}
