//! Publishing, metadata, store, roles and events.

use alloy::sol_types::SolEvent;
use posthuman_chain::bindings::INft;
use posthuman_chain::*;
use posthuman_types::{Address, B256, Bytes, U256, keccak256};

use crate::market::{self, tokens};

fn metadata(data: &'static [u8]) -> Metadata {
    Metadata {
        state: AssetState::Active,
        decryptor_url: "http://node".into(),
        decryptor_address: "0x0".into(),
        flags: Bytes::from_static(&[0]),
        data: Bytes::from_static(data),
        hash: keccak256(data),
    }
}

#[tokio::test]
async fn an_asset_is_born_whole() {
    let market = market::open().await;
    let chain = &market.chain;
    let call = chain.publish_with_fixed_rate(
        &market.nft_spec(&market.alice),
        &market.datatoken_spec(&market.alice),
        &market.sale(&market.alice, tokens(2)),
    );
    let published = chain.published(&market.send(&market.node, call).await).unwrap();
    let (nft, datatoken) = (chain.nft(published.nft), chain.datatoken(published.datatoken));
    assert!(
        chain.is_nft(published.nft).await.unwrap() && chain.is_datatoken(published.datatoken).await.unwrap()
    );
    assert_eq!(nft.owner().await.unwrap(), market.alice.address());
    assert_eq!(nft.name().await.unwrap(), "Moby");
    assert_eq!(nft.symbol().await.unwrap(), "MOBY");
    assert!(nft.transferable().await.unwrap());
    assert_eq!(nft.datatokens().await.unwrap(), [published.datatoken]);
    assert_eq!(nft.state().await.unwrap(), (0, false));
    assert_eq!(datatoken.nft().await.unwrap(), published.nft);
    assert_eq!(
        datatoken.payment_collector().await.unwrap(),
        market.alice.address()
    );
    let exchange = published.exchange.unwrap();
    assert_eq!(
        exchange,
        FixedRate::exchange_id(chain.address_book().ocean, published.datatoken)
    );
    assert_eq!(
        datatoken.fixed_rates().await.unwrap(),
        [(chain.fixed_rate().address(), exchange)]
    );
    assert_eq!((published.dispenser, published.pool), (None, None));
}

#[tokio::test]
async fn metadata_and_store_are_written_and_read() {
    let market = market::open().await;
    let (nft, _) = market.publish().await;
    let first = market.chain.block_number().await.unwrap() + 1;
    market
        .send(&market.node, nft.set_metadata(&metadata(b"one")))
        .await;
    market
        .send(&market.node, nft.set_metadata(&metadata(b"two")))
        .await;
    market
        .send(&market.node, nft.set_state(AssetState::Unlisted))
        .await;
    market
        .send(
            &market.node,
            nft.set_data("posthuman.parent", Bytes::from_static(b"M1")),
        )
        .await;
    assert_eq!(nft.state().await.unwrap(), (5, true));
    assert_eq!(
        nft.data("posthuman.parent").await.unwrap(),
        Bytes::from_static(b"M1")
    );
    assert_eq!(
        nft.data_at(store_key("posthuman.parent")).await.unwrap(),
        Bytes::from_static(b"M1")
    );
    assert_eq!(nft.data("nothing").await.unwrap(), Bytes::new());

    let mut cursor = EventCursor::new(
        EventQuery {
            contracts: vec![nft.address()],
            topics: vec![],
        },
        first,
    );
    let page = cursor.next(&market.chain).await.unwrap().unwrap();
    assert_eq!(cursor.next(&market.chain).await.unwrap(), None);
    assert_eq!(cursor.next_block(), page.to_block + 1);
    let mut events = page.events.into_iter().map(|record| record.event);
    assert!(matches!(events.next(), Some(Event::MetadataCreated(event)) if event.data == b"one"[..]));
    assert!(
        matches!(events.next(), Some(Event::MetadataUpdated(event)) if event.metaDataHash == keccak256(b"two"))
    );
    assert!(matches!(events.next(), Some(Event::MetadataState(event)) if event.state == 5));
    let Some(Event::DataChanged(event)) = events.next() else {
        panic!("no DataChanged")
    };
    assert_eq!(
        (event.key, &event.value[..]),
        (store_key("posthuman.parent"), &b"M1"[..])
    );
    assert_eq!(events.next(), None);

    let query = EventQuery {
        contracts: vec![],
        topics: vec![INft::MetadataState::SIGNATURE_HASH],
    };
    let newest = market.chain.block_number().await.unwrap();
    assert_eq!(market.chain.events(&query, first, newest).await.unwrap().len(), 1);
}

