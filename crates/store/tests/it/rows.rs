//! Rows come back as they were written, and small rules hold.

use posthuman_store::{
    AccessTokenRow, CollectorRow, CursorRow, PublicationRow, RefusalRow, StoreError, TransactionState,
    UploadState,
};
use posthuman_types::receipt::{Refusal, SignedRefusal};
use posthuman_types::{
    B256, Commitment, InputManifest, JobId, JobState, ObjectId, Operation, Statement, Usage,
};

use crate::fixtures::*;

#[tokio::test]
async fn orders_jobs_and_receipts_read_back() {
    let scene = scene().await;
    with_orders(&scene, 1).await;
    let mut full = job(1, 1);
    full.statement = Some(Statement {
        version: 1,
        operation: Operation::Train,
        engine: "e/1".to_owned(),
        commitment_in: None,
        commitment_out: Some(Commitment {
            scheme: "s/1".to_owned(),
            root: word(7),
        }),
        tokenizer: word(1),
        input: word(2),
        parameters: "{}".to_owned(),
        seed: u64::MAX,
        outputs: InputManifest::default(),
        usage: Usage {
            trained_tokens: 5,
            ..Usage::default()
        },
    });
    (full.worker, full.lease_expires_at) = (Some("w".to_owned()), Some(99));
    (full.receipt, full.published, full.result) = (Some(word(1)), Some(did(3)), Some(ObjectId([8; 16])));
    (full.settled_transaction, full.finished_at) = (Some(word(2)), Some(9));

    let mut transaction = scene.store.begin().await.unwrap();
    transaction.insert_job(&full).await.unwrap();
    transaction.insert_receipt(&receipt(1, 1, 0)).await.unwrap();
    assert_eq!(transaction.job(full.id).await.unwrap().unwrap(), full);
    assert_eq!(transaction.order(order_id(1)).await.unwrap().unwrap(), order(1));
    assert_eq!(
        transaction.order_of_quote(quote(1).id).await.unwrap().unwrap(),
        order(1)
    );
    assert_eq!(transaction.quote(quote(1).id).await.unwrap().unwrap(), quote(1));
    assert_eq!(
        transaction.receipt_of_job(full.id).await.unwrap().unwrap(),
        receipt(1, 1, 0)
    );
    transaction.settle_receipts(order_id(1), word(9)).await.unwrap();
    let settled = transaction.receipts_of_order(order_id(1)).await.unwrap();
    assert_eq!(settled[0].settled_transaction, Some(word(9)));
    assert_eq!(transaction.orders_of(address(1)).await.unwrap(), [order(1)]);
    assert_eq!(
        transaction.delete_unused_quotes(1_000).await.unwrap(),
        0,
        "the quote paid for an order"
    );
}

#[tokio::test]
async fn a_quote_that_was_paid_is_kept_though_its_order_never_came() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.insert_quote(&quote(1)).await.unwrap();
    transaction.insert_quote(&quote(2)).await.unwrap();
    transaction.quote_paid(quote(2).id).await.unwrap();
    transaction.quote_paid(quote(3).id).await.unwrap();
    assert_eq!(transaction.delete_unused_quotes(u64::MAX >> 1).await.unwrap(), 1);
    assert_eq!(transaction.quote(quote(1).id).await.unwrap(), None);
    assert_eq!(transaction.quote(quote(2).id).await.unwrap(), Some(quote(2)));
}

#[tokio::test]
async fn the_index_reads_back() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    let cursor = CursorRow {
        chain_id: 8996,
        block_number: 3,
        block_hash: word(3),
    };
    transaction.set_cursor(&cursor).await.unwrap();
    transaction
        .set_cursor(&CursorRow {
            block_number: 4,
            ..cursor.clone()
        })
        .await
        .unwrap();
    assert_eq!(transaction.cursor(8996).await.unwrap().unwrap().block_number, 4);
    assert_eq!(transaction.cursor(1).await.unwrap(), None);

    let mut collector = CollectorRow {
        chain_id: 8996,
        datatoken: address(3),
        block_number: 5,
        log_index: 1,
        nft: address(2),
        collector: address(7),
        transaction_hash: word(1),
        flagged: false,
    };
    transaction.put_collector(&collector).await.unwrap();
    (collector.block_number, collector.flagged) = (9, true);
    transaction.put_collector(&collector).await.unwrap();
    transaction.put_collector(&collector).await.unwrap();
    let history = transaction.collectors(8996, address(3)).await.unwrap();
    assert_eq!(
        history.iter().map(|row| row.flagged).collect::<Vec<_>>(),
        [false, true]
    );

    transaction.put_asset(&asset(1)).await.unwrap();
    assert_eq!(
        transaction.asset_of_nft(8996, address(1)).await.unwrap(),
        Some(asset(1))
    );
    assert_eq!(
        transaction.asset_of_datatoken(8996, address(101)).await.unwrap(),
        Some(asset(1))
    );
    assert_eq!(transaction.asset_of_nft(1, address(1)).await.unwrap(), None);
}

