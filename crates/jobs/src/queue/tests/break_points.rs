//! kill -9 at every break point of the queue, by name; then a fresh start ends as if nothing had happened.
//!
//! The process that dies is this test program, started again to play a story with a variable that names the place.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use posthuman_store::{JobRow, Store};
use posthuman_types::api::OrderState;
use posthuman_types::{B256, JobState, Operation, OrderId};

use super::fixtures::{add_quote, did, object, order, receipt, request, statement, word};
use crate::break_point::{BREAK_POINT_VARIABLE, BREAK_POINTS};
use crate::machine::{Failure, FailureKind};
use crate::queue::{LeasedJob, Queue, QueueOptions};

const FILE: &str = "POSTHUMAN_QUEUE_TEST_FILE";
const LIFE: &str = "POSTHUMAN_QUEUE_TEST_LIFE";

fn play(file: &Path, life: u64, place: Option<&str>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = module_path!().split_once("::").unwrap().1;
    command.args(["--exact", &format!("{test}::the_story"), "--nocapture"]);
    command
        .env(FILE, file)
        .env(LIFE, life.to_string())
        .stdout(Stdio::null());
    command.env_remove(BREAK_POINT_VARIABLE);
    if let Some(place) = place {
        command.env(BREAK_POINT_VARIABLE, place);
    }
    command.status().unwrap()
}

#[test]
fn a_kill_at_any_break_point_changes_nothing_in_the_end() {
    use std::os::unix::process::ExitStatusExt as _;

    let folder = tempfile::tempdir().unwrap();
    let calm = folder.path().join("calm.db");
    assert!(play(&calm, 1, None).success());
    let expected = outcome(&calm);
    let places = BREAK_POINTS.iter().filter(|place| place.starts_with("queue."));
    for (n, place) in places.enumerate() {
        let file = folder.path().join(format!("{n}.db"));
        assert_eq!(
            play(&file, 1, Some(place)).signal(),
            Some(9),
            "{place} is passed and kills"
        );
        assert!(play(&file, 2, None).success(), "{place}");
        assert_eq!(outcome(&file), expected, "{place}");
    }
}

/// Everything that must not depend on where a process died.
#[tokio::main(flavor = "current_thread")]
async fn outcome(file: &Path) -> Vec<String> {
    let store = Store::open(file).await.unwrap();
    let mut connection = store.read().await.unwrap();
    let mut lines = Vec::new();
    for n in 1..=3 {
        let id = id(n);
        let order = connection.order(id).await.unwrap().unwrap();
        lines.push(format!(
            "{:?} {} {} {:?}",
            order.state, order.used_tokens, order.next_turn, order.settled_transaction
        ));
        for job in connection.jobs_of_order(id).await.unwrap() {
            lines.push(format!(
                "{} {} {:?} {:?}",
                job.id, job.turn, job.state, job.published
            ));
        }
        for receipt in connection.receipts_of_order(id).await.unwrap() {
            lines.push(format!("{} {:?}", receipt.digest, receipt.settled_transaction));
        }
    }
    lines.push(format!(
        "{:?}",
        connection
            .models()
            .await
            .unwrap()
            .into_iter()
            .map(|model| model.did)
            .collect::<Vec<_>>()
    ));
    lines
}

fn id(n: u8) -> OrderId {
    order(n, Operation::Train).id
}

/// Plays the story, or what is left of it.
#[tokio::test]
async fn the_story() {
    let (Some(file), Ok(life)) = (std::env::var_os(FILE), std::env::var(LIFE)) else {
        return;
    };
    let queue = Queue::new(Store::open(file).await.unwrap(), QueueOptions::default());
    let mut story = Story {
        queue,
        now: life.parse::<u64>().unwrap() * 100_000,
    };
    if life != "1" {
        story.queue.abandon_leases(story.now).await.unwrap();
    }
    story.training().await;
    story.evaluation().await;
    story.session().await;
    assert_eq!(
        story.queue.unfinished().await.unwrap().len(),
        1,
        "the refusal is left to sign"
    );
}

struct Story {
    queue: Queue,
    now: u64,
}

