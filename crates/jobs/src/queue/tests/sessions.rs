//! Inference sessions: turns, receipts in a chain, settlement once.

use posthuman_types::{B256, Operation};

use super::fixtures::{Scene, order, receipt, request, scene, statement, word};
use super::{queued, stored_order};
use crate::JobsError;
use crate::machine::Action;
use crate::queue::Applied;

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
