//! Two processes on one file, and the sudden end of one of them.
//!
//! The other process is this test program, started again with a variable that says what to do.

use std::process::{Command, Stdio};
use std::time::Duration;

use posthuman_store::Store;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::fixtures::{address, scene};

const ROLE: &str = "POSTHUMAN_STORE_TEST_ROLE";
const FILE: &str = "POSTHUMAN_STORE_TEST_FILE";
const ROUNDS: u64 = 25;

fn child(role: &str, file: &std::path::Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "processes::the_other_process", "--nocapture"]);
    command.env(ROLE, role).env(FILE, file).stdout(Stdio::piped());
    command
}

/// Counts one up: read, then write what follows from it.
async fn count_up(store: &Store) {
    let mut transaction = store.begin().await.unwrap();
    let last = transaction.last_nonce(address(1)).await.unwrap();
    transaction.use_nonce(address(1), last + 1).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn the_other_process() {
    let (Ok(role), Some(file)) = (std::env::var(ROLE), std::env::var_os(FILE)) else {
        return;
    };
    let store = Store::open(file).await.unwrap();
    if role == "count" {
        for _ in 0..ROUNDS {
            count_up(&store).await;
        }
        return;
    }
    count_up(&store).await;
    let mut transaction = store.begin().await.unwrap();
    transaction.use_nonce(address(1), 1_000).await.unwrap();
    println!("halfway");
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_create_and_count_in_one_file_without_losing_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.db");
    let mut others = [
        child("count", &file).spawn().unwrap(),
        child("count", &file).spawn().unwrap(),
    ];
    let store = Store::open(&file).await.unwrap();
    for _ in 0..ROUNDS {
        count_up(&store).await;
    }
    for other in &mut others {
        let status = tokio::task::block_in_place(|| other.wait()).unwrap();
        assert!(status.success());
    }
    assert_eq!(
        store.read().await.unwrap().last_nonce(address(1)).await.unwrap(),
        3 * ROUNDS
    );
}

#[tokio::test]
async fn a_process_killed_within_a_transaction_leaves_what_was_committed() {
    let scene = scene().await;
    let mut other = tokio::process::Command::from(child("hang", scene.store.path()))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("halfway") {
            break;
        }
    }
    other.kill().await.unwrap();
    assert_eq!(
        scene
            .store
            .read()
            .await
            .unwrap()
            .last_nonce(address(1))
            .await
            .unwrap(),
        1
    );
    count_up(&scene.store).await;
    assert_eq!(
        scene
            .store
            .read()
            .await
            .unwrap()
            .last_nonce(address(1))
            .await
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn what_is_dropped_without_a_commit_never_was() {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.use_nonce(address(1), 5).await.unwrap();
    assert_eq!(transaction.last_nonce(address(1)).await.unwrap(), 5);
    assert_eq!(
        scene
            .store
            .read()
            .await
            .unwrap()
            .last_nonce(address(1))
            .await
            .unwrap(),
        0,
        "readers do not see it"
    );
    drop(transaction);
    let mut next = scene.store.begin().await.unwrap();
    assert_eq!(next.last_nonce(address(1)).await.unwrap(), 0);
}
