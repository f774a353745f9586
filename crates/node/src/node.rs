//! The node: what its parts share, how it starts and how it stops.

use std::future::Future;
use std::sync::Arc;

use posthuman_assets::DocumentsKey;
use posthuman_chain::{AddressBook, Chain, ChainOptions, Wallet};
use posthuman_jobs::engine::local::{LocalEngine, LocalEngineOptions};
use posthuman_jobs::queue::{Queue, QueueOptions};
use posthuman_jobs::sandbox;
use posthuman_jobs::vault::Vault;
use posthuman_store::Store;
use posthuman_types::Address;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bootstrap::Identity;
use crate::clock::Clock;
use crate::documents::documents_key;
use crate::error::{NodeError, OrFault};
use crate::events::EventHub;
use crate::metrics::Metrics;
use crate::options::NodeOptions;
use crate::outbox::Outbox;
use crate::work::Running;

/// A market node. Shared by its HTTP handlers and its loops.
pub struct Node {
    pub(crate) options: NodeOptions,
    pub(crate) chain: Chain,
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) engine: LocalEngine,
    pub(crate) queue: Queue,
    pub(crate) outbox: Outbox,
    pub(crate) identity: Identity,
    pub(crate) documents_key: DocumentsKey,
    pub(crate) engine_version: String,
    pub(crate) public_url: String,
    pub(crate) events: EventHub,
    pub(crate) running: Running,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// Held while an upload is put together, one at a time.
    pub(crate) assembling: Arc<tokio::sync::Mutex<()>>,
    /// Held while an import is published, so that it is done once.
    pub(crate) publishing: tokio::sync::Mutex<()>,
    /// Held while an exchange of a holder is opened or its rate set, so that the last rate asked for stands.
    pub(crate) selling: tokio::sync::Mutex<()>,
    /// The turns of workers that nobody has paid for.
    pub(crate) unpaid: tokio::sync::Semaphore,
    /// Says that something may be due: a job was admitted or has a result.
    pub(crate) wake: tokio::sync::Notify,
    pub(crate) settle: tokio::sync::Notify,
    /// Turns true when the node stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// A node that serves. Dropping it does not stop it; [`RunningNode::stopped`] ends when it has stopped.
pub struct RunningNode {
    /// The node.
    pub node: Arc<Node>,
    /// Where it serves HTTP.
    pub address: std::net::SocketAddr,
    server: tokio::task::JoinHandle<Result<(), NodeError>>,
}

impl RunningNode {
    /// Waits until the node has stopped and all its loops are done.
    ///
    /// # Errors
    /// The server failed.
    pub async fn stopped(self) -> Result<(), NodeError> {
        self.server.await.or_fault("serving")?
    }
}

