//! A disk that is full.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use e2e::market::{MarketSetup, Person, tiny_child_work};
use e2e::node::NodeSetup;
use e2e::process::{Process, posthuman_command};
use posthuman::{Goal, Market, MarketOptions};

use super::raw::{Raw, error_of};
use crate::ground::{block_on, ground, quiet};

/// Room for the node's vault: the ground and a little more.
const ROOM: &str = "3m";

#[test]
fn a_full_disk_is_said_and_nothing_half_written_stays() {
    let ground = ground();
    block_on(async {
        let mut market = ground
            .frozen
            .thaw_without_node(MarketSetup::default())
            .await
            .unwrap();
        let Some((_node, url)) = confined_node(market.setup()) else {
            return;
        };
        let options = MarketOptions {
            rpc: market.devnet().url().to_owned(),
            node: url,
            address_file: Some(market.devnet().address_file().to_owned()),
            ..MarketOptions::default()
        };
        let bob = Market::connect(options, Person::Bob.wallet()).await.unwrap();
        let raw = Raw::signed_in(&bob, &Person::Bob.wallet()).await;
        // More than there is room for: said with the right status, and nothing of the chunk stays.
        let text = "Call me Ishmael. ".repeat(200_000);
        let digest = posthuman_types::keccak256(&text);
        let announced = serde_json::json!({ "name": "text", "bytes": text.len(), "digest": digest });
        let (_, upload) = raw.post("/api/v1/uploads", announced).await;
        let id = upload["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/uploads/{id}?offset=0");
        let full = raw
            .ask("PUT", &path, "application/octet-stream", text.clone())
            .await;
        assert_eq!((full.0, error_of(&full).0), (503, "disk_full"), "{full:?}");
        super::assert_sentence(error_of(&full).1);
        let (_, state) = raw.ask("GET", &format!("/api/v1/uploads/{id}"), "", "").await;
        assert_eq!(state["received"], 0, "{state}");
        // What fits still goes through, from the quote to the published model.
        let work = tiny_child_work(&ground.root.did, "Child").unwrap();
        let offer = bob.quote(work, &mut quiet()).await.unwrap();
        let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap();
    });
}

/// A node whose vault lies on a small file system of its own, which the kernel takes away with the process: in a mount
/// namespace, and for users without privileges in a user namespace. Nothing where the kernel allows neither.
fn confined_node(setup: &NodeSetup) -> Option<(Process, String)> {
    let flags: &[&str] = if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--map-root-user"]
    };
    let allowed = Command::new("unshare")
        .args(flags)
        .arg("true")
        .output()
        .is_ok_and(|tried| tried.status.success());
    if !allowed {
        return None;
    }
    let script = "set -e; mv \"$0/vault\" \"$0/saved\"; mkdir \"$0/vault\"; \
                  mount -t tmpfs -o size=\"$1\" tmpfs \"$0/vault\"; cp -a \"$0/saved/.\" \"$0/vault/\"; shift; exec \"$@\"";
    let node = posthuman_command().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .args(["sh", "-c", script])
        .arg(&setup.data)
        .arg(ROOM)
        .arg(node.get_program());
    command.args(["--json", "node", "--port", "0", "--rpc", &setup.rpc]);
    let keys = &setup.keys;
    for (flag, path) in [
        ("--data", &setup.data),
        ("--address-file", &setup.address_file),
        ("--wallet", &keys.wallet.keystore),
        ("--password-file", &keys.wallet.password),
        ("--receipt-signer", &keys.receipt_signer.keystore),
        ("--receipt-signer-password-file", &keys.receipt_signer.password),
        ("--master-key", &keys.master_key.keystore),
        ("--master-key-password-file", &keys.master_key.password),
    ] {
        command.arg(flag).arg(path);
    }
    let log = std::fs::File::create(&setup.log).unwrap();
    let mut process = Process::spawn(command, Stdio::piped(), log.into()).unwrap();
    let mut line = String::new();
    BufReader::new(process.child().stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let said: serde_json::Value = serde_json::from_str(&line)
        .unwrap_or_else(|_| panic!("the node does not serve:\n{}", e2e::files::tail(&setup.log, 20)));
    Some((process, said["url"].as_str().unwrap().to_owned()))
}
