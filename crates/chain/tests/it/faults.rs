//! Bad luck and bad input, each a sentence.

use std::time::Duration;

use posthuman_chain::*;
use posthuman_types::{Address, B256, Bytes, ErrorClass, U256};

use crate::market::{self, tokens, told};

#[tokio::test]
async fn another_chain_is_refused_and_both_are_named() {
    let market = market::open().await;
    let book = AddressBook {
        chain_id: 137,
        network: "polygon".into(),
        ..market.chain.address_book().clone()
    };
    let error = Chain::connect(market.devnet.url(), book).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Caller);
    let sentence = error.to_string();
    assert!(
        sentence.contains("`polygon` are for chain 137") && sentence.contains("is chain 8996"),
        "{sentence}"
    );
    Chain::connect(market.devnet.url(), market.chain.address_book().clone())
        .await
        .unwrap();
}

#[tokio::test]
async fn no_chain_there() {
    let market = market::open().await;
    let error = Chain::connect("http://127.0.0.1:1", market.chain.address_book().clone())
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable);
    assert!(
        error
            .to_string()
            .contains("no answer from the chain at http://127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn no_ether() {
    let market = market::open().await;
    let poor = Wallet::random();
    let error = market
        .chain
        .send(
            &poor,
            market
                .chain
                .ocean()
                .approve(market.bob.address(), U256::ONE)
                .unwrap(),
        )
        .await;
    let error = error.unwrap_err();
    assert!(matches!(error, ChainError::NoFunds { .. }), "{}", told(error));
    assert_eq!(error.class(), ErrorClass::Payment);
    let call = Call::pay(market.bob.address(), tokens(1));
    let sentence = market.refused(&poor, call).await;
    assert!(sentence.contains("cannot pay for"), "{sentence}");
}

#[tokio::test]
async fn no_rights() {
    let market = market::open().await;
    let (nft, datatoken) = market.publish().await;
    let alice = &market.alice;
    let collector = datatoken.set_payment_collector(alice.address());
    for (call, expected) in [
        (
            datatoken.mint(alice.address(), U256::ONE),
            "is no minter of this datatoken",
        ),
        (
            datatoken.add_minter(alice.address()),
            "may not administer this datatoken",
        ),
        (collector, "may not change who is paid"),
        (
            nft.set_data("parent", Bytes::from_static(b"x")),
            "may not write this data NFT's store",
        ),
        (
            nft.set_state(AssetState::Revoked),
            "may not write this asset's metadata",
        ),
        (
            nft.add_deployer(alice.address()),
            "is no manager of this data NFT",
        ),
    ] {
        let error = market.chain.send(alice, call).await.unwrap_err();
        assert_eq!(
            error.class(),
            ErrorClass::Unauthorized,
            "{expected}: {}",
            told(&error)
        );
        assert!(told(&error).contains(expected), "{}", told(&error));
    }
}

#[tokio::test]
async fn no_contract_there() {
    let market = market::open().await;
    let error = market
        .chain
        .datatoken(Address::repeat_byte(7))
        .nft()
        .await
        .unwrap_err();
    assert!(matches!(error, ChainError::NoContract { .. }), "{error}");
    let error = market
        .chain
        .datatoken(market.chain.address_book().ocean)
        .nft()
        .await
        .unwrap_err();
    assert!(matches!(error, ChainError::Reverted { .. }), "{error}");
    assert!(
        !market
            .chain
            .is_datatoken(market.chain.address_book().ocean)
            .await
            .unwrap()
    );
    assert!(!market.chain.is_nft(Address::ZERO).await.unwrap());
    assert!(
        market
            .chain
            .orders_in(B256::repeat_byte(1))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_transaction_that_is_never_mined_has_a_deadline() {
    let market = market::open().await;
    let options = ChainOptions {
        receipt_deadline: Duration::from_millis(300),
        poll_interval: Duration::from_millis(20),
    };
    let book = market.chain.address_book().clone();
    let chain = Chain::connect_with(market.devnet.url(), book, options)
        .await
        .unwrap();
    // Behind a gap of nonces.
    let nonce = chain.transaction_count(market.alice.address()).await.unwrap() + 5;
    let signed = chain
        .prepare(&market.alice, &Call::pay(market.bob.address(), U256::ONE), nonce)
        .await
        .unwrap();
    chain.broadcast(&signed).await.unwrap();
    chain.broadcast(&signed).await.unwrap();
    let error = chain.wait(&signed).await.unwrap_err();
    assert!(matches!(error, ChainError::Deadline { .. }), "{error}");
}

#[tokio::test]
async fn contract_wallets_answer_for_themselves() {
    let market = market::open().await;
    let chain = &market.chain;
    // A contract that answers every call with the word of ERC-1271:
    // PUSH4 1626ba7e, PUSH1 e0, SHL, PUSH0, MSTORE, PUSH1 20, PUSH0, RETURN. Nine bytes before it copy it into place.
    let runtime = alloy::hex!("631626ba7e60e01b5f5260205ff3");
    let code = [&alloy::hex!("600e8060095f395ff3")[..], &runtime].concat();
    let receipt = market
        .send(
            &market.alice,
            Call::create(code.into(), "creating a contract wallet"),
        )
        .await;
    let wallet = receipt.created.unwrap();
    assert!(chain.is_contract(wallet).await.unwrap());
    assert!(!chain.is_contract(market.alice.address()).await.unwrap());
    assert!(
        chain
            .is_valid_signature(wallet, B256::ZERO, b"any")
            .await
            .unwrap()
    );
    let router = chain.address_book().router;
    assert!(
        !chain
            .is_valid_signature(router, B256::ZERO, b"any")
            .await
            .unwrap()
    );
    assert!(
        chain
            .is_valid_signature(market.alice.address(), B256::ZERO, b"any")
            .await
            .is_err()
    );
}
