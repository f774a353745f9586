//! A whole market in a folder of its own: a devnet, a node, and people with funded wallets.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::Context as _;
use posthuman::{Event, Market, MarketOptions, Text, Trained, Work};
use posthuman_chain::{Chain, Devnet, DevnetOptions, Wallet, devnet};
use posthuman_types::{Amount, Did, Parameters};
use tempfile::TempDir;

use crate::files::{contracts, copy_folder};
use crate::keys::Keys;
use crate::node::{NodeProcess, NodeSetup};
use crate::process::{Finished, posthuman};
use crate::texts;

/// Whole OCEAN that everyone starts with.
const PURSE: u64 = 1_000;

/// The people of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Publishes the root.
    Alice,
    /// Trains its child.
    Bob,
    /// Trains its grandchild.
    Charlie,
    /// Uses it.
    Derek,
    /// Evaluates it.
    Elena,
}

impl Person {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Alice, Self::Bob, Self::Charlie, Self::Derek, Self::Elena];

    /// The wallet.
    pub fn wallet(self) -> Wallet {
        devnet::account(match self {
            Self::Alice => devnet::ALICE,
            Self::Bob => devnet::BOB,
            Self::Charlie => devnet::CHARLIE,
            Self::Derek => devnet::DEREK,
            Self::Elena => devnet::ELENA,
        })
    }
}

/// More flags and environment for the node of a market.
#[derive(Clone, Debug, Default)]
pub struct MarketSetup {
    /// Such as `--checkpoint-every 1`.
    pub flags: Vec<OsString>,
    /// Such as `POSTHUMAN_BREAK_POINT`.
    pub environment: Vec<(OsString, OsString)>,
}

impl MarketSetup {
    /// A node that dies by SIGKILL at a break point.
    pub fn dying_at(break_point: &str) -> Self {
        Self {
            environment: vec![("POSTHUMAN_BREAK_POINT".into(), break_point.into())],
            ..Self::default()
        }
    }
}

/// A market. All of it ends and its folder goes when it is dropped.
///
/// `FOLDER` holds what `posthuman demo --data FOLDER` leaves too: `market.sqlite`, `vault/`, `jobs/`, `keys/`,
/// `address.json`, `devnet/`, `node.log`.
#[derive(Debug)]
pub struct TestMarket {
    // Fields drop in this order: the node before its chain, and both before their folder.
    node: Option<NodeProcess>,
    devnet: Devnet,
    setup: NodeSetup,
    folder: TempDir,
}

impl TestMarket {
    /// Starts a market whose node has published its own assets and serves.
    ///
    /// # Errors
    /// Whatever keeps devnet or node from starting.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(MarketSetup::default()).await
    }

    /// The same with more flags and environment for the node.
    ///
    /// # Errors
    /// As [`TestMarket::start`].
    pub async fn start_with(setup: MarketSetup) -> anyhow::Result<Self> {
        let mut market = Self::prepare(setup).await?;
        market.start_node()?;
        Ok(market)
    }

    /// Starts a devnet with funded people, and makes a node's keys, but starts no node.
    ///
    /// # Errors
    /// Whatever keeps the devnet from starting.
    pub async fn prepare(setup: MarketSetup) -> anyhow::Result<Self> {
        let folder = new_folder()?;
        Keys::create(folder.path())?;
        let market = Self::open(folder, setup).await?;
        for person in Person::ALL {
            let (ocean, ether) = (Amount::tokens(PURSE).0, Amount::tokens(1).0);
            devnet::fund(market.chain(), person.wallet().address(), ocean, ether).await?;
        }
        Ok(market)
    }

    async fn open(folder: TempDir, setup: MarketSetup) -> anyhow::Result<Self> {
        let data = folder.path().to_owned();
        let options = DevnetOptions {
            contracts: contracts(),
            mine_every: None,
            ..DevnetOptions::kept(data.clone(), 0)
        };
        let devnet = Devnet::start(options).await?;
        let setup = NodeSetup {
            log: data.join("node.log"),
            rpc: devnet.url().to_owned(),
            address_file: devnet.address_file().to_owned(),
            keys: Keys::of(&data),
            data,
            port: 0,
            flags: setup.flags,
            environment: setup.environment,
            full_disk: None,
        };
        Ok(Self {
            node: None,
            devnet,
            setup,
            folder,
        })
    }

    /// What the node is started with the next time; change it between a stop and a start.
    pub fn setup(&mut self) -> &mut NodeSetup {
        &mut self.setup
    }

    /// Starts the node on the market's folder and waits until it serves.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_node(&mut self) -> anyhow::Result<()> {
        self.node = None;
        self.node = Some(NodeProcess::start(&self.setup)?);
        Ok(())
    }

    /// Starts the node and waits for nothing, as where it is to die while it starts.
    ///
    /// # Errors
    /// The binary was not built.
    pub fn spawn_node(&mut self) -> anyhow::Result<&mut NodeProcess> {
        self.node = None;
        Ok(self.node.insert(NodeProcess::spawn(&self.setup)?))
    }

    /// Kills the node (SIGKILL).
    pub fn kill_node(&mut self) {
        if let Some(node) = &mut self.node {
            node.kill();
        }
    }

    /// Asks the node to stop, and waits.
    ///
    /// # Errors
    /// It does not stop within two minutes, or none was started.
    pub fn stop_node(&mut self) -> anyhow::Result<ExitStatus> {
        self.node().stop()
    }

    /// The node's process.
    ///
    /// # Panics
    /// Before one was started.
    pub fn node(&mut self) -> &mut NodeProcess {
        self.node.as_mut().expect("a node was started")
    }

    /// Where the node serves.
    ///
    /// # Panics
    /// Before one was started.
    pub fn node_url(&self) -> &str {
        self.node.as_ref().expect("a node was started").url()
    }

    /// The devnet.
    pub fn devnet(&self) -> &Devnet {
        &self.devnet
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        self.devnet.chain()
    }

    /// The folder of everything.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The node's keys.
    pub fn keys(&self) -> Keys {
        Keys::of(self.folder.path())
    }

    /// The settings with which the binary finds this market as a person, for [`crate::process::posthuman`].
    pub fn environment(&self, person: Person) -> Vec<(&'static str, OsString)> {
        let name = format!("{person:?}").to_lowercase();
        vec![
            ("POSTHUMAN_RPC", self.devnet.url().into()),
            ("POSTHUMAN_NODE", self.node_url().into()),
            ("POSTHUMAN_ADDRESS_FILE", self.devnet.address_file().into()),
            ("POSTHUMAN_WALLET", name.into()),
        ]
    }

    /// What the binary says to a person's command on this market.
    ///
    /// # Errors
    /// The binary was not built.
    pub fn command<A: AsRef<OsStr>>(&self, person: Person, arguments: &[A]) -> anyhow::Result<Finished> {
        let environment = self.environment(person);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        posthuman(arguments, &environment)
    }

    /// The market as one person sees it. After a restart of the node it has another address: ask again.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn person(&self, person: Person) -> anyhow::Result<Market> {
        let options = MarketOptions {
            rpc: self.devnet.url().to_owned(),
            node: self.node_url().to_owned(),
            address_file: Some(self.devnet.address_file().to_owned()),
            ..MarketOptions::default()
        };
        let connected = Market::connect(options, person.wallet()).await;
        connected.with_context(|| format!("{person:?} cannot connect to the market"))
    }

    /// Stops node and devnet, so that copies of their folder can be started.
    ///
    /// # Errors
    /// The node does not stop.
    pub async fn freeze(mut self) -> anyhow::Result<Frozen> {
        if let Some(mut node) = self.node.take() {
            node.stop()?;
        }
        self.devnet.stop().await;
        Ok(Frozen { folder: self.folder })
    }
}