impl Story {
    /// The job of a request, whether it is new or was admitted in a former life.
    async fn admit(&mut self, n: u8, operation: Operation, turn: u64, nonce: u64) -> JobRow {
        let order = order(n, operation);
        add_quote(&self.queue, &order).await;
        let mut connection = self.queue.store().read().await.unwrap();
        let receipts = connection.receipts_of_order(order.id).await.unwrap();
        let before = receipts.iter().find(|receipt| receipt.turn + 1 == turn);
        let previous = before.map_or(B256::ZERO, |receipt| receipt.digest);
        drop(connection);
        self.now += 1;
        self.queue
            .admit(&order, request(&order, turn, previous, nonce), self.now)
            .await
            .unwrap()
            .job
    }

    async fn lease(&mut self) -> LeasedJob {
        self.now += 100;
        self.queue.lease_next("w", self.now).await.unwrap().unwrap()
    }

    /// Whatever is still to be done from the result to the receipt.
    async fn complete(&mut self, job: &JobRow, out: u8) {
        let train = job.operation == Operation::Train;
        if self.state(job).await == JobState::Queued {
            // The node stops and starts again.
            let leased = self.lease().await;
            self.queue.release(leased.lease, self.now).await.unwrap();
            let leased = self.lease().await;
            let statement = statement(&job.spec, out, 40);
            self.queue
                .finish(leased.lease, statement, train.then(|| object(out)), self.now)
                .await
                .unwrap();
        }
        if self.state(job).await == JobState::Finished {
            self.queue
                .receipted(receipt(&self.queue, job.id).await, 500)
                .await
                .unwrap();
        }
        if train && self.state(job).await == JobState::Receipted {
            self.queue.published(job.id, &did(out), self.now).await.unwrap();
        }
    }

    async fn state(&self, job: &JobRow) -> JobState {
        self.queue
            .store()
            .read()
            .await
            .unwrap()
            .job(job.id)
            .await
            .unwrap()
            .unwrap()
            .state
    }

    async fn training(&mut self) {
        let job = self.admit(1, Operation::Train, 0, 1).await;
        while self.state(&job).await == JobState::Queued {
            let leased = self.lease().await;
            if leased.job.attempt > 2 {
                let statement = statement(&job.spec, 2, 40);
                self.queue
                    .finish(leased.lease, statement, Some(object(2)), self.now)
                    .await
                    .unwrap();
            } else if leased.job.attempt == 1 {
                self.queue.renew(leased.lease, self.now).await.unwrap();
                self.queue
                    .checkpoint(leased.lease, object(7), 3, self.now)
                    .await
                    .unwrap();
                let (code, reason) = ("c".to_owned(), "r".to_owned());
                let failure = Failure {
                    kind: FailureKind::Retryable,
                    code,
                    reason,
                };
                self.queue.fail(leased.lease, failure, self.now).await.unwrap();
            } else {
                self.now += 100;
                assert_eq!(self.queue.expire_leases(self.now).await.unwrap().len(), 1);
            }
        }
        self.complete(&job, 2).await;
        self.queue.settled(job.order_id, word(9), self.now).await.unwrap();
    }

    async fn evaluation(&mut self) {
        let refused = self.admit(2, Operation::Evaluate, 0, 1).await;
        if self.state(&refused).await == JobState::Queued {
            let leased = self.lease().await;
            self.queue
                .refuse(leased.lease, "empty_text", "The text is empty.", self.now)
                .await
                .unwrap();
        }
        let cancelled = self.admit(2, Operation::Evaluate, 0, 2).await;
        if self.state(&cancelled).await == JobState::Queued {
            self.queue.cancel(cancelled.id, self.now).await.unwrap();
        }
        let job = self.admit(2, Operation::Evaluate, 0, 3).await;
        self.complete(&job, 3).await;
        self.queue.settled(job.order_id, word(9), self.now).await.unwrap();
    }

    async fn session(&mut self) {
        for turn in 0..2 {
            let job = self.admit(3, Operation::Infer, turn, 1 + turn).await;
            self.complete(&job, 4).await;
        }
        let order = self
            .queue
            .store()
            .read()
            .await
            .unwrap()
            .order(id(3))
            .await
            .unwrap()
            .unwrap();
        if order.state == OrderState::Session {
            self.queue.close_session(order.id, self.now).await.unwrap();
        }
        self.queue.settled(order.id, word(9), self.now).await.unwrap();
    }
}
