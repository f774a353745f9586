//! Splitters.

use posthuman_chain::*;
use posthuman_types::U256;

use crate::market::{self, tokens};

#[tokio::test]
async fn a_splitter_pays_by_shares_and_is_final() {
    let market = market::open().await;
    let (chain, ocean) = (&market.chain, market.chain.ocean());
    let payees = [
        (market.alice.address(), U256::from(3)),
        (market.bob.address(), U256::from(4)),
    ];
    let receipt = market
        .send(&market.node, Splitter::deploy(&market.splitter_code(), &payees))
        .await;
    let splitter = chain.splitter(Splitter::deployed(&receipt).unwrap());
    assert_eq!(splitter.payees().await.unwrap(), payees);
    assert_eq!(splitter.total_shares().await.unwrap(), U256::from(7));
    assert_eq!(splitter.shares(market.node.address()).await.unwrap(), U256::ZERO);
    assert!(!splitter.is_renounced().await.unwrap());
    let sentence = market.refused(&market.alice, splitter.renounce()).await;
    assert!(sentence.contains("does not own this contract"), "{sentence}");
    market.send(&market.node, splitter.renounce()).await;
    assert!(splitter.is_renounced().await.unwrap());

    let amount = tokens(1) + U256::from(5);
    market
        .send(&market.node, ocean.transfer(splitter.address(), amount))
        .await;
    market.send(&market.bob, splitter.release(ocean.address())).await;
    let expected = reward::release_amounts(amount, &payees);
    let payments = splitter.payments(0).await.unwrap();
    let paid: Vec<_> = payments
        .iter()
        .map(|payment| (payment.payee, payment.amount))
        .collect();
    assert_eq!(paid, expected);
    assert_eq!(
        market.balance(&ocean, &market.alice).await,
        tokens(1000) + expected[0].1
    );
    assert_eq!(
        splitter.total_released(ocean.address()).await.unwrap(),
        amount - U256::ONE
    );
    market.send(&market.bob, splitter.release(ocean.address())).await;
    assert_eq!(
        splitter.payments(0).await.unwrap().len(),
        2,
        "a second release pays nothing"
    );
}

#[tokio::test]
async fn splitters_that_cannot_be_are_told() {
    let market = market::open().await;
    let alice = market.alice.address();
    for (payees, expected) in [
        (vec![], "at least one payee"),
        (vec![(alice, U256::ZERO)], "share is zero"),
        (vec![(alice, U256::ONE), (alice, U256::ONE)], "named twice"),
    ] {
        let sentence = market
            .refused(&market.node, Splitter::deploy(&market.splitter_code(), &payees))
            .await;
        assert!(sentence.contains(expected), "{sentence}");
    }
    let other = market.send(&market.node, Call::pay(alice, U256::ONE)).await;
    assert!(Splitter::deployed(&other).is_err());
}
