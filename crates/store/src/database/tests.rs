use posthuman_types::ErrorClass;

use super::*;
use crate::table::session::AccessTokenRow;

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