#[tokio::test]
async fn roles_are_given_and_taken() {
    let market = market::open().await;
    let (nft, datatoken) = market.publish().await;
    let (node, alice) = (&market.node, market.alice.address());
    for call in [
        nft.add_manager(alice),
        nft.add_deployer(alice),
        nft.add_metadata_updater(alice),
        nft.add_store_updater(alice),
    ] {
        market.send(node, call).await;
    }
    assert_eq!(
        nft.roles(alice).await.unwrap(),
        NftRoles {
            manager: true,
            deployer: true,
            metadata: true,
            store: true
        }
    );
    market.send(&market.alice, datatoken.add_minter(alice)).await;
    market.send(node, datatoken.add_payment_manager(alice)).await;
    assert_eq!(
        datatoken.roles(alice).await.unwrap(),
        DatatokenRoles {
            minter: true,
            payment_manager: true,
            deployer: true
        }
    );
    market.send(&market.alice, datatoken.mint(alice, tokens(1))).await;
    for call in [
        datatoken.remove_minter(alice),
        datatoken.remove_payment_manager(alice),
        nft.remove_deployer(alice),
        nft.remove_metadata_updater(alice),
        nft.remove_store_updater(alice),
        nft.remove_manager(alice),
    ] {
        market.send(node, call).await;
    }
    assert_eq!(
        nft.roles(alice).await.unwrap(),
        NftRoles {
            manager: false,
            deployer: false,
            metadata: false,
            store: false
        }
    );
    assert!(!datatoken.roles(alice).await.unwrap().minter);
    let sentence = market
        .refused(&market.alice, datatoken.mint(alice, U256::ONE))
        .await;
    assert!(sentence.contains("is no minter"), "{sentence}");

    market.send(node, nft.transfer(node.address(), alice)).await;
    assert_eq!(nft.owner().await.unwrap(), alice);
    assert_eq!(datatoken.payment_collector().await.unwrap(), alice);
    assert!(
        !datatoken.roles(node.address()).await.unwrap().minter,
        "a transfer wipes minters"
    );
}

#[tokio::test]
async fn a_second_datatoken_and_a_dispenser() {
    let market = market::open().await;
    let (nft, _) = market.publish().await;
    let spec = DatatokenSpec {
        symbol: "TWO".into(),
        ..market.datatoken_spec(&market.node)
    };
    market.send(&market.node, nft.create_datatoken(&spec)).await;
    let datatokens = nft.datatokens().await.unwrap();
    assert_eq!(datatokens.len(), 2);
    let second = market.chain.datatoken(datatokens[1]);
    assert_eq!(second.token().symbol().await.unwrap(), "TWO");

    let gift = DispenserSpec {
        max_tokens: tokens(1),
        max_balance: tokens(2),
        with_mint: true,
        allowed_swapper: Address::ZERO,
    };
    market.send(&market.node, second.create_dispenser(&gift)).await;
    let dispenser = market.chain.give_away();
    assert_eq!(second.dispensers().await.unwrap(), [dispenser.address()]);
    let status = dispenser.status(second.address()).await.unwrap();
    assert!(status.active && status.is_minter);
    assert_eq!((status.max_tokens, status.max_balance), (tokens(1), tokens(2)));

    let (bob, address) = (&market.bob, second.address());
    for _ in 0..2 {
        market
            .send(bob, dispenser.dispense(address, tokens(1), bob.address()))
            .await;
    }
    assert_eq!(market.balance(second.token(), bob).await, tokens(2));
    let sentence = market
        .refused(bob, dispenser.dispense(address, tokens(1), bob.address()))
        .await;
    assert!(sentence.contains("too many datatokens already"), "{sentence}");
    let sentence = market
        .refused(
            bob,
            dispenser.dispense(address, tokens(2), market.alice.address()),
        )
        .await;
    assert!(sentence.contains("less than this at a time"), "{sentence}");
    market.send(&market.node, dispenser.deactivate(address)).await;
    let sentence = market
        .refused(
            bob,
            dispenser.dispense(address, tokens(1), market.alice.address()),
        )
        .await;
    assert!(sentence.contains("switched off"), "{sentence}");
    market
        .send(&market.node, dispenser.activate(address, tokens(5), tokens(9)))
        .await;
    market
        .send(
            &market.node,
            dispenser.set_allowed_swapper(address, market.alice.address()),
        )
        .await;
    let sentence = market
        .refused(bob, dispenser.dispense(address, tokens(1), bob.address()))
        .await;
    assert!(sentence.contains("one address only"), "{sentence}");
}

#[tokio::test]
async fn publishing_with_a_dispenser_reads_back() {
    let market = market::open().await;
    let gift = DispenserSpec {
        max_tokens: tokens(1),
        max_balance: tokens(1),
        with_mint: true,
        allowed_swapper: Address::ZERO,
    };
    let (nft, datatoken) = (
        market.nft_spec(&market.alice),
        market.datatoken_spec(&market.alice),
    );
    let receipt = market
        .send(
            &market.node,
            market.chain.publish_with_dispenser(&nft, &datatoken, &gift),
        )
        .await;
    let published = market.chain.published(&receipt).unwrap();
    assert_eq!(published.dispenser, Some(market.chain.give_away().address()));
    let other = market
        .send(&market.node, Call::pay(market.bob.address(), U256::ONE))
        .await;
    assert!(market.chain.published(&other).is_err());
    assert_ne!(published.transaction, B256::ZERO);
}
