use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use posthuman_jobs::break_point::BREAK_POINT_VARIABLE;
use posthuman_jobs::vault::{MasterKey, Vault};

use crate::support::{WORKER, architecture, files, job, password, text, train};

/// A node that dies takes its worker with it, and what the worker sealed is pending or gone, never half there.
#[test]
fn a_launcher_that_dies_leaves_neither_a_worker_nor_half_an_object() {
    for (place, pending) in [
        ("launcher.checkpoint.before_record", 1),
        ("launcher.result.before_record", 3),
    ] {
        let folder = bench();
        let died = launch(folder.path()).env(BREAK_POINT_VARIABLE, place).status();
        assert_eq!(died.unwrap().signal(), Some(9), "{place}");
        let started = Instant::now();
        while worker_of(folder.path()) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the worker outlives its launcher"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(pending_after_restart(folder.path()), pending, "{place}");
        act("commit", folder.path());
        assert_eq!(objects_after_restart(folder.path()), pending);
    }
}

#[test]
fn a_commit_that_is_cut_off_can_be_done_again() {
    let folder = bench();
    assert!(launch(folder.path()).status().unwrap().success());
    die_at("vault.commit.before_rename", "commit", folder.path());
    assert_eq!(pending_after_restart(folder.path()), 3);
    die_at("vault.commit.after_rename", "commit", folder.path());
    assert_eq!(pending_after_restart(folder.path()), 2);
    act("commit", folder.path());
    assert_eq!(objects_after_restart(folder.path()), 3);
}

/// A process that runs a training of six steps, with a checkpoint after the second and the fourth.
fn launch(folder: &Path) -> Command {
    let text = text(1, 300);
    let launch = job(train(Some(architecture()), 6), &[("text", &text)], None);
    std::fs::write(
        folder.join("task.json"),
        serde_json::to_vec(&launch.task).unwrap(),
    )
    .unwrap();
    std::fs::write(folder.join("text"), text).unwrap();
    let mut command = Command::new(WORKER);
    command.arg("launch").arg(folder);
    command
}

/// Whether a worker on a job in this folder is running.
fn worker_of(folder: &Path) -> bool {
    let jobs = folder.join("jobs").to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .into_iter()
        .any(|line| String::from_utf8_lossy(&line).contains(&jobs))
}

/// How many pending objects there are after a restart.
fn pending_after_restart(folder: &Path) -> usize {
    let vault = Vault::open(&folder.join("vault"), key(folder, "key"), None).unwrap();
    vault.pending().unwrap().len()
}

/// Lets another process do something to the vault in `folder` and die at a break point.
fn die_at(place: &str, action: &str, folder: &Path) {
    let status = Command::new(WORKER)
        .args(["vault", action])
        .arg(folder)
        .env(BREAK_POINT_VARIABLE, place)
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "{action} did not pass {place}");
}

fn act(action: &str, folder: &Path) {
    assert!(
        Command::new(WORKER)
            .args(["vault", action])
            .arg(folder)
            .status()
            .unwrap()
            .success(),
        "{action}"
    );
}

fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["key", "next"] {
        MasterKey::create(&folder.path().join(name), &password()).unwrap();
    }
    folder
}

fn key(folder: &Path, name: &str) -> MasterKey {
    MasterKey::open(&folder.join(name), &password()).unwrap()
}

/// Opens the vault as after a restart: every object is whole and no chunk is without one.
fn objects_after_restart(folder: &Path) -> usize {
    let vault = Vault::open(&folder.join("vault"), key(folder, "key"), None).unwrap();
    let objects = vault.list().unwrap();
    let mut chunks = 0;
    for facts in &objects {
        vault.verify(facts.object).unwrap();
        chunks += facts.chunks;
    }
    assert_eq!(
        files(&folder.join("vault/chunks")).len() as u64,
        chunks,
        "an orphan chunk"
    );
    assert_eq!(
        files(&folder.join("vault/objects")).len(),
        objects.len(),
        "an unfinished file"
    );
    objects.len()
}

#[test]
fn a_write_that_is_cut_off_leaves_all_or_nothing() {
    for (place, objects) in [
        ("vault.chunk.before_rename", 1),
        ("vault.chunk.after_rename", 1),
        ("vault.manifest.before_rename", 1),
        ("vault.manifest.after_rename", 2),
    ] {
        let folder = bench();
        act("write", folder.path());
        die_at(place, "write", folder.path());
        assert_eq!(objects_after_restart(folder.path()), objects, "{place}");
    }
}

#[test]
fn a_removal_that_is_cut_off_is_carried_out() {
    let folder = bench();
    act("write", folder.path());
    die_at("vault.remove.after_manifest", "remove", folder.path());
    assert_eq!(objects_after_restart(folder.path()), 0);
}

#[test]
fn a_rotation_that_is_cut_off_goes_on_with_both_keys() {
    let folder = bench();
    act("write", folder.path());
    act("write", folder.path());
    act("write", folder.path());
    die_at("vault.rotate.between_manifests", "rotate", folder.path());
    let (old, new) = (key(folder.path(), "key"), key(folder.path(), "next"));
    let root = folder.path().join("vault");
    for alone in [&old, &new] {
        let error = Vault::open(&root, alone.clone(), None).err().unwrap();
        assert!(
            error
                .to_string()
                .contains("if a rotation was cut off, give the retired one too"),
            "{error}"
        );
    }
    let vault = Vault::open(&root, new.clone(), Some(old)).unwrap();
    assert_eq!(vault.list().unwrap().len(), 3);
    drop(vault);
    let vault = Vault::open(&root, new, None).unwrap();
    for facts in vault.list().unwrap() {
        vault.verify(facts.object).unwrap();
    }
}

#[test]
fn a_backup_that_is_cut_off_is_never_restored() {
    for place in ["vault.backup.before_rename", "vault.backup.after_rename"] {
        let folder = bench();
        act("write", folder.path());
        die_at(place, "backup", folder.path());
        let error =
            Vault::restore(&folder.path().join("backup"), &folder.path().join("restored")).unwrap_err();
        assert!(error.to_string().contains("is not a vault"), "{error}");
        assert_eq!(objects_after_restart(folder.path()), 1);
    }
}
