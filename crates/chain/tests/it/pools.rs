//! A pool: quotes to the unit, staking, leaving.

use posthuman_chain::*;
use posthuman_types::{Address, U256};

use crate::market::{self, milli, tokens};

#[tokio::test]
async fn a_pool_trades_at_its_quotes() {
    let market = market::open().await;
    let (chain, ocean, book) = (&market.chain, market.chain.ocean(), market.chain.address_book());
    let spec = PoolSpec {
        base_token: book.ocean,
        base_decimals: 18,
        rate: tokens(1) / U256::from(2),
        initial_liquidity: tokens(200),
        liquidity_fee: milli(1),
        market_fee: milli(2),
        market_fee_collector: market.bob.address(),
        publisher: market.node.address(),
    };
    let (nft, datatoken) = (market.nft_spec(&market.node), market.datatoken_spec(&market.node));
    let call = chain.publish_with_pool(&nft, &datatoken, &spec).unwrap();
    let sentence = market.refused(&market.node, call.clone()).await;
    assert!(
        sentence.contains("approve exactly this amount first"),
        "{sentence}"
    );
    market
        .send(
            &market.node,
            ocean.approve(book.nft_factory, tokens(200)).unwrap(),
        )
        .await;
    let published = chain.published(&market.send(&market.node, call).await).unwrap();
    let (pool, datatoken) = (
        chain.pool(published.pool.unwrap()),
        chain.token(published.datatoken),
    );
    assert_eq!(pool.tokens().await.unwrap(), (book.ocean, datatoken.address()));
    assert_eq!(pool.reserve(datatoken.address()).await.unwrap(), tokens(100));
    assert_eq!(
        chain.datatoken(published.datatoken).pools().await.unwrap(),
        [pool.address()]
    );
    assert_eq!(market.balance(&pool.shares(), &market.node).await, tokens(50));

    // 2 OCEAN per datatoken, over 1 − 0.001 − 0.001 − 0.002.
    let price = pool.spot_price(book.ocean, datatoken.address()).await.unwrap();
    assert!(
        price.abs_diff(tokens(2) * U256::from(1000) / U256::from(996)) < U256::from(1000),
        "{price}"
    );

    let none = ConsumeMarket::default();
    let quote = pool
        .quote_exact_out(book.ocean, datatoken.address(), tokens(1), none)
        .await
        .unwrap();
    let alice = &market.alice;
    market
        .send(alice, ocean.approve(pool.address(), quote.amount).unwrap())
        .await;
    let buy = pool.swap_exact_out(book.ocean, datatoken.address(), quote.amount, tokens(1), none);
    market.send(alice, buy).await;
    assert_eq!(market.balance(&datatoken, alice).await, tokens(1));
    assert_eq!(market.balance(&ocean, alice).await, tokens(1000) - quote.amount);
    assert_eq!(
        ocean.allowance(alice.address(), pool.address()).await.unwrap(),
        U256::ZERO
    );
    assert_eq!(pool.circulating_supply().await.unwrap(), tokens(1));

    let quote = pool
        .quote_exact_in(datatoken.address(), book.ocean, milli(500), none)
        .await
        .unwrap();
    let before = market.balance(&ocean, alice).await;
    market
        .send(alice, datatoken.approve(pool.address(), milli(500)).unwrap())
        .await;
    let sell = pool.swap_exact_in(datatoken.address(), book.ocean, milli(500), quote.amount, none);
    market.send(alice, sell).await;
    assert_eq!(market.balance(&ocean, alice).await, before + quote.amount);

    market
        .send(alice, ocean.approve(pool.address(), tokens(500)).unwrap())
        .await;
    let too_much = pool.swap_exact_in(book.ocean, datatoken.address(), tokens(500), U256::ZERO, none);
    let sentence = market.refused(alice, too_much).await;
    assert!(
        sentence.contains("at most half of the pool's reserve"),
        "{sentence}"
    );
    stake_and_leave(&market, &pool, &ocean).await;
    market.send(alice, pool.collect_market_fee()).await;
    market.send(alice, pool.collect_community_fee()).await;
    assert!(
        market.balance(&ocean, &market.bob).await > tokens(1000),
        "the market's fee was paid"
    );

    let again = market
        .refused(
            &market.node,
            chain
                .datatoken(published.datatoken)
                .mint(alice.address(), U256::ONE),
        )
        .await;
    assert!(
        again.contains("would be exceeded") || again.contains("overflow"),
        "{again}"
    );
}

async fn stake_and_leave(market: &market::Market, pool: &Pool, ocean: &Token) {
    let (chain, alice) = (&market.chain, &market.alice);
    let book = chain.address_book();
    let (_, datatoken) = pool.tokens().await.unwrap();
    let price = pool.spot_price(book.ocean, datatoken).await.unwrap();
    market
        .send(alice, ocean.approve(pool.address(), tokens(10)).unwrap())
        .await;
    market.send(alice, pool.join(tokens(10), U256::ONE)).await;
    let drift = pool
        .spot_price(book.ocean, datatoken)
        .await
        .unwrap()
        .abs_diff(price);
    assert!(
        drift < U256::from(1_000_000),
        "staking moved the price by {drift}"
    );
    let shares = market.balance(&pool.shares(), alice).await;
    let before = market.balance(ocean, alice).await;
    market.send(alice, pool.exit(shares, milli(9990))).await;
    assert!(market.balance(ocean, alice).await >= before + milli(9990));
    assert_eq!(market.balance(&pool.shares(), alice).await, U256::ZERO);
}

#[tokio::test]
async fn a_network_without_pools_says_so() {
    let market = market::open().await;
    let book = AddressBook {
        side_staking: None,
        fixed_price_resale: None,
        ..market.chain.address_book().clone()
    };
    let chain = Chain::connect(market.devnet.url(), book).await.unwrap();
    assert!(
        chain
            .resale()
            .unwrap_err()
            .to_string()
            .contains("FixedPriceResale")
    );
    let spec = PoolSpec {
        base_token: Address::ZERO,
        base_decimals: 18,
        rate: U256::ONE,
        initial_liquidity: U256::ONE,
        liquidity_fee: U256::ZERO,
        market_fee: U256::ZERO,
        market_fee_collector: Address::ZERO,
        publisher: Address::ZERO,
    };
    let (nft, datatoken) = (market.nft_spec(&market.node), market.datatoken_spec(&market.node));
    let error = chain.publish_with_pool(&nft, &datatoken, &spec).unwrap_err();
    assert!(error.to_string().contains("has no Staking"), "{error}");
}
