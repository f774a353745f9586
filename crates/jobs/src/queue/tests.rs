//! The queue on a real database.

mod break_points;
pub(crate) mod fixtures;
mod interleavings;

use posthuman_store::StoreError;
use posthuman_types::api::OrderState;
use posthuman_types::{B256, ErrorClass, JobState, Operation};

use self::fixtures::{Scene, add_quote, did, object, order, receipt, request, scene, statement, word};
use super::*;
use crate::machine::{FailureKind, Refused};

/// A scene with a queued job on order `n`.
async fn queued(scene: &Scene, n: u8, operation: Operation) -> JobRow {
    let order = order(n, operation);
    add_quote(&scene.queue, &order).await;
    scene
        .queue
        .admit(&order, request(&order, 0, B256::ZERO, 1), 100)
        .await
        .unwrap()
        .job
}

async fn stored_order(scene: &Scene, n: u8) -> OrderRow {
    let id = order(n, Operation::Train).id;
    scene
        .queue
        .store()
        .read()
        .await
        .unwrap()
        .order(id)
        .await
        .unwrap()
        .unwrap()
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        code: "disk_full".to_owned(),
        reason: "The disk is full.".to_owned(),
    }
}

#[tokio::test]
async fn the_same_request_is_one_job_and_uses_one_nonce() {
    let scene = scene().await;
    let order = order(1, Operation::Train);
    add_quote(&scene.queue, &order).await;
    let new = request(&order, 0, B256::ZERO, 7);
    let first = scene.queue.admit(&order, new.clone(), 100).await.unwrap();
    let again = scene.queue.admit(&order, new, 101).await.unwrap();
    assert!(first.new && !again.new);
    assert_eq!(first.job, again.job);

    let other = scene
        .queue
        .admit(&order, request(&order, 0, B256::ZERO, 8), 102)
        .await
        .unwrap_err();
    assert!(matches!(other, JobsError::OrderInUse { .. }), "{other:?}");
    assert_eq!(other.class(), ErrorClass::Conflict);
    scene.queue.cancel(first.job.id, 103).await.unwrap();
    let replayed = scene
        .queue
        .admit(&order, request(&order, 0, word(0), 6), 104)
        .await
        .unwrap_err();
    let nonce = matches!(
        replayed,
        JobsError::Store {
            source: StoreError::NonceReplayed { next: 8, .. }
        }
    );
    assert!(nonce, "{replayed:?}");
    assert!(
        scene
            .queue
            .admit(&order, request(&order, 0, B256::ZERO, 8), 105)
            .await
            .unwrap()
            .new
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_requests_race_for_one_order() {
    let scene = scene().await;
    let order = order(1, Operation::Train);
    add_quote(&scene.queue, &order).await;
    let mut tasks = tokio::task::JoinSet::new();
    for nonce in 1..=8 {
        let (queue, order) = (scene.queue.clone(), order.clone());
        tasks.spawn(async move {
            queue
                .admit(&order, request(&order, 0, B256::ZERO, nonce), 100)
                .await
        });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
    let mut connection = scene.queue.store().read().await.unwrap();
    assert_eq!(connection.jobs_of_order(order.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_must_be_about_its_order_and_an_order_about_its_quote() {
    let scene = scene().await;
    let paid = order(1, Operation::Evaluate);
    let unknown = scene
        .queue
        .admit(&paid, request(&paid, 0, B256::ZERO, 1), 100)
        .await
        .unwrap_err();
    assert!(
        matches!(
            unknown,
            JobsError::QuoteMismatch {
                field: "quote_id",
                ..
            }
        ),
        "{unknown:?}"
    );
    add_quote(&scene.queue, &paid).await;

    let mut other = paid.clone();
    other.allowance += 1;
    let error = scene
        .queue
        .admit(&other, request(&other, 0, B256::ZERO, 1), 100)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            JobsError::QuoteMismatch {
                field: "allowance",
                ..
            }
        ),
        "{error:?}"
    );

    let foreign = order(2, Operation::Evaluate);
    let error = scene
        .queue
        .admit(&paid, request(&foreign, 0, B256::ZERO, 1), 100)
        .await
        .unwrap_err();
    assert!(
        matches!(error, JobsError::RequestMismatch { field: "order", .. }),
        "{error:?}"
    );
    let error = scene
        .queue
        .admit(&paid, request(&paid, 1, B256::ZERO, 1), 100)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            JobsError::WrongTurn {
                given: 1,
                expected: 0,
                ..
            }
        ),
        "{error:?}"
    );
    let error = scene
        .queue
        .admit(&paid, request(&paid, 0, word(1), 1), 100)
        .await
        .unwrap_err();
    assert!(matches!(error, JobsError::WrongPrevious { .. }), "{error:?}");
    scene
        .queue
        .admit(&paid, request(&paid, 0, B256::ZERO, 1), 100)
        .await
        .unwrap();

    let mut replay = order(3, Operation::Evaluate);
    (replay.quote_id, replay.consumer) = (paid.quote_id, paid.consumer);
    let error = scene
        .queue
        .admit(&replay, request(&replay, 0, B256::ZERO, 2), 100)
        .await
        .unwrap_err();
    assert!(matches!(error, JobsError::FeeReplayed { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Payment);
}

#[tokio::test]
async fn workers_get_jobs_in_chain_order_whoever_pays() {
    let scene = scene().await;
    for n in [1, 3, 2] {
        queued(&scene, n, Operation::Evaluate).await;
    }
    let mut turns = Vec::new();
    for worker in ["a", "b", "c"] {
        let leased = scene.queue.lease_next(worker, 100).await.unwrap().unwrap();
        assert_eq!(
            leased.actions[0],
            Action::StartWorker {
                job: leased.job.id,
                fence: 1
            }
        );
        turns.push(leased.job.order_id.transaction);
    }
    assert_eq!(turns, [word(3), word(2), word(1)]);
    assert_eq!(scene.queue.lease_next("d", 100).await.unwrap(), None);
}

#[tokio::test]
async fn a_training_goes_all_the_way_and_a_crash_may_swallow_any_action() {
    let scene = scene().await;
    let Scene { queue, .. } = &scene;
    let job = queued(&scene, 1, Operation::Train).await;
    let leased = queue.lease_next("w", 101).await.unwrap().unwrap();
    assert_eq!(queue.renew(leased.lease, 110).await.unwrap(), 140);
    assert_eq!(
        queue.checkpoint(leased.lease, object(1), 5, 111).await.unwrap(),
        []
    );
    let dropped = queue.checkpoint(leased.lease, object(2), 9, 112).await.unwrap();
    assert_eq!(dropped, [Action::DropObject(object(1))]);
    assert_eq!(queue.unfinished().await.unwrap(), []);

    let finished = queue
        .finish(leased.lease, statement(&job.spec, 2, 40), Some(object(3)), 120)
        .await
        .unwrap();
    let expected = [Action::SignReceipt(job.id), Action::DropObject(object(2))];
    assert_eq!(
        finished.actions[..2],
        expected,
        "the order is used inside, not by an action"
    );
    assert_eq!(queue.unfinished().await.unwrap(), [Action::SignReceipt(job.id)]);
    let order = stored_order(&scene, 1).await;
    assert_eq!(
        (order.state, order.used_tokens, order.next_turn),
        (OrderState::Used, 40, 1)
    );

    let mut forged = receipt(queue, job.id).await;
    forged.receipt.seed += 1;
    let error = queue.receipted(forged, 121).await.unwrap_err();
    assert!(
        matches!(error, JobsError::ReceiptMismatch { field: "digest", .. }),
        "{error:?}"
    );
    let signed = receipt(queue, job.id).await;
    let receipted = queue.receipted(signed.clone(), 122).await.unwrap();
    assert_eq!(receipted.actions[0], Action::Publish(job.id));
    assert!(
        queue.receipted(signed.clone(), 123).await.is_err(),
        "one job, one receipt"
    );
    assert_eq!(queue.unfinished().await.unwrap(), [Action::Publish(job.id)]);

    assert!(
        queue.settled(order.id, word(9), 124).await.is_err(),
        "not before it is published"
    );
    let published = queue.published(job.id, &did(8), 125).await.unwrap();
    assert_eq!(published.actions[0], Action::Settle(order.id));
    assert_eq!(queue.unfinished().await.unwrap(), [Action::Settle(order.id)]);
    assert_eq!(queue.settled(order.id, word(9), 126).await.unwrap().len(), 1);
    assert_eq!(
        queue.settled(order.id, word(9), 127).await.unwrap(),
        [],
        "twice is once"
    );
    assert_eq!(queue.unfinished().await.unwrap(), []);

    let mut connection = queue.store().read().await.unwrap();
    let model = connection.model(word(2)).await.unwrap().unwrap();
    assert_eq!(
        (model.did, model.object, model.job_id),
        (Some(did(8)), object(3), Some(job.id))
    );
    assert_eq!(
        connection.job(job.id).await.unwrap().unwrap().state,
        JobState::Settled
    );
    let order = connection.order(order.id).await.unwrap().unwrap();
    assert_eq!(
        (order.settled_transaction, order.last_receipt),
        (Some(word(9)), signed.digest)
    );
    let receipt = connection.receipt(signed.digest).await.unwrap().unwrap();
    assert_eq!(receipt.settled_transaction, Some(word(9)));
}

#[tokio::test]
async fn what_gives_no_result_leaves_the_order_open() {
    let scene = scene().await;
    let Scene { queue, .. } = &scene;
    let order = order(1, Operation::Train);
    queued(&scene, 1, Operation::Train).await;
    let leased = queue.lease_next("w", 101).await.unwrap().unwrap();
    let failed = queue
        .fail(leased.lease, failure(FailureKind::Final), 102)
        .await
        .unwrap();
    assert_eq!(failed.job.state, JobState::Failed);

    queue
        .admit(&order, request(&order, 0, B256::ZERO, 2), 103)
        .await
        .unwrap();
    let leased = queue.lease_next("w", 104).await.unwrap().unwrap();
    let refused = queue
        .refuse(leased.lease, "empty_text", "The text is empty.", 105)
        .await
        .unwrap();
    assert!(refused.actions.contains(&Action::SignRefusal(refused.job.id)));
    assert_eq!(
        queue.unfinished().await.unwrap(),
        [Action::SignRefusal(refused.job.id)]
    );

    let third = queue
        .admit(&order, request(&order, 0, B256::ZERO, 3), 106)
        .await
        .unwrap()
        .job;
    let leased = queue.lease_next("w", 107).await.unwrap().unwrap();
    let cancelled = queue.cancel(third.id, 108).await.unwrap();
    let stop = Action::StopWorker {
        job: third.id,
        fence: leased.lease.fence,
    };
    assert!(cancelled.actions.contains(&stop), "{:?}", cancelled.actions);
    let late = queue
        .finish(leased.lease, statement(&third.spec, 2, 40), Some(object(3)), 109)
        .await
        .unwrap_err();
    assert!(
        matches!(
            late,
            JobsError::Refused {
                source: Refused::State { .. },
                ..
            }
        ),
        "{late:?}"
    );

    let fourth = queue
        .admit(&order, request(&order, 0, B256::ZERO, 4), 110)
        .await
        .unwrap()
        .job;
    let leased = queue.lease_next("w", 111).await.unwrap().unwrap();
    let same = queue
        .finish(leased.lease, statement(&fourth.spec, 1, 40), Some(object(3)), 112)
        .await
        .unwrap();
    assert_eq!(same.job.failure_code.as_deref(), Some("unchanged_weights"));
    let stored = stored_order(&scene, 1).await;
    assert_eq!(
        (stored.state, stored.used_tokens, stored.next_turn),
        (OrderState::Open, 0, 0)
    );

    queue
        .admit(&order, request(&order, 0, B256::ZERO, 5), 113)
        .await
        .unwrap();
    let leased = queue.lease_next("w", 114).await.unwrap().unwrap();
    let done = statement(&leased.job.spec, 2, 40);
    queue
        .finish(leased.lease, done, Some(object(4)), 115)
        .await
        .unwrap();
    let used = queue
        .admit(&order, request(&order, 0, B256::ZERO, 6), 116)
        .await
        .unwrap_err();
    assert!(matches!(used, JobsError::OrderUsed { .. }), "{used:?}");
}

#[tokio::test]
async fn a_lost_lease_gives_the_job_to_another_worker_and_the_first_result_is_not_taken() {
    let scene = scene().await;
    let Scene { queue, .. } = &scene;
    let job = queued(&scene, 1, Operation::Train).await;
    let first = queue.lease_next("a", 100).await.unwrap().unwrap();
    assert_eq!(queue.expire_leases(129).await.unwrap(), []);
    let expired = queue.expire_leases(130).await.unwrap();
    assert_eq!(
        expired[0].actions[0],
        Action::StopWorker {
            job: job.id,
            fence: 1
        }
    );
    let late = queue
        .finish(first.lease, statement(&job.spec, 2, 40), Some(object(3)), 131)
        .await
        .unwrap_err();
    assert!(
        matches!(
            late,
            JobsError::Refused {
                source: Refused::LeaseLost { .. },
                ..
            }
        ),
        "{late:?}"
    );

    let second = queue.lease_next("b", 132).await.unwrap().unwrap();
    assert_eq!(
        (second.job.id, second.lease.fence, second.job.attempt),
        (job.id, 2, 2)
    );
    let late = queue
        .finish(first.lease, statement(&job.spec, 2, 40), Some(object(3)), 133)
        .await
        .unwrap_err();
    assert!(matches!(
        late,
        JobsError::Refused {
            source: Refused::LeaseLost { given: 1, newest: 2 },
            ..
        }
    ));
    queue
        .finish(second.lease, statement(&job.spec, 4, 40), Some(object(4)), 134)
        .await
        .unwrap();
    let mut connection = queue.store().read().await.unwrap();
    assert_eq!(connection.models().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_crashed_its_worker_twice_is_not_run_again() {
    let scene = scene().await;
    let Scene { queue, .. } = &scene;
    queued(&scene, 1, Operation::Train).await;
    let leased = queue.lease_next("w", 100).await.unwrap().unwrap();
    let once = queue
        .fail(leased.lease, failure(FailureKind::Crash), 101)
        .await
        .unwrap();
    assert_eq!((once.job.state, once.job.not_before), (JobState::Queued, 103));
    assert_eq!(queue.lease_next("w", 102).await.unwrap(), None, "it pauses");
    let leased = queue.lease_next("w", 103).await.unwrap().unwrap();
    let twice = queue
        .fail(leased.lease, failure(FailureKind::Crash), 104)
        .await
        .unwrap();
    assert_eq!(twice.job.state, JobState::Failed);
    assert_eq!(queue.lease_next("w", 10_000).await.unwrap(), None);
}

/// Runs the next turn of a session to its receipt.
async fn turn(scene: &Scene, turn: u64, tokens: u64) -> Applied {
    let Scene { queue, .. } = scene;
    let order = order(1, Operation::Infer);
    let previous = stored_order(scene, 1).await.last_receipt;
    let now = 200 + turn;
    let job = queue
        .admit(&order, request(&order, turn, previous, 10 + turn), now)
        .await
        .unwrap()
        .job;
    let leased = queue.lease_next("w", now).await.unwrap().unwrap();
    queue
        .finish(leased.lease, statement(&job.spec, 0, tokens), None, now)
        .await
        .unwrap();
    queue.receipted(receipt(queue, job.id).await, now).await.unwrap()
}

#[tokio::test]
async fn a_session_is_one_chain_of_receipts_and_settles_when_its_allowance_is_spent() {
    let scene = scene().await;
    let Scene { queue, .. } = &scene;
    let order = order(1, Operation::Infer);
    let first = queued(&scene, 1, Operation::Infer).await;
    let refused = queue.close_session(order.id, 101).await.unwrap_err();
    assert!(matches!(refused, JobsError::NotClosable { .. }), "{refused:?}");
    let leased = queue.lease_next("w", 101).await.unwrap().unwrap();
    queue
        .finish(leased.lease, statement(&first.spec, 0, 60), None, 102)
        .await
        .unwrap();
    let early = queue
        .admit(&order, request(&order, 1, B256::ZERO, 2), 103)
        .await
        .unwrap_err();
    assert!(
        matches!(early, JobsError::WrongPrevious { turn: 1, .. }),
        "{early:?}"
    );
    let receipted = queue
        .receipted(receipt(queue, first.id).await, 104)
        .await
        .unwrap();
    assert!(
        !receipted.actions.contains(&Action::Settle(order.id)),
        "the session goes on"
    );
    assert_eq!(queue.unfinished().await.unwrap(), []);

    let second = turn(&scene, 1, 40).await;
    assert!(
        second.actions.contains(&Action::Settle(order.id)),
        "60 + 40 tokens are the allowance"
    );
    assert_eq!(queue.unfinished().await.unwrap(), [Action::Settle(order.id)]);
    assert_eq!(queue.settled(order.id, word(9), 300).await.unwrap().len(), 2);
    let mut connection = queue.store().read().await.unwrap();
    let receipts = connection.receipts_of_order(order.id).await.unwrap();
    assert_eq!(receipts[1].signed.receipt.previous, receipts[0].digest);
}

#[tokio::test]
async fn a_session_can_be_closed_between_turns() {
    let scene = scene().await;
    let Scene { queue, .. } = &scene;
    let order = order(1, Operation::Infer);
    let first = queued(&scene, 1, Operation::Infer).await;
    let leased = queue.lease_next("w", 101).await.unwrap().unwrap();
    queue
        .finish(leased.lease, statement(&first.spec, 0, 5), None, 102)
        .await
        .unwrap();
    assert!(
        queue.close_session(order.id, 102).await.is_err(),
        "the receipt is not signed yet"
    );
    queue
        .receipted(receipt(queue, first.id).await, 103)
        .await
        .unwrap();
    turn(&scene, 1, 5).await;
    let mut connection = queue.store().read().await.unwrap();
    assert_eq!(connection.idle_sessions(200).await.unwrap(), []);
    assert_eq!(connection.idle_sessions(201).await.unwrap().len(), 1);
    drop(connection);
    assert_eq!(
        queue.close_session(order.id, 300).await.unwrap(),
        [Action::Settle(order.id)]
    );
    assert_eq!(queue.unfinished().await.unwrap(), [Action::Settle(order.id)]);
    let closed = queue
        .admit(&order, request(&order, 2, word(1), 50), 301)
        .await
        .unwrap_err();
    assert!(matches!(closed, JobsError::OrderUsed { .. }), "{closed:?}");
}

#[tokio::test]
async fn a_node_that_starts_takes_back_what_its_former_workers_held() {
    let scene = scene().await;
    queued(&scene, 1, Operation::Train).await;
    scene.queue.lease_next("w", 100).await.unwrap().unwrap();
    assert_eq!(scene.queue.abandon_leases(101).await.unwrap().len(), 1);
    assert_eq!(
        scene
            .queue
            .lease_next("w", 101)
            .await
            .unwrap()
            .unwrap()
            .job
            .attempt,
        2
    );
    assert!(matches!(
        scene.queue.cancel(posthuman_types::JobId([0; 16]), 1).await,
        Err(JobsError::JobUnknown { .. })
    ));
}
