//! Two workers, crashes, lost leases, cancellations and restarts in any order: no order is ever paid for twice, no job
//! is ever lost.

use std::collections::BTreeMap;

use posthuman_store::Store;
use posthuman_types::api::OrderState;
use posthuman_types::{B256, JobState, Operation, OrderId};
use proptest::prelude::*;

use super::fixtures::{Scene, add_quote, object, order, request, scene, statement};
use crate::machine::{Failure, FailureKind};
use crate::queue::{LeasedJob, Queue, QueueOptions};

const ORDERS: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    Start(u8),
    Lease(usize),
    Renew(usize),
    Checkpoint(usize),
    Finish(usize),
    Fail(usize, bool),
    /// The worker forgets its job, as if it had died without a word.
    Vanish(usize),
    Cancel(u8),
    Wait(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..2_usize;
    prop_oneof![
        3 => (1..=ORDERS).prop_map(Step::Start),
        4 => worker.clone().prop_map(Step::Lease),
        1 => worker.clone().prop_map(Step::Renew),
        1 => worker.clone().prop_map(Step::Checkpoint),
        3 => worker.clone().prop_map(Step::Finish),
        2 => (worker.clone(), any::<bool>()).prop_map(|(worker, crash)| Step::Fail(worker, crash)),
        1 => worker.prop_map(Step::Vanish),
        1 => (1..=ORDERS).prop_map(Step::Cancel),
        3 => (1..40_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// The world around the queue: what workers believe, and what we count ourselves.
struct World {
    scene: Scene,
    now: u64,
    nonce: u64,
    seals: u8,
    /// What each worker believes to hold, rightly or not.
    beliefs: [Option<LeasedJob>; 2],
    results: BTreeMap<OrderId, u32>,
}

impl World {
    async fn new() -> Self {
        let scene = scene().await;
        for n in 1..=ORDERS {
            add_quote(&scene.queue, &order(n, Operation::Train)).await;
        }
        Self {
            scene,
            now: 100,
            nonce: 0,
            seals: 10,
            beliefs: [None, None],
            results: BTreeMap::new(),
        }
    }

    async fn take(&mut self, step: Step) {
        let queue = self.scene.queue.clone();
        match step {
            Step::Start(n) => {
                self.nonce += 1;
                let order = order(n, Operation::Train);
                // Refused while another job of the order goes on, and after it had a result.
                let _ = queue
                    .admit(&order, request(&order, 0, B256::ZERO, self.nonce), self.now)
                    .await;
            }
            Step::Lease(worker) => {
                let name = format!("w{worker}");
                if let Some(leased) = queue.lease_next(&name, self.now).await.unwrap() {
                    self.beliefs[worker] = Some(leased);
                }
            }
            Step::Renew(worker) => {
                let Some(held) = &self.beliefs[worker] else { return };
                let _ = queue.renew(held.lease, self.now).await;
            }
            Step::Checkpoint(worker) => {
                let Some(held) = &self.beliefs[worker] else { return };
                let _ = queue.checkpoint(held.lease, object(9), 1, self.now).await;
            }
            Step::Finish(worker) => self.finish(worker, &queue).await,
            Step::Fail(worker, crash) => {
                let Some(held) = self.beliefs[worker].take() else {
                    return;
                };
                let kind = if crash {
                    FailureKind::Crash
                } else {
                    FailureKind::Retryable
                };
                let failure = Failure {
                    kind,
                    code: "c".to_owned(),
                    reason: "r".to_owned(),
                };
                let _ = queue.fail(held.lease, failure, self.now).await;
            }
            Step::Vanish(worker) => self.beliefs[worker] = None,
            Step::Cancel(n) => self.cancel(n, &queue).await,
            Step::Wait(seconds) => {
                self.now += seconds;
                queue.expire_leases(self.now).await.unwrap();
            }
            Step::Restart => self.restart().await,
        }
    }

    async fn finish(&mut self, worker: usize, queue: &Queue) {
        // The belief stays: a worker may report the same result twice.
        let Some(held) = &self.beliefs[worker] else { return };
        self.seals += 1;
        let statement = statement(&held.job.spec, self.seals, 40);
        let result = Some(object(self.seals));
        if let Ok(applied) = queue.finish(held.lease, statement, result, self.now).await {
            assert_eq!(applied.job.state, JobState::Finished);
            *self.results.entry(applied.job.order_id).or_default() += 1;
        }
    }

    async fn cancel(&mut self, n: u8, queue: &Queue) {
        let id = order(n, Operation::Train).id;
        let jobs = queue
            .store()
            .read()
            .await
            .unwrap()
            .jobs_of_order(id)
            .await
            .unwrap();
        if let Some(job) = jobs.iter().find(|job| job.state == JobState::Queued) {
            queue.cancel(job.id, self.now).await.unwrap();
        }
    }

    async fn restart(&mut self) {
        let path = self.scene.folder.path().join("node.db");
        self.scene.queue.store().close().await;
        self.scene.queue = Queue::new(Store::open(path).await.unwrap(), QueueOptions::default());
        self.scene.queue.abandon_leases(self.now).await.unwrap();
    }

    /// What must hold after every step.
    async fn check(&self) {
        let mut connection = self.scene.queue.store().read().await.unwrap();
        let mut models = 0;
        for n in 1..=ORDERS {
            let id = order(n, Operation::Train).id;
            let Some(row) = connection.order(id).await.unwrap() else {
                continue;
            };
            let jobs = connection.jobs_of_order(id).await.unwrap();
            let with_result = jobs.iter().filter(|job| job.state.has_result()).count();
            let live = jobs.iter().filter(|job| job.state == JobState::Queued).count();
            assert!(
                with_result + live <= 1,
                "order {n} pays for one job at most: {jobs:?}"
            );
            assert_eq!(
                row.state == OrderState::Used,
                with_result == 1,
                "order {n} is used by a result alone"
            );
            assert_eq!(
                self.results.get(&id).copied().unwrap_or(0) as usize,
                with_result,
                "order {n}"
            );
            assert_eq!(row.used_tokens, 40 * with_result as u64, "order {n}");
            assert!(
                jobs.iter()
                    .all(|job| job.worker.is_none() || job.state == JobState::Queued)
            );
            models += with_result;
        }
        assert_eq!(
            connection.models().await.unwrap().len(),
            models,
            "one model for each result"
        );
    }

    /// Left alone with an honest worker, every queued job comes to its end: none is lost.
    async fn drain(&mut self) {
        self.now += 1_000;
        self.scene.queue.expire_leases(self.now).await.unwrap();
        while let Some(leased) = self.scene.queue.lease_next("w", self.now).await.unwrap() {
            self.beliefs[0] = Some(leased);
            self.take(Step::Finish(0)).await;
        }
        let mut connection = self.scene.queue.store().read().await.unwrap();
        assert_eq!(connection.jobs_in_state(JobState::Queued).await.unwrap(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_order_pays_twice_and_no_job_is_lost(steps in proptest::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
                world.check().await;
            }
            world.drain().await;
            world.check().await;
        });
    }
}
