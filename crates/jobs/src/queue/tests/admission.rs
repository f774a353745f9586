//! Who gets into the queue, and in which order jobs leave it.

use posthuman_store::StoreError;
use posthuman_types::{B256, ErrorClass, Operation};

use super::fixtures::{add_quote, order, request, scene, word};
use super::queued;
use crate::JobsError;
use crate::machine::Action;

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
