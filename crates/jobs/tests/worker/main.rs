//! What the integration tests start: the worker, as the product's binary has it, and processes that use a vault or run a
//! job and may be killed at a break point.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use posthuman_jobs::engine::local::{Launch, LocalEngine, LocalEngineOptions, Task};
use posthuman_jobs::stage::{Source, StageInput};
use posthuman_jobs::vault::{MasterKey, ObjectKind, Password, Vault, VaultError};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments
        .next()
        .is_some_and(|name| Path::new(&name).ends_with("dies-while-writing"))
    {
        die_while_writing();
    }
    match arguments.next() {
        Some(command) if command == "hide" => hide(),
        Some(command) if command == "worker" => posthuman_jobs::worker::worker_main(arguments.collect()),
        Some(command) if command == "vault" => match use_vault(&arguments.collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Some(command) if command == "launch" => match launch(arguments.next().map(Into::into)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => ExitCode::from(2),
    }
}

/// A worker that is killed in the middle of a message and of a sealed chunk.
fn die_while_writing() -> ! {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the start");
    let start: serde_json::Value = serde_json::from_str(&line).expect("the start");
    let output = format!("/proc/self/fd/{}", start["descriptors"][2]);
    fs::write(output, [0; 5]).expect("writing half a frame");
    std::io::stdout()
        .write_all(b"{\"v\":1,")
        .expect("writing half a line");
    std::io::stdout().flush().expect("writing half a line");
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// `hide`: whether this process can hide its memory.
fn hide() -> ExitCode {
    let hidden = posthuman_jobs::sandbox::hide_memory().is_ok()
        && rustix::process::getrlimit(rustix::process::Resource::Core).maximum == Some(0)
        && rustix::process::dumpable_behavior() == Ok(rustix::process::DumpableBehavior::NotDumpable);
    if hidden {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// `launch FOLDER`: runs the task in `FOLDER/task.json` on `FOLDER/text`, as a node would.
fn launch(folder: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let folder = folder.ok_or("a folder")?;
    let task: Task = serde_json::from_slice(&fs::read(folder.join("task.json"))?)?;
    let input = task.inputs().inputs()[0].clone();
    let source = Source::File(folder.join("text"));
    let key = MasterKey::open(&folder.join("key"), &Password::from_text("p".to_owned())?)?;
    let vault = Arc::new(Vault::open(&folder.join("vault"), key, None)?);
    let options = LocalEngineOptions {
        executable: std::env::current_exe()?,
        jobs: folder.join("jobs"),
        sandbox: true,
    };
    let launch = Launch {
        task,
        model: None,
        inputs: vec![StageInput { input, source }],
        checkpoint: None,
        checkpoint_every: 2,
        allowance: None,
        deadline: None,
    };
    LocalEngine::new(vault, options)
        .start(launch, |_| {})?
        .wait_blocking()?;
    Ok(())
}

/// `vault ACTION FOLDER`: the vault is `FOLDER/vault`, its keystore `FOLDER/key`, the next one `FOLDER/next`.
fn use_vault(arguments: &[OsString]) -> Result<(), VaultError> {
    let [action, folder] = arguments else {
        panic!("an action and a folder")
    };
    let folder = Path::new(folder);
    let key = |name: &str| MasterKey::open(&folder.join(name), &Password::from_text("p".to_owned())?);
    if action == "rotate" {
        return Vault::open(&folder.join("vault"), key("next")?, Some(key("key")?)).map(drop);
    }
    let vault = Vault::open(&folder.join("vault"), key("key")?, None)?;
    match action.to_str() {
        Some("write") => {
            let mut writer = vault.writer(ObjectKind::Upload)?;
            writer
                .write_all(&vec![7; (2 << 20) + 5])
                .expect("writing to the vault");
            writer.finish().map(drop)
        }
        Some("remove") => vault
            .list()?
            .iter()
            .try_for_each(|facts| vault.remove(facts.object)),
        Some("commit") => vault
            .pending()?
            .into_iter()
            .try_for_each(|object| vault.commit(object)),
        Some("backup") => vault.backup(&folder.join("backup")),
        _ => panic!("an action"),
    }
}
