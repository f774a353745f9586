//! The machine around a node: ports, folders, passwords, programs that are missing, chains that are others.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use e2e::files::tail;
use e2e::market::{MarketSetup, Person, TestMarket, chain_state};
use e2e::process::{self, Finished, Process, posthuman, posthuman_command};
use rustix::process::{Signal, kill_process};

use crate::ground::{block_on, ground};

/// How long a node that cannot start may take to say so.
const LIMIT: Duration = Duration::from_secs(180);

/// Exit code and words of a node that does not start.
#[track_caller]
fn refused_start(market: &mut TestMarket, code: i32, words: &[&str]) {
    let ended = market.spawn_node().unwrap().wait_end(LIMIT).unwrap();
    let said = market.node().last_words();
    assert_eq!(ended.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let ground = ground();
    block_on(async {
        let mut market = ground
            .frozen
            .thaw_without_node(MarketSetup::default())
            .await
            .unwrap();

        // The port is taken.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        market.setup().port = taken.local_addr().unwrap().port();
        refused_start(
            &mut market,
            8,
            &["cannot listen on 127.0.0.1:", "choose another port"],
        );
        market.setup().port = 0;

        // Another password than the keystore's.
        for which in 0..3 {
            let mut keys = market.keys();
            let wrong = market.data().join("wrong.password");
            std::fs::write(&wrong, "not the password\n").unwrap();
            let key = [&mut keys.wallet, &mut keys.receipt_signer, &mut keys.master_key]
                .into_iter()
                .nth(which)
                .unwrap();
            key.password = wrong;
            let keystore = key.keystore.file_name().unwrap().to_string_lossy().into_owned();
            market.setup().keys = keys;
            refused_start(
                &mut market,
                4,
                &["the password does not open the keystore", &keystore],
            );
        }
        market.setup().keys = market.keys();

        // Another chain than the one that it is told of.
        market.setup().flags = ["--chain-id", "1"].map(OsString::from).to_vec();
        refused_start(&mut market, 8, &["chain"]);
        market.setup().flags.clear();

        // No chain.
        let rpc = std::mem::replace(&mut market.setup().rpc, "http://127.0.0.1:9".to_owned());
        refused_start(&mut market, 8, &["127.0.0.1:9"]);
        market.setup().rpc = rpc;

        // One folder, two nodes.
        market.start_node().unwrap();
        let mut second = market.setup().clone();
        second.log = market.data().join("second.log");
        let mut second = e2e::node::NodeProcess::spawn(&second).unwrap();
        let ended = second.wait_end(LIMIT).unwrap();
        assert!(!ended.success());
        assert!(second.last_words().contains("in use"), "{}", second.last_words());
        market.person(Person::Bob).await.unwrap();

        // A chain that was started anew under an old folder.
        market.stop_node().unwrap();
        let young = TestMarket::prepare(MarketSetup::default()).await.unwrap();
        market.setup().rpc = young.devnet().url().to_owned();
        refused_start(
            &mut market,
            8,
            &["the chain was started anew", "empty data folder"],
        );
    });
}

#[test]
fn a_node_that_still_starts_stops_when_it_is_told() {
    let ground = ground();
    block_on(async {
        let mut market = ground
            .frozen
            .thaw_without_node(MarketSetup::default())
            .await
            .unwrap();
        // A chain that takes every request and answers none.
        let chain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        market.setup().rpc = format!("http://{}", chain.local_addr().unwrap());
        market.spawn_node().unwrap();
        let _asked = tokio::time::timeout(LIMIT, chain.accept())
            .await
            .unwrap()
            .unwrap();
        let node = market.node();
        node.process().signal(Signal::TERM);
        let ended = node.wait_end(LIMIT).unwrap();
        assert_eq!(ended.code(), Some(0), "{}", node.last_words());
    });
}

#[test]
fn a_devnet_whose_chain_ends_ends_too_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let mut command = posthuman_command().unwrap();
    command
        .args(["--json", "devnet", "--rpc-port", "0", "--data"])
        .arg(&data);
    let errors = std::fs::File::create(&log).unwrap();
    let mut devnet = Process::spawn(command, Stdio::piped(), errors.into()).unwrap();
    let mut line = String::new();
    // It says one line when it serves, and nothing if it ends before.
    BufReader::new(devnet.child().stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("rpc"), "{}", tail(&log, 20));
    let state = chain_state(&data);
    let anvil = process::find(|words| words.iter().any(|word| Path::new(word) == state)).unwrap();
    kill_process(anvil, Signal::KILL).unwrap();
    let ended = devnet.wait(LIMIT).unwrap();
    let said = tail(&log, 20);
    assert!(!ended.success(), "{said}");
    assert!(said.contains("the devnet ended by itself"), "{said}");
}

/// Runs the binary and wants a certain exit code, and words on stderr.
#[track_caller]
fn refused(arguments: &[&str], environment: &[(&str, &OsStr)], code: i32, words: &[&str]) -> Finished {
    let finished = posthuman(arguments, environment).unwrap();
    assert_eq!(finished.code(), Some(code), "{arguments:?}: {finished:?}");
    assert!(finished.stdout.is_empty(), "{arguments:?}: {finished:?}");
    for word in words {
        assert!(
            finished.stderr.contains(word),
            "{arguments:?}: `{word}` is not in: {}",
            finished.stderr
        );
    }
    finished
}

