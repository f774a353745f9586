//! The market that scenarios of trouble begin with, made once and copied for each of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use e2e::market::{Frozen, Person, TestMarket, buy_and_train, tiny_root_work};
use posthuman::{Event, Goal};
use posthuman_types::api::Asset;
use posthuman_types::{Amount, OrderId, SignedReceipt};

/// Datatokens of Alice's model that Bob has bought.
pub const BOB_HOLDS: u64 = 4;

/// A stopped market on which Alice's root model exists and Bob holds some of its datatokens.
pub struct Ground {
    pub frozen: Frozen,
    pub root: Asset,
    /// Alice's order, which is used up.
    pub order: OrderId,
    pub receipt: SignedReceipt,
}

/// The ground. It stays as long as a test holds it; then its folder goes.
pub fn ground() -> Arc<Ground> {
    static GROUND: Mutex<Weak<Ground>> = Mutex::new(Weak::new());
    let mut kept = GROUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ground) = kept.upgrade() {
        return ground;
    }
    let ground = Arc::new(block_on(make()).unwrap());
    *kept = Arc::downgrade(&ground);
    ground
}

/// Runs a scenario on a runtime of its own.
pub fn block_on<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(scenario)
}

/// Hears nothing.
pub fn quiet() -> impl FnMut(Event<'_>) + Send {
    |_: Event<'_>| {}
}

async fn make() -> anyhow::Result<Ground> {
    let market = TestMarket::start().await?;
    let alice = market.person(Person::Alice).await?;
    let trained = buy_and_train(&alice, tiny_root_work(&alice.info().blank, "Root")?).await?;
    alice.wait(trained.job.id, Goal::Settled, &mut quiet()).await?;
    let bob = market.person(Person::Bob).await?;
    bob.buy(&trained.model.did, Amount::tokens(BOB_HOLDS), None, &mut quiet())
        .await?;
    let root = alice.asset(&trained.model.did).await?;
    let frozen = market.freeze().await?;
    Ok(Ground {
        frozen,
        root,
        order: trained.job.order,
        receipt: trained.receipt,
    })
}
