//! Opening: from nothing, again, from the future, from rubbish.

use posthuman_store::{Store, StoreError};
use sqlx::{Connection as _, SqliteConnection};

use crate::fixtures::{asset, scene};

async fn raw(path: &std::path::Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_empty_folder_gets_a_database_and_opening_again_keeps_it() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.put_asset(&asset(1)).await.unwrap();
    transaction.commit().await.unwrap();
    scene.store.close().await;

    let again = Store::open(scene.store.path()).await.unwrap();
    assert_eq!(
        again.read().await.unwrap().asset(&asset(1).did).await.unwrap(),
        Some(asset(1))
    );
}

#[tokio::test]
async fn the_file_is_as_durable_and_as_strict_as_promised() {
    let scene = scene().await;
    let mut connection = raw(scene.store.path()).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
    let mut transaction = scene.store.begin().await.unwrap();
    let orphan = transaction
        .append_job_event(posthuman_types::JobId([9; 16]), 1, "{}")
        .await;
    assert!(
        matches!(orphan, Err(StoreError::Query { .. })),
        "foreign keys are checked: {orphan:?}"
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_in_words_and_left_alone() {
    let scene = scene().await;
    scene.store.close().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
               VALUES (9001, 'from the future', TRUE, x'00', 0)";
    sqlx::query(sql)
        .execute(&mut raw(scene.store.path()).await)
        .await
        .unwrap();

    let error = Store::open(scene.store.path()).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NewerSchema { found: 9001, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("run the newer program again"),
        "{error}"
    );
}

#[tokio::test]
async fn a_migration_with_another_text_is_refused() {
    let scene = scene().await;
    scene.store.close().await;
    let sql = "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1";
    sqlx::query(sql)
        .execute(&mut raw(scene.store.path()).await)
        .await
        .unwrap();
    let error = Store::open(scene.store.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration { .. }), "{error:?}");
}

#[tokio::test]
async fn places_where_no_database_can_be_give_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::open(folder.path().join("no/such/folder/node.db"))
        .await
        .unwrap_err();
    assert!(matches!(missing, StoreError::Open { .. }), "{missing:?}");
    assert!(
        missing.to_string().contains("check that its folder exists"),
        "{missing}"
    );

    let is_folder = Store::open(folder.path()).await.unwrap_err();
    assert!(matches!(is_folder, StoreError::Open { .. }), "{is_folder:?}");

    let rubbish = folder.path().join("rubbish.db");
    std::fs::write(&rubbish, "this is a diary, not a database. ".repeat(100)).unwrap();
    let error = Store::open(&rubbish).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(
        std::fs::read_to_string(&rubbish)
            .unwrap()
            .starts_with("this is a diary"),
        "it was not touched"
    );
}

#[tokio::test]
async fn a_row_that_someone_else_wrote_names_its_place() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.put_asset(&asset(1)).await.unwrap();
    transaction.commit().await.unwrap();
    sqlx::query("UPDATE assets SET nft = 'nobody'")
        .execute(&mut raw(scene.store.path()).await)
        .await
        .unwrap();
    let error = scene
        .store
        .read()
        .await
        .unwrap()
        .asset(&asset(1).did)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Unreadable {
                table: "assets",
                column: "nft",
                ..
            }
        ),
        "{error:?}"
    );
}