#[tokio::test]
async fn nonces_only_grow_and_tokens_end() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.use_nonce(address(1), 3).await.unwrap();
    for nonce in [0, 1, 3] {
        let error = transaction.use_nonce(address(1), nonce).await.unwrap_err();
        assert!(
            error.to_string().contains("sign again with nonce 4 or larger"),
            "{error}"
        );
    }
    transaction.use_nonce(address(1), 10).await.unwrap();
    transaction.use_nonce(address(2), 1).await.unwrap();
    let huge = transaction.use_nonce(address(2), u64::MAX).await.unwrap_err();
    assert!(matches!(huge, StoreError::NumberTooLarge { .. }));
    assert!(
        transaction.use_nonce(address(3), 0).await.is_err(),
        "the first nonce is 1"
    );

    let token = AccessTokenRow {
        digest: word(1),
        address: address(1),
        created_at: 1,
        expires_at: 10,
    };
    transaction.insert_access_token(&token).await.unwrap();
    assert_eq!(transaction.access_token(word(1), 9).await.unwrap(), Some(token));
    assert_eq!(transaction.access_token(word(1), 10).await.unwrap(), None);
    assert_eq!(transaction.delete_ended_access_tokens(10).await.unwrap(), 1);
}

#[tokio::test]
async fn uploads_take_chunks_in_order_only() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.insert_upload(&upload(1)).await.unwrap();
    let id = upload(1).id;
    assert_eq!(transaction.advance_upload(id, 0, 60).await.unwrap().received, 60);
    for (offset, bytes) in [(0, 60), (61, 1), (60, 41), (60, u64::MAX)] {
        let error = transaction.advance_upload(id, offset, bytes).await.unwrap_err();
        assert!(
            matches!(error, StoreError::UploadOffset { received: 60, .. }),
            "{error:?}"
        );
    }
    transaction.advance_upload(id, 60, 40).await.unwrap();
    let whole = transaction.complete_upload(id, ObjectId([5; 16])).await.unwrap();
    assert_eq!(whole.state, UploadState::Complete);
    assert!(
        transaction.advance_upload(id, 100, 0).await.is_err(),
        "a complete upload takes no more"
    );
    assert!(transaction.object_is_used(ObjectId([5; 16])).await.unwrap());
    assert_eq!(transaction.uploads_of(address(1)).await.unwrap(), [whole]);
    transaction.extend_upload(id, 70).await.unwrap();
    transaction.extend_upload(id, 10).await.unwrap();
    assert!(transaction.ended_uploads(69).await.unwrap().is_empty());
    assert_eq!(transaction.ended_uploads(70).await.unwrap().len(), 1);
    assert_eq!(transaction.restart_upload(id).await.unwrap().received, 0);
    transaction.delete_upload(id).await.unwrap();
    assert!(matches!(
        transaction.advance_upload(id, 0, 1).await,
        Err(StoreError::Missing { .. })
    ));
}

#[tokio::test]
async fn used_objects_are_those_that_a_row_needs() {
    let scene = scene().await;
    with_orders(&scene, 2).await;
    let mut transaction = scene.store.begin().await.unwrap();
    let mut failed = job(1, 1);
    (failed.state, failed.checkpoint) = (JobState::Failed, None);
    failed.inputs[0].object = ObjectId([11; 16]);
    transaction.insert_job(&failed).await.unwrap();
    transaction.insert_job(&job(2, 2)).await.unwrap();
    transaction.insert_model(&model(40)).await.unwrap();
    let used = transaction.used_objects().await.unwrap();
    assert_eq!(
        used.into_iter().map(|object| object.0[0]).collect::<Vec<_>>(),
        [1, 2, 3, 40]
    );
}

