//! Sending: simulated, prepared, repeated.

use posthuman_chain::*;
use posthuman_types::U256;

use crate::market::{self, tokens};

#[tokio::test]
async fn a_prepared_transaction_happens_once_however_often_it_is_sent() {
    let market = market::open().await;
    let (chain, alice, bob) = (&market.chain, &market.alice, &market.bob);
    let ocean = chain.ocean();
    let nonce = chain.transaction_count(alice.address()).await.unwrap();
    let signed = chain
        .prepare(alice, &ocean.transfer(bob.address(), tokens(5)), nonce)
        .await
        .unwrap();
    assert_eq!(
        market.balance(&ocean, bob).await,
        tokens(1000),
        "preparing sends nothing"
    );
    assert!(chain.receipt(signed.hash).await.unwrap().is_none());

    let kept = serde_json::to_string(&signed).unwrap();
    let signed: SignedTransaction = serde_json::from_str(&kept).unwrap();
    for _ in 0..3 {
        chain.broadcast(&signed).await.unwrap();
    }
    let receipt = chain.wait(&signed).await.unwrap();
    assert!(receipt.success);
    assert_eq!(
        chain.receipt(signed.hash).await.unwrap().unwrap().block_number,
        receipt.block_number
    );
    assert_eq!(market.balance(&ocean, bob).await, tokens(1005));

    let other = chain
        .prepare(alice, &ocean.transfer(bob.address(), tokens(6)), nonce)
        .await
        .unwrap();
    let error = chain.broadcast(&other).await.unwrap_err();
    assert!(matches!(error, ChainError::NonceTaken { .. }), "{error}");
}

#[tokio::test]
async fn nonces_follow_one_another_under_concurrent_sends() {
    let market = market::open().await;
    let to = Wallet::random().address();
    let sends = (0..12).map(|_| {
        let (chain, alice) = (market.chain.clone(), market.alice.clone());
        tokio::spawn(async move { chain.send(&alice, Call::pay(to, U256::from(3))).await.unwrap() })
    });
    for send in sends.collect::<Vec<_>>() {
        assert!(send.await.unwrap().success);
    }
    assert_eq!(market.chain.balance(to).await.unwrap(), U256::from(36));
}

#[tokio::test]
async fn a_refused_call_costs_no_nonce() {
    let market = market::open().await;
    let before = market
        .chain
        .transaction_count(market.alice.address())
        .await
        .unwrap();
    let sentence = market
        .refused(
            &market.alice,
            market.chain.ocean().transfer(market.bob.address(), tokens(1001)),
        )
        .await;
    assert!(
        sentence.contains("has fewer tokens than this moves"),
        "{sentence}"
    );
    assert_eq!(
        market
            .chain
            .transaction_count(market.alice.address())
            .await
            .unwrap(),
        before
    );
    market
        .send(
            &market.alice,
            market.chain.ocean().transfer(market.bob.address(), tokens(1)),
        )
        .await;
}

#[tokio::test]
async fn a_failure_after_sending_is_told_with_its_reason() {
    let market = market::open().await;
    let call = market
        .chain
        .ocean()
        .transfer(market.bob.address(), tokens(1001))
        .with_gas(200_000);
    let nonce = market
        .chain
        .transaction_count(market.alice.address())
        .await
        .unwrap();
    let signed = market.chain.prepare(&market.alice, &call, nonce).await.unwrap();
    // A devnet mines failures too, but may say so while it takes the transaction.
    market.chain.broadcast(&signed).await.unwrap();
    let receipt = market.chain.wait(&signed).await.unwrap();
    assert!(!receipt.success);
    let error = market.chain.failure(&call, &receipt).await;
    assert!(market::told(error).contains("has fewer tokens than this moves"));
}

#[tokio::test]
async fn blocks_have_times() {
    let market = market::open().await;
    let newest = market.chain.block_number().await.unwrap();
    assert!(market.chain.block_timestamp(newest).await.unwrap().unwrap() > 1_700_000_000);
    assert_eq!(market.chain.block_timestamp(newest + 1000).await.unwrap(), None);
}
