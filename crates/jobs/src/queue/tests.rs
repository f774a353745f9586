//! The queue on a real database.

mod admission;
#[cfg(debug_assertions)]
mod break_points;
pub(crate) mod fixtures;
mod interleavings;
mod sessions;

use posthuman_types::api::OrderState;
use posthuman_types::{B256, JobState, Operation};

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
