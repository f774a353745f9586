//! Starting, keeping and losing a devnet.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use posthuman_chain::devnet::{self, Devnet, DevnetError, DevnetOptions};
use posthuman_chain::*;
use posthuman_types::{Address, U256};

use crate::market::{self, tokens, told};

#[tokio::test]
async fn the_whole_suite_stands_and_is_in_the_address_file() {
    let market = market::open().await;
    let book = AddressBook::read(market.devnet.address_file()).unwrap();
    assert_eq!(&book, market.chain.address_book());
    let mut addresses = vec![
        book.ocean,
        book.router,
        book.fixed_price,
        book.resale().unwrap(),
        book.dispenser,
    ];
    addresses.extend([
        book.nft_factory,
        book.side_staking.unwrap(),
        book.pool_template.unwrap(),
    ]);
    addresses.extend(
        book.others
            .values()
            .map(|address| address.as_str().unwrap().parse::<Address>().unwrap()),
    );
    addresses.extend(
        book.datatoken_templates
            .values()
            .chain(book.nft_templates.values()),
    );
    assert_eq!(addresses.len(), 21);
    for address in addresses {
        assert!(market.chain.is_contract(address).await.unwrap(), "{address}");
    }
    assert_eq!(
        market.chain.provider_fee_share().await.unwrap(),
        U256::from(devnet::PROVIDER_FEE_SHARE)
    );
    assert!(market.devnet.is_running());
}

#[tokio::test]
async fn a_kept_chain_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = DevnetOptions::kept(folder.path().to_owned(), 0);
    let first = Devnet::start(options.clone()).await.unwrap();
    let alice = devnet::account(devnet::ALICE);
    devnet::fund(first.chain(), alice.address(), tokens(7), tokens(1))
        .await
        .unwrap();
    let (book, block) = (
        first.chain().address_book().clone(),
        first.chain().block_number().await.unwrap(),
    );
    let timestamp = first.chain().block_timestamp(block).await.unwrap();
    first.stop().await;
    // The copy beside the state suffices.
    std::fs::remove_file(folder.path().join("address.json")).unwrap();

    let second = Devnet::start(options).await.unwrap();
    assert_eq!(second.chain().address_book(), &book);
    assert!(second.chain().block_number().await.unwrap() >= block);
    assert_eq!(
        second.chain().ocean().balance_of(alice.address()).await.unwrap(),
        tokens(7)
    );
    assert!(timestamp.is_some());
    assert_eq!(second.chain().block_timestamp(block).await.unwrap(), timestamp);
    let query = EventQuery {
        contracts: vec![book.ocean],
        topics: vec![],
    };
    assert_eq!(
        second.chain().events(&query, 0, block).await.unwrap().len(),
        1,
        "old logs are lost"
    );
    second.stop().await;
}

#[tokio::test]
async fn a_chain_without_cache_is_deployed_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = DevnetOptions {
        cache: None,
        mine_every: None,
        ..DevnetOptions::kept(folder.path().to_owned(), 0)
    };
    let first = Devnet::start(options.clone()).await.unwrap();
    let (book, block) = (
        first.chain().address_book().clone(),
        first.chain().block_number().await.unwrap(),
    );
    first.stop().await;
    let second = Devnet::start(options).await.unwrap();
    assert_eq!(second.chain().address_book(), &book);
    assert_eq!(
        second.chain().block_number().await.unwrap(),
        block,
        "something was deployed again"
    );
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Devnet::start(DevnetOptions {
        port,
        ..DevnetOptions::ephemeral()
    })
    .await
    .unwrap_err();
    assert!(matches!(error, DevnetError::PortTaken { .. }), "{error}");
    assert!(error.to_string().contains(&format!("port {port} is taken")));
}

#[tokio::test]
async fn missing_pieces_are_told_with_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let options = DevnetOptions {
        anvil: Some(PathBuf::from("/nowhere/anvil")),
        ..DevnetOptions::ephemeral()
    };
    let error = Devnet::start(options).await.unwrap_err();
    assert!(matches!(error, DevnetError::AnvilMissing { .. }), "{error}");
    assert!(error.to_string().contains("make contracts"), "{error}");

    let anvil = Some(devnet::find_anvil(&devnet::contracts_folder()).unwrap());
    let contracts = folder.path().to_owned();
    let options = DevnetOptions {
        contracts,
        anvil,
        cache: None,
        ..DevnetOptions::ephemeral()
    };
    let error = Devnet::start(options).await.unwrap_err();
    assert!(matches!(error, DevnetError::ContractsMissing { .. }), "{error}");
    assert!(error.to_string().contains("make contracts"), "{error}");
}

#[tokio::test]
async fn a_broken_state_is_told_in_anvils_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("devnet")).unwrap();
    std::fs::write(folder.path().join("devnet/state.json"), "{").unwrap();
    std::fs::write(folder.path().join("devnet/anvil.log"), "an older complaint\n").unwrap();
    let error = Devnet::start(DevnetOptions::kept(folder.path().to_owned(), 0))
        .await
        .unwrap_err();
    let DevnetError::AnvilFailed { why, .. } = &error else {
        panic!("{error}")
    };
    assert!(!why.contains("older") && !why.is_empty(), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_anvil_is_told() {
    let options = DevnetOptions {
        anvil: Some(PathBuf::from("/bin/false")),
        cache: None,
        ..DevnetOptions::ephemeral()
    };
    let error = Devnet::start(options).await.unwrap_err();
    assert!(
        matches!(error, DevnetError::AnvilFailed { .. }),
        "{}",
        told(error)
    );
}

/// Names the file into which [`holds_a_devnet_when_asked`] writes its port.
const HOLD: &str = "POSTHUMAN_TEST_HOLD_DEVNET";

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
async fn holds_a_devnet_when_asked() {
    let Some(file) = std::env::var_os(HOLD) else {
        return;
    };
    let devnet = Devnet::start(DevnetOptions::ephemeral()).await.unwrap();
    std::fs::write(&file, devnet.port().to_string()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[cfg(target_os = "linux")]
#[test]
fn no_orphan_is_left_when_the_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("port");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "devnet::holds_a_devnet_when_asked"])
        .env(HOLD, &file)
        .spawn()
        .unwrap();
    let start = Instant::now();
    let port: u16 = loop {
        if let Some(port) = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.parse().ok())
        {
            break port;
        }
        assert!(start.elapsed() < Duration::from_secs(180), "no devnet came up");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    parent.kill().unwrap();
    parent.wait().unwrap();
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "anvil outlived its parent"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn many_starts_at_once_deploy_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = DevnetOptions {
        cache: Some(folder.path().join("cache")),
        ..DevnetOptions::ephemeral()
    };
    let start = || Devnet::start(options.clone());
    let (first, second, third) = tokio::join!(start(), start(), start());
    let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
    assert_eq!(first.chain().address_book(), second.chain().address_book());
    assert_ne!(second.port(), third.port());
    assert!(
        third
            .chain()
            .is_contract(third.chain().address_book().router)
            .await
            .unwrap()
    );
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("cache")).unwrap().collect();
    assert_eq!(kept.len(), 2, "the lock and one deployment: {kept:?}");
    let port = first.port();
    drop(first);
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "anvil outlived its handle"
    );
}