#[tokio::test]
async fn jobs_come_in_chain_order_and_events_without_gaps() {
    let scene = scene().await;
    with_orders(&scene, 3).await;
    let mut transaction = scene.store.begin().await.unwrap();
    let mut early = order(3);
    early.block_number = 9;
    transaction.update_order(&early).await.unwrap();
    for n in [2, 1, 3] {
        transaction.insert_job(&job(n, n)).await.unwrap();
    }
    let queued = transaction.jobs_in_state(JobState::Queued).await.unwrap();
    assert_eq!(
        queued.iter().map(|job| job.id.0[0]).collect::<Vec<_>>(),
        [3, 1, 2]
    );
    assert_eq!(transaction.next_queued_job(12).await.unwrap().unwrap().id.0[0], 3);
    assert_eq!(
        transaction.next_queued_job(11).await.unwrap(),
        None,
        "not before 12"
    );
    assert_eq!(transaction.queue_position(JobId([2; 16])).await.unwrap(), Some(2));
    assert_eq!(transaction.job_counts().await.unwrap(), [(JobState::Queued, 3)]);
    let page = transaction.jobs_of(address(1), 2, 2).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (1, 3));

    let id = JobId([1; 16]);
    for at in 1..=5 {
        assert_eq!(transaction.append_job_event(id, at, "{}").await.unwrap(), at);
    }
    let after: Vec<_> = transaction
        .job_events(id, 2, 2)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.sequence)
        .collect();
    assert_eq!(after, [3, 4]);
    assert_eq!(transaction.last_job_event(id).await.unwrap().unwrap().sequence, 5);
}

#[tokio::test]
async fn the_outbox_keeps_the_first_bytes_until_they_fail() {
    let scene = scene().await;
    let mut store = scene.store.begin().await.unwrap();
    let first = transaction("publish:x:mint", 1);
    assert_eq!(store.prepare_transaction(&first).await.unwrap(), first);
    let mut again = transaction("publish:x:mint", 2);
    assert_eq!(
        store.prepare_transaction(&again).await.unwrap(),
        first,
        "the first bytes stand"
    );
    assert_eq!(
        store.unfinished_transactions().await.unwrap(),
        std::slice::from_ref(&first)
    );
    assert_eq!(store.next_wallet_nonce(8996, address(1)).await.unwrap(), Some(2));
    store
        .transaction_failed(&first.key, Some(4), "it reverted", 9)
        .await
        .unwrap();
    assert_eq!(store.next_wallet_nonce(8996, address(1)).await.unwrap(), None);
    again.created_at = 3;
    assert_eq!(
        store.prepare_transaction(&again).await.unwrap(),
        again,
        "a failed key is free"
    );
    store.transaction_mined(&again.key, 5, 10).await.unwrap();
    let mined = store.transaction(&again.key).await.unwrap().unwrap();
    assert_eq!(
        (mined.state, mined.block_number),
        (TransactionState::Mined, Some(5))
    );
    assert_eq!(
        store.prepare_transaction(&first).await.unwrap(),
        mined,
        "what is mined is done"
    );
    assert_eq!(store.transactions_under("publish:x:").await.unwrap().len(), 1);
    assert!(store.transactions_under("publish:%").await.unwrap().is_empty());
    assert!(matches!(
        store.transaction_mined("nothing", 1, 1).await,
        Err(StoreError::Missing { .. })
    ));
}

#[tokio::test]
async fn refusals_publications_and_models_read_back() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    let refusal = Refusal {
        order: order_id(9),
        consumer: address(1),
        node: address(2),
        request: word(3),
        code: "empty_text".to_owned(),
        reason: "the text is empty".to_owned(),
        at: 5,
    };
    let signed = SignedRefusal {
        refusal,
        signature: vec![1; 65].into(),
    };
    let row = RefusalRow {
        request: word(3),
        order_id: order_id(9),
        consumer: address(1),
        signed,
        created_at: 5,
    };
    transaction.put_refusal(&row).await.unwrap();
    transaction.put_refusal(&row).await.unwrap();
    assert_eq!(transaction.refusal(word(3)).await.unwrap(), Some(row.clone()));
    assert_eq!(transaction.refusals_of_order(order_id(9)).await.unwrap(), [row]);

    let row = PublicationRow {
        digest: word(1),
        did: did(1),
        statement: "{}".to_owned(),
        created_at: 1,
    };
    transaction.put_publication(&row).await.unwrap();
    assert_eq!(transaction.publication(word(1)).await.unwrap(), Some(row.clone()));
    assert_eq!(
        transaction.publication_of_asset(&did(1)).await.unwrap(),
        Some(row)
    );

    let mut born = model(1);
    born.did = None;
    transaction.insert_model(&born).await.unwrap();
    transaction.set_model_asset(born.root, &did(5)).await.unwrap();
    assert_eq!(
        transaction.model(born.root).await.unwrap().unwrap().did,
        Some(did(5))
    );
    assert_eq!(transaction.models().await.unwrap().len(), 1);
    assert!(matches!(
        transaction.set_model_asset(B256::ZERO, &did(6)).await,
        Err(StoreError::Missing { .. })
    ));
}
