//! Every plain ERC-20 action, on OCEAN and on a datatoken.

use posthuman_chain::*;
use posthuman_types::{Address, U256};

use crate::market::{self, tokens, told};

#[tokio::test]
async fn every_erc20_action() {
    let market = market::open().await;
    let (ocean, alice, bob) = (market.chain.ocean(), &market.alice, &market.bob);
    assert_eq!(ocean.name().await.unwrap(), "Ocean Token");
    assert_eq!(ocean.symbol().await.unwrap(), "OCEAN");
    assert_eq!(ocean.decimals().await.unwrap(), 18);
    assert_eq!(ocean.total_supply().await.unwrap(), tokens(3000));

    market.send(alice, ocean.transfer(bob.address(), tokens(1))).await;
    assert_eq!(market.balance(&ocean, bob).await, tokens(1001));
    market
        .send(alice, ocean.approve(bob.address(), tokens(5)).unwrap())
        .await;
    market
        .send(alice, ocean.increase_allowance(bob.address(), tokens(2)).unwrap())
        .await;
    market
        .send(alice, ocean.decrease_allowance(bob.address(), tokens(3)))
        .await;
    assert_eq!(
        ocean.allowance(alice.address(), bob.address()).await.unwrap(),
        tokens(4)
    );
    market
        .send(
            bob,
            ocean.transfer_from(alice.address(), bob.address(), tokens(4)),
        )
        .await;
    assert_eq!(market.balance(&ocean, bob).await, tokens(1005));
    let sentence = market
        .refused(
            bob,
            ocean.transfer_from(alice.address(), bob.address(), U256::ONE),
        )
        .await;
    assert!(sentence.contains("has not allowed"), "{sentence}");
    let sentence = market
        .refused(alice, ocean.decrease_allowance(bob.address(), tokens(1)))
        .await;
    assert!(sentence.contains("allowance is smaller"), "{sentence}");
    let sentence = market
        .refused(alice, ocean.transfer(Address::ZERO, U256::ONE))
        .await;
    assert!(sentence.contains("zero address"), "{sentence}");
    let standing = ocean
        .exact_allowance(alice.address(), bob.address(), U256::ZERO)
        .await
        .unwrap();
    assert_eq!(standing, None);
}

#[tokio::test]
async fn the_router_is_never_allowed_anything() {
    let market = market::open().await;
    let (ocean, router) = (market.chain.ocean(), market.chain.address_book().router);
    for refused in [
        ocean.approve(router, U256::ONE),
        ocean.increase_allowance(router, U256::ONE),
    ] {
        assert!(matches!(refused, Err(ChainError::RouterAllowance { .. })));
    }
    let (_, datatoken) = market.publish().await;
    let error = datatoken
        .permit(&market.alice, router, U256::ONE, u64::MAX)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("never allowed to Ocean's router"),
        "{}",
        told(error)
    );
    // One that stands from elsewhere can be taken back.
    market
        .send(&market.alice, ocean.approve(router, U256::ZERO).unwrap())
        .await;
}

#[tokio::test]
async fn datatokens_burn_and_permit() {
    let market = market::open().await;
    let (alice, bob) = (&market.alice, &market.bob);
    let (_, datatoken) = market.publish().await;
    market
        .send(&market.node, datatoken.mint(alice.address(), tokens(10)))
        .await;
    market.send(alice, datatoken.burn(tokens(1))).await;
    let deadline = market.chain.block_number().await.unwrap() + 10;
    let permit = datatoken
        .permit(alice, bob.address(), tokens(3), deadline)
        .await
        .unwrap();
    market.send(bob, permit.clone()).await;
    market
        .send(bob, datatoken.burn_from(alice.address(), tokens(3)))
        .await;
    assert_eq!(market.balance(datatoken.token(), alice).await, tokens(6));
    assert_eq!(datatoken.token().total_supply().await.unwrap(), tokens(6));
    let sentence = market.refused(bob, permit).await;
    assert!(
        sentence.contains("is not signed by the holder"),
        "a permit works once: {sentence}"
    );
    let late = datatoken
        .permit(alice, bob.address(), tokens(3), 1)
        .await
        .unwrap();
    let sentence = market.refused(bob, late).await;
    assert!(
        sentence.contains("deadline, a block number, has passed"),
        "{sentence}"
    );
}