/// A stopped market, kept to start copies of it.
#[derive(Debug)]
pub struct Frozen {
    folder: TempDir,
}

impl Frozen {
    /// A copy of the market as it was, running again.
    ///
    /// # Errors
    /// As [`TestMarket::start`].
    pub async fn thaw(&self, setup: MarketSetup) -> anyhow::Result<TestMarket> {
        let mut market = self.thaw_without_node(setup).await?;
        market.start_node()?;
        Ok(market)
    }

    /// The same without its node, which [`TestMarket::spawn_node`] or [`TestMarket::start_node`] starts.
    ///
    /// # Errors
    /// As [`TestMarket::start`].
    pub async fn thaw_without_node(&self, setup: MarketSetup) -> anyhow::Result<TestMarket> {
        let folder = new_folder()?;
        copy_folder(self.folder.path(), folder.path())?;
        TestMarket::open(folder, setup).await
    }

    /// Its folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }
}

/// What a training from scratch in about a second asks for: a root that [`texts::tiny_root`] describes, from the first
/// chapter of Moby-Dick, with the second held out.
///
/// # Errors
/// The texts are not installed.
pub fn tiny_root_work(blank: &Did, name: &str) -> anyhow::Result<Work> {
    let texts = vec![text("text", 1)?, text("held_out", 2)?];
    Ok(Work {
        did: blank.clone(),
        texts,
        parameters: Parameters::Train(texts::tiny_root(name)),
    })
}

/// What a training of a child in about a second asks for, from the second chapter.
///
/// # Errors
/// The texts are not installed.
pub fn tiny_child_work(parent: &Did, name: &str) -> anyhow::Result<Work> {
    let texts = vec![text("text", 2)?];
    Ok(Work {
        did: parent.clone(),
        texts,
        parameters: Parameters::Train(texts::tiny_child(name)),
    })
}

/// Buys one datatoken and has the work done that it describes, which must be a training.
///
/// # Errors
/// Whatever the market refuses.
pub async fn buy_and_train(market: &Market, work: Work) -> anyhow::Result<Trained> {
    let Parameters::Train(parameters) = work.parameters else {
        anyhow::bail!("the work is no training")
    };
    let quiet = &mut |_: Event<'_>| {};
    market.buy(&work.did, Amount::tokens(1), None, quiet).await?;
    Ok(market
        .train(&work.did, work.texts, parameters, None, quiet)
        .await?)
}

fn text(name: &'static str, chapter: u32) -> anyhow::Result<Text> {
    Ok(Text {
        name,
        bytes: texts::chapter(chapter)?.into(),
    })
}

fn new_folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("posthuman-e2e-")
        .tempdir()
        .context("cannot make a folder for a market")
}

/// Path of the newest state that a kept devnet wrote.
pub fn chain_state(data: &Path) -> PathBuf {
    data.join("devnet/state.json")
}
