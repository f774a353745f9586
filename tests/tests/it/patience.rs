//! Nothing that was paid or done is lost to time: late starts, new keys, restarts, a busy database, second thoughts.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use e2e::keys::Key;
use e2e::market::{MarketSetup, Person, TestMarket, tiny_child_work};
use posthuman::verify::Material;
use posthuman::{Goal, Market, Offer};
use posthuman_chain::Wallet;
use posthuman_store::{ImportRow, ModelRow, Store};
use posthuman_types::api::{Job, OpenSale};
use posthuman_types::{Address, Amount, B256, Did, JobId, JobState, ObjectId, OrderId, Parameters, U256};

use crate::bad_input::answer;
use crate::break_points::audit;
use crate::ground::{block_on, ground, quiet};

/// Longer than a statement of the node waits for another process that writes.
const LONG: Duration = Duration::from_secs(12);

#[test]
fn an_order_is_signed_for_by_the_key_of_its_block_and_its_quote_waits_for_it() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let unpaid = quote(&bob, &ground.root.did, 2).await;
        let offer = quote(&bob, &ground.root.did, 2).await;
        let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
        indexed(&market, &bob).await;
        market.stop_node().unwrap();

        // A year later, as far as quotes go.
        let store = Store::open(market.data().join("market.sqlite")).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        transaction.delete_unused_quotes(u64::MAX >> 1).await.unwrap();
        assert_eq!(transaction.quote(unpaid.quote.id).await.unwrap(), None);
        transaction.commit().await.unwrap();
        store.close().await;

        let old = market.keys().receipt_signer().unwrap().address();
        let new = rotate(&mut market);
        market.start_node().unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        assert_eq!(bob.info().receipt_signer, new);
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        signed_by(&market, &bob, job.id, old).await;

        let offer = quote(&bob, &ground.root.did, 2).await;
        let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        signed_by(&market, &bob, job.id, new).await;
    });
}

/// Gives the node's next start another receipt signer, and the old one as a former one.
fn rotate(market: &mut TestMarket) -> Address {
    let folder = market.data().join("keys");
    let new = Key {
        keystore: folder.join("receipt-signer-2.json"),
        password: folder.join("receipt-signer-2.password"),
    };
    fs::write(&new.password, "another password of a test\n").unwrap();
    let wallet = Wallet::random();
    let password = File::open(&new.password).unwrap();
    wallet.save_keystore(&new.keystore, password).unwrap();
    let setup = market.setup();
    let old = std::mem::replace(&mut setup.keys.receipt_signer, new);
    setup.flags = vec![
        "--former-receipt-signer".into(),
        old.keystore.into(),
        "--former-receipt-signer-password-file".into(),
        old.password.into(),
    ];
    wallet.address()
}

async fn signed_by(market: &TestMarket, person: &Market, job: JobId, signer: Address) {
    person.wait(job, Goal::Settled, &mut quiet()).await.unwrap();
    let receipt = person.receipt(job).await.unwrap();
    assert_eq!(posthuman_proofs::receipt_signer(&receipt).unwrap(), signer);
    let verification = posthuman::verify(market.chain(), &receipt, &Material::default())
        .await
        .unwrap();
    assert!(verification.holds(), "{:?}", verification.failure());
}

#[test]
fn a_database_that_is_busy_for_a_while_costs_a_running_job_nothing() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let (job, store) = tokio::join!(
            running(&bob, &ground.root.did, 400),
            Store::open(market.data().join("market.sqlite"))
        );
        let store = store.unwrap();
        let writing = store.begin().await.unwrap();
        tokio::time::sleep(LONG).await;
        drop(writing);
        store.close().await;
        let done = bob.wait(job, Goal::Settled, &mut quiet()).await.unwrap();
        assert_eq!((done.state, done.attempt), (JobState::Settled, 1));
        market.stop_node().unwrap();
        audit::vault(market.data()).await.unwrap();
    });
}

#[test]
fn a_worker_that_cannot_start_for_a_while_is_no_crash_of_the_job() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let offer = quote(&bob, &ground.root.did, 2).await;
        let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
        // No folder of a job can be made, as on a disk that is full.
        let (jobs, away) = (market.data().join("jobs"), market.data().join("away"));
        fs::rename(&jobs, &away).unwrap();
        fs::write(&jobs, "").unwrap();
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap().id;
        // More often than a job may kill its worker.
        until(&bob, job, |job| job.attempt == 3).await;
        fs::remove_file(&jobs).unwrap();
        fs::rename(&away, &jobs).unwrap();
        let done = bob.wait(job, Goal::Settled, &mut quiet()).await.unwrap();
        assert_eq!(done.state, JobState::Settled);
        let log = fs::read_to_string(market.data().join("node.log")).unwrap();
        assert!(
            log.contains("worker_not_started") && log.contains("Not a directory"),
            "its causes are told"
        );
    });
}

