//! A client that goes on where a dead node left it, and never pays twice.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::market::{MarketSetup, Person, TestMarket};
use e2e::node::NodeProcess;
use posthuman::{Goal, Market, MarketOptions};
use posthuman_types::api::Job;
use posthuman_types::{OrderId, U256};

use crate::ground::{Ground, quiet};

/// SIGKILL.
const KILLED: i32 = 9;
/// How long a node may take to die once all is done that leads there.
const DEATH: Duration = Duration::from_secs(180);
/// How long the end of a process may take after its connections broke.
const END: Duration = Duration::from_secs(30);
/// How long a node that does not answer is asked again, in steps that a death cuts short anyway.
const PATIENCE: Duration = Duration::from_secs(60);

/// A market whose node may die once, and is then started again without the break point.
pub struct Play {
    pub market: TestMarket,
    person: Person,
    /// Whether the node is to die and has not yet.
    doomed: bool,
}

impl Play {
    /// A copy of the ground whose node dies at `place`; without a place it lives.
    pub async fn begin(ground: &Ground, place: Option<&str>, person: Person) -> anyhow::Result<Self> {
        let mut setup = place.map(MarketSetup::dying_at).unwrap_or_default();
        setup.flags = ["--checkpoint-every", "2"].map(Into::into).to_vec();
        let market = ground.frozen.thaw(setup).await?;
        Ok(Self {
            market,
            person,
            doomed: place.is_some(),
        })
    }

    /// The person's view of the market.
    pub async fn person(&self) -> anyhow::Result<Market> {
        Ok(Market::connect(self.options(), self.person.wallet()).await?)
    }

    fn options(&self) -> MarketOptions {
        MarketOptions {
            rpc: self.market.devnet().url().to_owned(),
            node: self.market.node_url().to_owned(),
            address_file: Some(self.market.devnet().address_file().to_owned()),
            patience: PATIENCE,
        }
    }

    /// Does a step; if the node dies meanwhile, starts it again and does the step again.
    pub async fn step<T>(
        &mut self,
        mut step: impl AsyncFnMut(Market) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        loop {
            let (options, wallet) = (self.options(), self.person.wallet());
            let connect_and_step = async { step(Market::connect(options, wallet).await?).await };
            let outcome = tokio::select! {
                outcome = connect_and_step => outcome,
                () = death(self.market.node()) => Err(anyhow::anyhow!("the node died")),
            };
            match outcome {
                Ok(value) => return Ok(value),
                Err(error) if self.died().await => {
                    self.revive().with_context(|| format!("after {error:#}"))?;
                }
                Err(error) => return Err(error.context(self.market.node().last_words())),
            }
        }
    }

    /// Starts a job on a paid order and waits until its receipt is on the chain, and the node has died if it was to.
    pub async fn until_settled(
        &mut self,
        order: OrderId,
        start: impl AsyncFn(&Market) -> anyhow::Result<Job>,
    ) -> anyhow::Result<Job> {
        let job = self.step(async |person| start(&person).await).await?;
        ensure!(
            job.order == order,
            "the job {} is on order {}, not on {order}",
            job.id,
            job.order
        );
        let id = job.id;
        let done = self
            .step(async |person| Ok(person.wait(id, Goal::Settled, &mut quiet()).await?))
            .await?;
        self.outlive_death().await?;
        Ok(done)
    }

    /// The node must have died by now, or dies soon, if it was to die.
    pub async fn outlive_death(&mut self) -> anyhow::Result<()> {
        if self.doomed {
            self.revive()?;
        }
        Ok(())
    }

    /// Whether the node dies within the moment that a broken connection is ahead of its end.
    async fn died(&mut self) -> bool {
        self.doomed && tokio::time::timeout(END, death(self.market.node())).await.is_ok()
    }

    fn revive(&mut self) -> anyhow::Result<()> {
        let status = self.market.node().wait_end(DEATH)?;
        ensure!(self.doomed, "the node died a second time ({status})");
        ensure!(
            status.signal() == Some(KILLED),
            "the node ended by itself ({status}), not at its break point"
        );
        self.doomed = false;
        self.market.setup().environment.clear();
        self.market.start_node()
    }
}

/// Comes back when the node is dead.
async fn death(node: &mut NodeProcess) {
    while node.process().ended().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What somebody owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purse {
    pub ocean: U256,
    pub datatokens: U256,
}

impl Purse {
    /// OCEAN and datatokens of one asset.
    pub async fn of(
        market: &TestMarket,
        person: Person,
        datatoken: posthuman_types::Address,
    ) -> anyhow::Result<Self> {
        let holder = person.wallet().address();
        let ocean = market.chain().ocean().balance_of(holder).await?;
        let datatokens = market.chain().token(datatoken).balance_of(holder).await?;
        Ok(Self { ocean, datatokens })
    }
}
