//! Jobs that go wrong while they run, are cancelled or started twice: no order is lost.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::files;
use e2e::leak::{self, Windows};
use e2e::market::{MarketSetup, Person, TestMarket, tiny_child_work};
use e2e::process::{self, posthuman};
use posthuman::verify::Material;
use posthuman::{Goal, Market, MarketError, Offer, Work};
use posthuman_jobs::vault::{ObjectKind, Vault};
use posthuman_types::api::Job;
use posthuman_types::{JobId, JobState, OrderId, Parameters};
use rustix::process::{Pid, Signal, kill_process};

use super::raw::{Raw, Start};
use super::{answer, assert_open};
use crate::ground::{block_on, ground, quiet};

/// How long a job may take to look as it should.
const LIMIT: Duration = Duration::from_secs(180);

/// A training that takes long enough to be interfered with.
fn long_work(did: &posthuman_types::Did, steps: u32) -> Work {
    let mut work = tiny_child_work(did, "Child").unwrap();
    if let Parameters::Train(train) = &mut work.parameters {
        (train.steps, train.batch) = (steps, 8);
    }
    work
}

pub(super) async fn pay(person: &Market, work: Work) -> (Offer, OrderId) {
    let offer = person.quote(work, &mut quiet()).await.unwrap();
    let order = person.order(&offer, None, &mut quiet()).await.unwrap();
    (offer, order)
}

