//! The anvil process.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::DevnetError;
use super::orphan;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Time to write the state file after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const LISTENING: &str = "Listening on ";

/// What anvil is started with.
#[derive(Clone, Debug)]
pub(super) struct AnvilOptions {
    pub binary: PathBuf,
    pub chain_id: u64,
    /// 0 lets the system choose.
    pub port: u16,
    /// A block each so many seconds, besides those made at once for transactions.
    pub mine_every: Option<u64>,
    /// Loaded at the start and written at the end and every few seconds.
    pub state: Option<PathBuf>,
    /// Loaded at the start and never written.
    pub load: Option<PathBuf>,
    pub log: PathBuf,
}

/// A running anvil. Dropping it ends the process and waits until its state is written.
#[derive(Debug)]
pub(super) struct Anvil {
    port: u16,
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Anvil {
    pub(super) async fn start(options: AnvilOptions) -> Result<Self, DevnetError> {
        check_port(options.port)?;
        let file_error = |source| DevnetError::File {
            path: options.log.clone(),
            source,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(&options.log)
            .map_err(file_error)?;
        let earlier = log.metadata().map_err(file_error)?.len();
        let command = command(&options, &log).map_err(file_error)?;
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = channel();
        // The thread that spawns anvil must live as long as anvil: the kernel ends anvil with it.
        let keeper = std::thread::Builder::new()
            .name("anvil".into())
            .spawn(move || keep(command, log, ready, &stopped))
            .map_err(file_error)?;
        let mut anvil = Self {
            port: 0,
            stop: Some(stop),
            keeper: Some(keeper),
        };
        let failed = |why: String| {
            let why = last_words(&options.log, earlier).unwrap_or(why);
            if why.contains("Address already in use") {
                return DevnetError::PortTaken { port: options.port };
            }
            DevnetError::AnvilFailed {
                why,
                log: options.log.clone(),
            }
        };
        anvil.port = match tokio::time::timeout(START_TIMEOUT, started).await {
            Ok(Ok(Ok(port))) => port,
            Ok(Ok(Err(why))) => return Err(failed(why)),
            Ok(Err(_)) => return Err(failed("it ended at once".into())),
            Err(_) => {
                return Err(failed(format!(
                    "it did not listen within {} s",
                    START_TIMEOUT.as_secs()
                )));
            }
        };
        Ok(anvil)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_running(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished())
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::error!("the thread that keeps anvil panicked");
        }
    }
}

/// Anvil itself would tell of a taken port too, but only after it loaded its state.
fn check_port(port: u16) -> Result<(), DevnetError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(DevnetError::PortTaken { port }),
        // What else is wrong, anvil says better.
        _ => Ok(()),
    }
}

fn command(options: &AnvilOptions, log: &File) -> std::io::Result<Command> {
    let mut command = Command::new(&options.binary);
    command.args([
        "--host",
        "127.0.0.1",
        "--color",
        "never",
        "--no-request-size-limit",
        "--prune-history",
        "100",
    ]);
    command
        .arg("--port")
        .arg(options.port.to_string())
        .arg("--chain-id")
        .arg(options.chain_id.to_string());
    if let Some(seconds) = options.mine_every {
        command
            .arg("--mixed-mining")
            .arg("--block-time")
            .arg(seconds.to_string());
    }
    if let Some(state) = &options.state {
        command.arg("--state").arg(state).args(["--state-interval", "5"]);
    }
    if let Some(load) = &options.load {
        command.arg("--load-state").arg(load);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?);
    // Its own group: an interrupt from the terminal ends this program first, which then ends anvil in order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    orphan::die_with_parent(&mut command);
    Ok(command)
}

/// Runs anvil until it ends or `stop` is dropped.
fn keep(mut command: Command, log: File, ready: oneshot::Sender<Result<u16, String>>, stop: &Receiver<()>) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // Nobody listens any more if the start was given up.
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    let reader = child
        .stdout
        .take()
        .map(|stdout| std::thread::spawn(move || follow(BufReader::new(stdout), log, ready)));
    loop {
        match stop.recv_timeout(LOOK_INTERVAL) {
            Err(RecvTimeoutError::Timeout) => {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    tracing::warn!("anvil ended by itself");
                    break;
                }
            }
            _ => {
                end(&mut child);
                break;
            }
        }
    }
    if let Some(reader) = reader
        && reader.join().is_err()
    {
        tracing::error!("the thread that reads anvil's output panicked");
    }
}

/// Reads anvil's output to its end, tells the port when it is known, and logs what is no request.
fn follow(output: impl BufRead, mut log: File, ready: oneshot::Sender<Result<u16, String>>) {
    let mut ready = Some(ready);
    let mut last = String::new();
    for line in output.lines().map_while(Result::ok) {
        if let Some(address) = line.trim().strip_prefix(LISTENING)
            && let Some(port) = address.rsplit(':').next().and_then(|port| port.parse().ok())
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(Ok(port));
        }
        // Before that comes a banner with the accounts' keys; after it each request prints its method's name.
        let method = line.starts_with("eth_") || line.starts_with("net_") || line.starts_with("web3_");
        if ready.is_none() && !method && !line.trim().is_empty() {
            // A full disk must not stop the devnet.
            let _ = writeln!(log, "{line}");
        }
        last = line;
    }
    if let Some(ready) = ready {
        let _ = ready.send(Err(if last.is_empty() {
            "it ended at once".into()
        } else {
            last
        }));
    }
}

/// Asks anvil to end, which makes it write its state, and ends it if it does not.
fn end(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process};
        // It may have ended already.
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        tracing::warn!("anvil did not end in time and is killed");
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The last line of a log, where anvil's complaints end up, unless it is older than this start.
fn last_words(log: &Path, earlier: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(earlier)).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| line.chars().take(300).collect())
}
