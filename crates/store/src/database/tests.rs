use posthuman_types::ErrorClass;
use sqlx::ConnectOptions as _;

use super::*;
use crate::table::session::AccessTokenRow;

#[tokio::test]
async fn opening_waits_for_another_process_that_makes_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.db");
    // What another process does to a fresh file: it is about to write, before there is a log.
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    for sql in ["CREATE TABLE first (id BIGINT)", "BEGIN IMMEDIATE"] {
        sqlx::query(sql).execute(&mut other).await.unwrap();
    }
    let opened = tokio::spawn(Store::open(path));
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    opened.await.unwrap().unwrap().close().await;
}

#[tokio::test]
async fn a_full_disk_is_a_sentence_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("node.db")).await.unwrap();
    let token = |n: u64| AccessTokenRow {
        digest: posthuman_types::keccak256(n.to_be_bytes()),
        address: posthuman_types::Address::ZERO,
        created_at: n,
        expires_at: n,
    };
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_access_token(&token(0)).await.unwrap();
    // The writer's only connection now meets the same error as on a full disk.
    transaction
        .execute("PRAGMA max_page_count = 1", Vec::new())
        .await
        .unwrap();
    transaction.commit().await.unwrap();

    let mut transaction = store.begin().await.unwrap();
    let mut error = None;
    for n in 1..10_000 {
        if let Err(full) = transaction.insert_access_token(&token(n)).await {
            error = Some(full);
            break;
        }
    }
    let error = error.unwrap();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(
        error.to_string().contains("free some space and try again"),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Unavailable);
    let after = transaction.insert_access_token(&token(20_000)).await.unwrap_err();
    assert!(
        matches!(after, StoreError::Aborted { .. }),
        "what follows must not be written alone: {after:?}"
    );
    let commit = transaction.commit().await.unwrap_err();
    assert!(matches!(commit, StoreError::Aborted { .. }), "{commit:?}");

    // A fresh connection has no such limit: there is room again.
    let mut transaction = store.begin().await.unwrap();
    let count = transaction
        .count("SELECT count(*) FROM access_tokens", Vec::new())
        .await
        .unwrap();
    assert_eq!(count, 1, "what was committed is there, nothing else is");
    transaction.insert_access_token(&token(1)).await.unwrap();
    transaction.commit().await.unwrap();
}