#[test]
fn a_node_that_stops_gives_its_job_back_and_takes_the_texts_of_others_away() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let job = running(&bob, &ground.root.did, 400).await;
        market.stop_node().unwrap();
        // What a check leaves when the node is killed in the middle of it.
        let left = market.data().join("jobs/check-0123456789abcdef");
        fs::create_dir_all(left.join("inputs")).unwrap();
        fs::write(left.join("inputs/text"), "Call me Ishmael.").unwrap();

        market.start_node().unwrap();
        assert!(!left.exists());
        let bob = market.person(Person::Bob).await.unwrap();
        let done = bob.wait(job, Goal::Settled, &mut quiet()).await.unwrap();
        assert_eq!((done.state, done.attempt), (JobState::Settled, 1));
    });
}

#[test]
fn an_import_that_cannot_be_published_keeps_no_node_from_starting() {
    let ground = ground();
    block_on(async {
        let mut market = ground
            .frozen
            .thaw_without_node(MarketSetup::default())
            .await
            .unwrap();
        let store = Store::open(market.data().join("market.sqlite")).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        let model = ModelRow {
            root: B256::repeat_byte(7),
            scheme: "none".to_owned(),
            object: ObjectId([7; 16]),
            did: None,
            job_id: None,
            created_at: 1,
        };
        let import = ImportRow {
            key: "import:7".to_owned(),
            root: model.root,
            record: "{}".to_owned(),
            created_at: 1,
        };
        transaction.insert_model(&model).await.unwrap();
        transaction.insert_import(&import).await.unwrap();
        transaction.commit().await.unwrap();
        store.close().await;

        market.start_node().unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        alice.asset(&ground.root.did).await.unwrap();
        let log = fs::read_to_string(market.data().join("node.log")).unwrap();
        assert!(log.contains("publishing an import"), "it is told in the log");
    });
}

#[test]
fn a_holder_changes_the_price_of_a_sale_as_often_as_it_takes() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let did = &ground.root.did;
        let bob = market.person(Person::Bob).await.unwrap();
        for price in [2, 3, 2, 3] {
            let sale = bob.open_sale(did, Amount::tokens(price)).await.unwrap();
            assert_eq!(sale.price, Amount::tokens(price));
            let asset = bob.asset(did).await.unwrap();
            let resale = asset.prices.iter().find(|price| price.resale).unwrap();
            assert_eq!(resale.price, Amount::tokens(price), "on the chain");
        }
        let ask = |price| OpenSale {
            did: did.clone(),
            price: Amount(U256::from(price)),
        };
        answer(
            bob.node().open_sale(&ask(9_999_999_999_u64)).await,
            "parameters_invalid",
            400,
        );
        let half = Amount(Amount::tokens(1).0 / U256::from(2));
        let derek = market.person(Person::Derek).await.unwrap();
        bob.send(did, half, Person::Derek.wallet().address(), &mut quiet())
            .await
            .unwrap();
        let price = 10_u64.pow(18);
        answer(derek.node().open_sale(&ask(price)).await, "sale_not_holder", 400);
        let alice = market.person(Person::Alice).await.unwrap();
        answer(alice.node().open_sale(&ask(price)).await, "sale_taken", 409);
    });
}

async fn quote(person: &Market, did: &Did, steps: u32) -> Offer {
    let mut work = tiny_child_work(did, "Child").unwrap();
    if let Parameters::Train(train) = &mut work.parameters {
        (train.steps, train.batch) = (steps, 8);
    }
    person.quote(work, &mut quiet()).await.unwrap()
}

/// Pays for a training and waits for its first step.
async fn running(person: &Market, did: &Did, steps: u32) -> JobId {
    let offer = quote(person, did, steps).await;
    let order: OrderId = person.order(&offer, None, &mut quiet()).await.unwrap();
    let job: Job = person.start(order, &offer, &mut quiet()).await.unwrap();
    until(person, job.id, |job| job.running && job.progress.is_some()).await;
    job.id
}

/// Waits until a job looks as it should.
async fn until(person: &Market, job: JobId, holds: impl Fn(&Job) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = person.node().job(job).await.unwrap();
        if holds(&found) {
            return;
        }
        assert!(Instant::now() < end, "the job stays as it is: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the node has indexed all blocks of now.
pub(crate) async fn indexed(market: &TestMarket, person: &Market) {
    let newest = market.chain().block_number().await.unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while person.node().health().await.unwrap().indexed_block < newest {
        assert!(Instant::now() < end, "the index stays behind block {newest}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