#[test]
fn a_devnet_without_its_programs_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let empty = folder.path().join("contracts");
    std::fs::create_dir(&empty).unwrap();
    let nowhere: &[(&str, &OsStr)] = &[
        ("POSTHUMAN_CONTRACTS", empty.as_os_str()),
        ("PATH", OsStr::new("/nowhere")),
    ];
    let devnet = ["devnet", "--rpc-port", "0", "--data", data];
    refused(&devnet, nowhere, 3, &["anvil", "make contracts"]);
    // Anvil is there, the contracts are not.
    let anvil = posthuman_chain::devnet::find_anvil(&e2e::files::contracts()).unwrap();
    let path: &[(&str, &OsStr)] = &[
        ("POSTHUMAN_CONTRACTS", empty.as_os_str()),
        ("PATH", anvil.parent().unwrap().as_os_str()),
    ];
    refused(&devnet, path, 3, &["make contracts"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(
        &["devnet", "--rpc-port", &port, "--data", data],
        &[],
        7,
        &[&port, "taken", "--rpc-port"],
    );
}

#[test]
fn commands_end_with_the_code_and_the_words_of_what_is_wrong() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let environment = market.environment(Person::Derek);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (binary, short) = (
            file("binary", b"\x7fELF\0\0\0\0"),
            file("short", b"Call me Ishmael."),
        );
        let (password, nonsense) = (file("password", b"wrong\n"), file("nonsense", b"{}"));
        let did = ground.root.did.to_string();
        let unknown = format!("did:op:{}", "0".repeat(64));
        let bob = Person::Bob.wallet().address().to_string();
        let keystore = market.keys().wallet.keystore.to_str().unwrap().to_owned();
        let cases: &[(&[&str], i32, &[&str])] = &[
            (&["asset", "show", &unknown], 6, &[&unknown]),
            (&["asset", "show", "M1"], 2, &["M1"]),
            (&["buy", &did, "--amount", "100000"], 5, &["wallet fund"]),
            (&["buy", &did, "--max-price", "0.5"], 5, &["nothing was paid"]),
            (
                &["train", &did, "--text", &binary, "--name", "Mine"],
                3,
                &["text_binary"],
            ),
            (
                &[
                    "train",
                    &did,
                    "--text",
                    &short,
                    "--name",
                    "Mine",
                    "--sequence",
                    "32",
                ],
                3,
                &["text_too_short"],
            ),
            (
                &["train", &did, "--text", "/nowhere", "--name", "Mine"],
                3,
                &["/nowhere"],
            ),
            (
                &[
                    "train",
                    &did,
                    "--text",
                    &short,
                    "--name",
                    "Mine",
                    "--learning-rate",
                    "7",
                ],
                3,
                &["learning_rate"],
            ),
            (&["infer", &did, "--prompt", "Call me"], 5, &["posthuman buy"]),
            (
                &["token", "transfer-from", "ocean", &bob, "derek", "1"],
                5,
                &["allow"],
            ),
            (
                &[
                    "wallet",
                    "show",
                    "--wallet",
                    &keystore,
                    "--password-file",
                    &password,
                ],
                4,
                &["password does not open"],
            ),
            (
                &[
                    "wallet",
                    "show",
                    "--wallet",
                    &nonsense,
                    "--password-file",
                    &password,
                ],
                3,
                &[&nonsense],
            ),
            (
                &["asset", "list", "--node", "http://127.0.0.1:9", "--patience", "1"],
                8,
                &["127.0.0.1:9", "posthuman dev"],
            ),
            (
                &["asset", "list", "--node", "127.0.0.1"],
                3,
                &["http://HOST:PORT"],
            ),
            (
                &["token", "balance", "--rpc", "http://127.0.0.1:9"],
                8,
                &["127.0.0.1:9"],
            ),
            (
                &["jobs", "show", "00000000000000000000000000000001"],
                6,
                &["job_not_found"],
            ),
            (
                &["verify", "nothing"],
                3,
                &["is no file, no digest and no job id"],
            ),
        ];
        for (arguments, code, words) in cases {
            refused(arguments, &environment, *code, words);
        }
        // A proxy from the environment is for other machines.
        let mut proxied = environment.clone();
        for name in ["HTTP_PROXY", "http_proxy"] {
            proxied.push((name, OsStr::new("http://127.0.0.1:9")));
        }
        proxied.extend(["NO_PROXY", "no_proxy"].map(|name| (name, OsStr::new(""))));
        let listed = posthuman(&["asset", "list", "--patience", "1"], &proxied).unwrap();
        assert_eq!(listed.code(), Some(0), "{listed:?}");

        // As one object for programs, on stderr; stdout stays for results.
        let finished = refused(&["--json", "asset", "show", &unknown], &environment, 6, &[]);
        let body: serde_json::Value = serde_json::from_str(&finished.stderr).unwrap();
        assert_eq!(body["error"]["code"], "asset_not_found");

        // An address file of another network.
        let book = std::fs::read_to_string(market.devnet().address_file()).unwrap();
        let other = file("other.json", book.replace("8996", "8997").as_bytes());
        let mut wrong = environment.clone();
        let place = wrong
            .iter_mut()
            .find(|(name, _)| *name == "POSTHUMAN_ADDRESS_FILE")
            .unwrap();
        place.1 = Path::new(&other).as_os_str();
        refused(&["buy", &did], &wrong, 3, &["8997", "8996"]);
    });
}