/// Waits until a job looks as it should.
pub(super) async fn until(person: &Market, job: JobId, what: &str, holds: impl Fn(&Job) -> bool) -> Job {
    let end = Instant::now() + LIMIT;
    loop {
        let found = person.node().job(job).await.unwrap();
        if holds(&found) {
            return found;
        }
        assert!(Instant::now() < end, "{what} does not come: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn cancelled_jobs_leave_the_order_open_and_killed_workers_go_on_from_a_checkpoint() {
    let ground = ground();
    block_on(async {
        let flags = ["--checkpoint-every", "50"].map(Into::into).to_vec();
        let mut market = ground
            .frozen
            .thaw(MarketSetup {
                flags,
                ..MarketSetup::default()
            })
            .await
            .unwrap();
        writes_no_core_dump(market.node().process().id());
        let bob = market.person(Person::Bob).await.unwrap();
        let (offer, order) = pay(&bob, long_work(&ground.root.did, 2_400)).await;
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        until(&bob, job.id, "its first step", |job| {
            job.running && job.progress.is_some()
        })
        .await;
        bob.cancel(job.id).await.unwrap();
        until(&bob, job.id, "its cancellation", |job| {
            job.state == JobState::Cancelled && !job.running
        })
        .await;
        assert_open(&bob, order).await;
        answer(bob.cancel(job.id).await, "job_final", 409);

        // The same order again; its worker is killed once it has sealed a checkpoint.
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        let id = job.id;
        until(&bob, id, "a checkpoint", |job| step_of(job) > 200).await;
        let worker = worker_of(&market, id).expect("a worker runs");
        // It stands still while what it left so far is looked at.
        kill_process(worker, Signal::STOP).unwrap();
        let sealed = checkpoint_windows(&market);
        nothing_leaked(&sealed, market.data());
        kill_process(worker, Signal::KILL).unwrap();
        until(&bob, id, "a second attempt", |job| {
            job.attempt == 2 && job.progress.is_some()
        })
        .await;
        let done = bob.wait(id, Goal::Settled, &mut quiet()).await.unwrap();
        assert_eq!((done.state, done.attempt), (JobState::Settled, 2));
        let log = std::fs::read_to_string(market.data().join("node.log")).unwrap();
        assert!(log.contains("worker_crashed"), "the kill was noticed");
        nothing_leaked(&sealed, market.data());
        let receipt = bob.receipt(id).await.unwrap();
        assert!(
            posthuman::verify(market.chain(), &receipt, &Material::default())
                .await
                .unwrap()
                .holds()
        );

        // Undisturbed runs from the beginning, at 1, 2 and 3 threads, give the same statement to the last bit.
        let environment = market.environment(Person::Bob);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        let data = market.data().to_str().unwrap().to_owned();
        let again = posthuman(&["verify", &id.to_string(), "--rerun", &data], &environment).unwrap();
        assert_eq!(again.code(), Some(0), "{again:?}");
        market.stop_node().unwrap();
        crate::break_points::audit::vault(market.data()).await.unwrap();
    });
}

/// A core dump of the node would hold its keys.
fn writes_no_core_dump(node: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{node}/limits")).unwrap();
    let mut core = limits
        .lines()
        .filter(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.next().unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
}

fn step_of(job: &Job) -> u32 {
    match job.progress.as_ref().and_then(|event| event.progress.as_ref()) {
        Some(posthuman_types::Progress::Step { step, .. }) => *step,
        _ => 0,
    }
}

/// The process that works on a job, by its command line.
fn worker_of(market: &TestMarket, job: JobId) -> Option<Pid> {
    let directory = market.data().join("jobs").join(job.to_string());
    process::find(|words| words.contains(&"worker") && words.iter().any(|word| Path::new(word) == directory))
}

/// Weights and optimizer moments of the checkpoint that the vault holds now.
fn checkpoint_windows(market: &TestMarket) -> Windows {
    let end = Instant::now() + LIMIT;
    loop {
        let master = market.keys().master_key().unwrap();
        let vault = Vault::open_read_only(&market.data().join("vault"), master).unwrap();
        let objects = vault.list().unwrap_or_default();
        let checkpoint = objects.iter().find(|facts| facts.kind == ObjectKind::Checkpoint);
        // The next one may take its place before it is read.
        if let Some(Ok(bytes)) = checkpoint.map(|facts| vault.read(facts.object, 1 << 30)) {
            return leak::of_checkpoint(&bytes).unwrap();
        }
        assert!(Instant::now() < end, "the vault holds no checkpoint: {objects:?}");
    }
}

fn nothing_leaked(windows: &Windows, folder: &Path) {
    for path in files::files_under(folder) {
        // A file in use may go between the listing and the reading.
        if let Ok(bytes) = std::fs::read(&path) {
            let leak = windows.find(&bytes);
            assert!(leak.is_none(), "a checkpoint in {}: {leak:?}", path.display());
        }
    }
}

#[test]
fn one_order_pays_one_job_however_often_it_is_started_at_once() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let wallet = Person::Bob.wallet();
        let (offer, order) = pay(&bob, long_work(&ground.root.did, 400)).await;
        let nonce = Raw::new(market.node_url()).next_nonce(&wallet).await;
        let starts: Vec<_> = (0..4)
            .map(|more| Start::of(&offer, order, nonce + more))
            .collect();
        let results = futures::future::join_all(starts.iter().map(|start| start.send(&bob, &wallet))).await;
        let mut admitted = Vec::new();
        for (start, result) in starts.iter().zip(results) {
            match result {
                Ok(job) => admitted.push((start.clone(), job)),
                Err(MarketError::Node(answer)) => {
                    assert!(
                        ["order_running", "nonce_replayed"].contains(&answer.code.as_str()),
                        "{answer}"
                    );
                    assert!(answer.refusal.is_some(), "{answer}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(admitted.len(), 1, "{admitted:?}");
        let (start, job) = admitted.remove(0);
        // Sent often at once, the same request is the same job, and none waits for another's connection.
        let same = futures::future::join_all((0..12).map(|_| start.send(&bob, &wallet))).await;
        assert!(same.into_iter().all(|same| same.unwrap().id == job.id));

        // After a restart the same request is the same job, and another is refused.
        market.kill_node();
        market.start_node().unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        assert_eq!(start.send(&bob, &wallet).await.unwrap().id, job.id);
        let nonce = Raw::new(market.node_url()).next_nonce(&wallet).await;
        let other = Start::of(&offer, order, nonce).send(&bob, &wallet).await;
        match other {
            Err(MarketError::Node(answer)) => {
                assert!(
                    ["order_running", "order_used"].contains(&answer.code.as_str()),
                    "{answer}"
                );
            }
            other => panic!("{other:?}"),
        }
        bob.wait(job.id, Goal::Settled, &mut quiet()).await.unwrap();
        assert_eq!(bob.jobs(100, 0).await.unwrap().total, 1);
        nothing_comes_after_the_end(&Raw::signed_in(&bob, &wallet).await, job.id).await;
    });
}

/// Whoever has a job's last event is not kept waiting, and what the job counted is in the metrics.
async fn nothing_comes_after_the_end(raw: &Raw, job: JobId) {
    let http = reqwest::Client::new();
    let events = http
        .get(format!("{}/api/v1/jobs/{job}/events", raw.url))
        .bearer_auth(raw.token.as_ref().unwrap())
        .header("last-event-id", "1000000");
    let text = async { events.send().await.unwrap().text().await.unwrap() };
    let text = tokio::time::timeout(Duration::from_secs(60), text).await.unwrap();
    assert!(!text.contains("data:"), "{text}");
    let metrics = http.get(format!("{}/metrics", raw.url)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = "posthuman_tokens_total{operation=\"train\"}";
    assert!(metrics.contains(line), "{metrics}");
}
