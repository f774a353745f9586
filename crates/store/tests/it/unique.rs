//! Every unique rule, with eight tasks that race for one place.

use std::future::Future;

use posthuman_store::{AccessTokenRow, StoreError, Transaction, UniqueRule};
use posthuman_types::{JobId, JobState, ObjectId};

use crate::fixtures::{
    Scene, address, asset, did, job, model, order, quote, receipt, scene, transaction, upload, with_orders,
    word,
};

/// Runs eight transactions at once; exactly one may win, all others must meet the rule.
async fn race<F, R>(scene: &Scene, rule: UniqueRule, write: F)
where
    F: Fn(u8, Transaction) -> R,
    R: Future<Output = (Transaction, Result<(), StoreError>)>,
{
    let racing = (0..8).map(|n| {
        let write = &write;
        async move {
            let (transaction, outcome) = write(n, scene.store.begin().await.unwrap()).await;
            if outcome.is_ok() {
                transaction.commit().await.unwrap();
            }
            outcome
        }
    });
    let outcomes = join_all(racing).await;
    let winners = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(winners, 1, "{rule:?}: {outcomes:?}");
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert!(
            matches!(outcome, Err(StoreError::Taken { rule: met }) if met == rule),
            "{rule:?}: {outcome:?}"
        );
    }
}

/// Polls all futures together on this task.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, place) in futures.iter_mut().zip(&mut done) {
            if place.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *place = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

macro_rules! races {
    ($scene:expr, $($rule:ident: |$n:ident, $transaction:ident| $write:expr;)*) => {
        $(race($scene, UniqueRule::$rule, |$n, mut $transaction| async move {
            let outcome = $write;
            ($transaction, outcome)
        }).await;)*
    };
}

#[tokio::test]
async fn one_quote_one_order_one_job() {
    let scene = scene().await;
    with_orders(&scene, 2).await;
    let mut transaction = scene.store.begin().await.unwrap();
    for n in 60..68 {
        transaction.insert_quote(&quote(n)).await.unwrap();
    }
    transaction.commit().await.unwrap();
    races!(&scene,
        Quote: |_n, transaction| transaction.insert_quote(&quote(50)).await;
        OrderPerQuote: |n, transaction| {
            let mut order = order(70 + n);
            order.quote_id = quote(50).id;
            transaction.insert_order(&order).await
        };
        Order: |n, transaction| {
            let mut order = order(51);
            order.quote_id = quote(60 + n).id;
            transaction.insert_order(&order).await
        };
        JobPerTurn: |n, transaction| transaction.insert_job(&job(1, 10 + n)).await;
        Job: |n, transaction| {
            let mut job = job(2, 99);
            job.turn = u64::from(n);
            transaction.insert_job(&job).await
        };
    );
}

#[tokio::test]
async fn only_a_job_without_result_makes_room_for_another() {
    let scene = scene().await;
    with_orders(&scene, 1).await;
    let mut transaction = scene.store.begin().await.unwrap();
    let mut id = 1;
    for state in [JobState::Failed, JobState::Refused, JobState::Cancelled] {
        let mut ended = job(1, id);
        transaction.insert_job(&ended).await.unwrap();
        ended.state = state;
        transaction.update_job(&ended).await.unwrap();
        id += 1;
    }
    let mut held = job(1, id);
    transaction.insert_job(&held).await.unwrap();
    for state in [
        JobState::Queued,
        JobState::Finished,
        JobState::Receipted,
        JobState::Published,
        JobState::Settled,
    ] {
        held.state = state;
        transaction.update_job(&held).await.unwrap();
        let error = transaction.insert_job(&job(1, 200)).await.unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Taken {
                    rule: UniqueRule::JobPerTurn
                }
            ),
            "{state:?}: {error:?}"
        );
    }
    let mut back = job(1, 1);
    back.state = JobState::Queued;
    let error = transaction.update_job(&back).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Taken {
                rule: UniqueRule::JobPerTurn
            }
        ),
        "nor can an ended one come back"
    );
}

#[tokio::test]
async fn one_job_one_receipt_one_model() {
    let scene = scene().await;
    with_orders(&scene, 8).await;
    let mut transaction = scene.store.begin().await.unwrap();
    for n in 0..9 {
        let mut row = job(1, 20 + n);
        row.turn = u64::from(n);
        transaction.insert_job(&row).await.unwrap();
    }
    transaction.commit().await.unwrap();
    races!(&scene,
        ReceiptPerJob: |n, transaction| transaction.insert_receipt(&receipt(1, 20, u64::from(n))).await;
        ReceiptPerTurn: |n, transaction| transaction.insert_receipt(&receipt(2, 21 + n, 7)).await;
        Model: |n, transaction| {
            let mut model = model(1);
            (model.object, model.did) = (ObjectId([100 + n; 16]), None);
            transaction.insert_model(&model).await
        };
        ModelPerObject: |n, transaction| {
            let mut model = model(110 + n);
            (model.object, model.did) = (ObjectId([9; 16]), None);
            transaction.insert_model(&model).await
        };
        ModelPerAsset: |n, transaction| {
            let mut model = model(120 + n);
            model.did = Some(did(9));
            transaction.insert_model(&model).await
        };
        ModelPerJob: |n, transaction| {
            let mut model = model(130 + n);
            (model.did, model.job_id) = (None, Some(JobId([20; 16])));
            transaction.insert_model(&model).await
        };
    );
}

#[tokio::test]
async fn one_nft_one_asset_one_upload_one_token() {
    let scene = scene().await;
    races!(&scene,
        AssetPerNft: |n, transaction| {
            let mut asset = asset(10 + n);
            asset.nft = address(1);
            transaction.put_asset(&asset).await
        };
        Upload: |_n, transaction| transaction.insert_upload(&upload(1)).await;
        AccessToken: |n, transaction| {
            let token = AccessTokenRow { digest: word(1), address: address(n), created_at: 1, expires_at: 2 };
            transaction.insert_access_token(&token).await
        };
        TransactionPerNonce: |n, transaction| {
            transaction.prepare_transaction(&crate::fixtures::transaction(&format!("key:{n}"), 5)).await.map(drop)
        };
    );
    let mut one = scene.store.begin().await.unwrap();
    let mut same = transaction("other", 6);
    same.hash = one.unfinished_transactions().await.unwrap()[0].hash;
    let error = one.prepare_transaction(&same).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Taken {
                rule: UniqueRule::TransactionHash
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_nonce_is_used_once_whoever_races() {
    let scene = scene().await;
    let racing = (0..8).map(|_| async {
        let mut transaction = scene.store.begin().await.unwrap();
        let outcome = transaction.use_nonce(address(1), 4).await;
        transaction.commit().await.unwrap();
        outcome
    });
    let outcomes = join_all(racing).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let replayed = outcomes.into_iter().find_map(Result::err).unwrap();
    assert!(
        matches!(
            replayed,
            StoreError::NonceReplayed {
                nonce: 4,
                next: 5,
                ..
            }
        ),
        "{replayed:?}"
    );
}
