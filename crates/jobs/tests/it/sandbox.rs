use std::path::Path;
use std::process::Command;

use posthuman_jobs::sandbox::{SandboxUnavailable, probe};

use crate::support::WORKER;

fn keystore(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("keystore.json");
    std::fs::write(&path, "a secret").unwrap();
    path
}

/// Puts a program in its place through another process: a file that this one had open for writing cannot be run while a
/// worker that another test is just forking still shares it.
fn install(program: &Path, at: &Path) {
    let installed = Command::new("install")
        .args(["-m", "755"])
        .args([program, at])
        .status();
    assert!(installed.unwrap().success());
}

/// Neither a core dump nor another process of the same user gets at what the node and the worker hold in memory.
#[test]
fn what_holds_keys_is_hidden() {
    assert!(Command::new(WORKER).arg("hide").status().unwrap().success());
}

#[test]
fn a_worker_is_refused_everything_it_does_not_need() {
    let folder = tempfile::tempdir().unwrap();
    probe(Path::new(WORKER), &keystore(folder.path())).unwrap();
}

/// Without the sandbox the same attempts succeed: they are real ones.
#[test]
fn without_the_sandbox_the_attempts_succeed() {
    let folder = tempfile::tempdir().unwrap();
    // The probe has no way to switch the sandbox off; a program in between does it here.
    let (text, script) = (folder.path().join("text"), folder.path().join("worker"));
    std::fs::write(
        &text,
        format!("#!/bin/sh\nshift 2\nexec {WORKER} worker --unsafe-no-sandbox --probe \"$@\"\n"),
    )
    .unwrap();
    install(&text, &script);
    let error = probe(&script, &keystore(folder.path())).unwrap_err();
    let SandboxUnavailable::Leaks { allowed } = &error else {
        panic!("{error}")
    };
    let mut real = vec![
        "open a TCP connection",
        "open a Unix socket",
        "make a pair of sockets",
        "read a file outside its job",
        "write a file outside its job",
        "read the keystore",
        "read the environment of the node",
        "read the memory map of the node",
        "list processes",
        "signal the node",
        "start a program",
    ];
    // Where Yama keeps a process from its parent's memory, no sandbox is needed for that.
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if yama.map_or(true, |scope| scope.trim() == "0") {
        real.push("open the memory of the node");
    }
    for attempt in real {
        assert!(
            allowed.iter().any(|name| name == attempt),
            "{attempt} is no real attempt: {allowed:?}"
        );
    }
    assert!(error.to_string().contains("--unsafe-no-sandbox"));
}

/// The sandbox needs no privilege: it holds for an ordinary user too.
#[test]
fn an_ordinary_user_is_isolated_as_well() {
    if !rustix::process::geteuid().is_root() {
        // Then the first test has shown it.
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let worker = folder.path().join("posthuman");
    install(Path::new(WORKER), &worker);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let job = folder.path().join("job");
    for path in [job.clone(), job.join("inputs"), job.join("outputs")] {
        std::fs::create_dir(&path).unwrap();
    }
    let canary = folder.path().join("canary");
    std::fs::write(&canary, "canary").unwrap();
    let plan = serde_json::json!({ "canary": canary, "keystore": canary, "unix_socket": canary, "port": 1 });
    std::fs::write(job.join("probe.json"), plan.to_string()).unwrap();
    use std::os::unix::process::CommandExt;
    let output = Command::new(&worker)
        .args(["worker", "--probe"])
        .arg(&job)
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let attempts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let attempts = attempts.as_array().unwrap();
    assert!(
        attempts.len() >= 10 && attempts.iter().all(|attempt| attempt["refused"] == true),
        "{attempts:?}"
    );
}