/// Starts a node: opens its folder, completes what a crash interrupted, publishes its own assets, serves.
/// When `shutdown` is done, the node takes no new requests, lets running ones end, stops its workers (their jobs go on
/// at the next start) and stops.
///
/// # Errors
/// The port is taken, the folder is in use, the chain does not answer or is another, or the kernel cannot confine
/// workers while the options demand it.
pub async fn run(
    options: NodeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<RunningNode, NodeError> {
    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.map_err(|source| {
        NodeError::startup(
            format!("cannot listen on {listen}: is another node running there? choose another port"),
            source,
        )
    })?;
    let address = listener
        .local_addr()
        .or_fault("reading the address of a socket")?;
    let (stop, stopping) = watch::channel(false);
    let mut node = open(options, address.to_string(), stopping).await?;
    node.recover().await?;
    node.outbox.heal().await?;
    node.identity = node.bootstrap().await?;
    node.index().await?;
    node.complete_imports().await?;
    node.remove_stray_uploads(0).await?;
    let node = Arc::new(node);
    let loops = node.clone().spawn_loops();
    let stopped = async move {
        shutdown.await;
        // Nobody listens any more only if every loop has ended.
        let _ = stop.send(true);
    };
    let server = tokio::spawn(serve_and_join(node.clone(), listener, stopped, loops));
    tracing::info!(%address, wallet = %node.wallet(), "node is serving");
    Ok(RunningNode {
        node,
        address,
        server,
    })
}

async fn serve_and_join(
    node: Arc<Node>,
    listener: TcpListener,
    stopped: impl Future<Output = ()> + Send + 'static,
    loops: Vec<tokio::task::JoinHandle<()>>,
) -> Result<(), NodeError> {
    let served = crate::http::serve(node.clone(), listener, stopped).await;
    node.running.stop_all();
    for task in loops {
        task.await.or_fault("joining a loop")?;
    }
    node.store.close().await;
    served
}

async fn open(
    options: NodeOptions,
    address: String,
    stopping: watch::Receiver<bool>,
) -> Result<Node, NodeError> {
    let (data, rpc) = (options.data.clone(), options.rpc.clone());
    make_private(&data)
        .map_err(|source| NodeError::startup(format!("cannot use the folder {}", data.display()), source))?;
    if options.sandbox {
        let (executable, keystore) = (options.executable.clone(), options.keystore.clone());
        let probe = tokio::task::spawn_blocking(move || sandbox::probe(&executable, &keystore));
        probe.await.or_fault("probing the sandbox")?.map_err(|source| {
            NodeError::startup(
                "workers cannot be confined on this machine; use a kernel with Landlock and seccomp, or start with \
                 --unsafe-no-sandbox if every user is trusted",
                source,
            )
        })?;
    }
    let book = AddressBook::read_chain(&options.address_file, options.chain_id)
        .map_err(|source| NodeError::startup("cannot use the address file", source))?;
    let times = ChainOptions {
        receipt_deadline: options.work.transaction_deadline,
        ..ChainOptions::default()
    };
    let chain = Chain::connect_with(&rpc, book, times)
        .await
        .map_err(|source| NodeError::startup("cannot use the chain", source))?;
    let store = Store::open(data.join("market.sqlite")).await?;
    crate::recovery::check_chain(&chain, &store).await?;
    let vault = Arc::new(Vault::open(
        &data.join("vault"),
        options.master_key.clone(),
        None,
    )?);
    let engine = LocalEngine::new(
        vault.clone(),
        LocalEngineOptions {
            executable: options.executable.clone(),
            jobs: data.join("jobs"),
            sandbox: options.sandbox,
        },
    );
    let clock = Clock;
    Ok(Node {
        outbox: Outbox::new(chain.clone(), store.clone(), options.wallet.clone(), clock),
        queue: Queue::new(store.clone(), QueueOptions::default()),
        documents_key: documents_key(&data, &vault)?,
        engine_version: posthuman_jobs::engine_version().to_owned(),
        public_url: options
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{address}")),
        identity: Identity::unknown(),
        events: EventHub::default(),
        running: Running::default(),
        metrics: Metrics::new(),
        assembling: Arc::default(),
        publishing: tokio::sync::Mutex::default(),
        selling: tokio::sync::Mutex::default(),
        unpaid: crate::unpaid::turns(),
        wake: tokio::sync::Notify::new(),
        settle: tokio::sync::Notify::new(),
        options,
        chain,
        store,
        vault,
        engine,
        clock,
        stopping,
    })
}

/// The folder holds users' texts and results: nobody but its owner looks in.
fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

impl Node {
    /// The node's wallet.
    pub fn wallet(&self) -> Address {
        self.options.wallet.address()
    }

    /// The wallet with its key, to sign with.
    pub(crate) fn signing_wallet(&self) -> &Wallet {
        &self.options.wallet
    }

    fn spawn_loops(self: Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut loops = vec![
            tokio::spawn(self.clone().index_loop()),
            tokio::spawn(self.clone().settlement_loop()),
            tokio::spawn(self.clone().housekeeping_loop()),
        ];
        for number in 0..self.options.work.workers.max(1) {
            loops.push(tokio::spawn(self.clone().work_loop(number)));
        }
        loops
    }

    /// Waits for a wake-up, at most for `pause`. Answers `false` when the node stops.
    pub(crate) async fn pause(&self, wake: Option<&tokio::sync::Notify>, pause: std::time::Duration) -> bool {
        let mut stopping = self.stopping.clone();
        if *stopping.borrow() {
            return false;
        }
        let woken = async {
            match wake {
                Some(wake) => wake.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stopping.changed() => {}
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
        !*stopping.borrow()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
