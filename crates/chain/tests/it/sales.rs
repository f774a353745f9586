//! Buying and selling at a fixed rate, and the resale by holders.

use posthuman_chain::*;
use posthuman_types::{B256, Publication, U256};

use crate::market::{self, milli, tokens};

const NO_MARKET: ConsumeMarket = ConsumeMarket {
    address: posthuman_types::Address::ZERO,
    share: U256::ZERO,
};

#[tokio::test]
async fn the_lowest_price_of_a_publication_is_the_lowest_that_the_exchange_takes() {
    let market = market::open().await;
    let least = Publication::LEAST_PRICE.0;
    for (price, taken) in [(least, true), (least - U256::ONE, false)] {
        let call = market.chain.publish_with_fixed_rate(
            &market.nft_spec(&market.node),
            &market.datatoken_spec(&market.node),
            &market.sale(&market.node, price),
        );
        let outcome = market.chain.simulate(market.node.address(), &call).await;
        assert_eq!(outcome.is_ok(), taken, "{price}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_purchase_costs_its_quote_and_pays_the_collector() {
    let market = market::open().await;
    let (chain, ocean) = (&market.chain, market.chain.ocean());
    let sale = FixedRateSpec {
        market_fee: milli(10),
        ..market.sale(&market.node, tokens(2))
    };
    let call = chain.publish_with_fixed_rate(
        &market.nft_spec(&market.node),
        &market.datatoken_spec(&market.node),
        &sale,
    );
    let published = chain.published(&market.send(&market.node, call).await).unwrap();
    let (datatoken, id, exchanges) = (
        chain.datatoken(published.datatoken),
        published.exchange.unwrap(),
        chain.fixed_rate(),
    );
    let quote = exchanges.quote_buy(id, tokens(3), NO_MARKET).await.unwrap();
    assert_eq!(
        (quote.community_fee, quote.market_fee, quote.total),
        (milli(6), milli(60), milli(6066))
    );

    let sentence = market
        .refused(&market.bob, exchanges.buy(id, tokens(3), quote.total, NO_MARKET))
        .await;
    assert!(
        sentence.contains("approve exactly this amount first"),
        "{sentence}"
    );
    let calls = exchanges
        .purchase(market.bob.address(), id, tokens(3), NO_MARKET)
        .await
        .unwrap();
    assert_eq!(calls.len(), 2);
    for call in calls {
        market.send(&market.bob, call).await;
    }
    assert_eq!(
        market.balance(&ocean, &market.bob).await,
        tokens(1000) - quote.total
    );
    assert_eq!(market.balance(datatoken.token(), &market.bob).await, tokens(3));
    assert_eq!(
        ocean
            .allowance(market.bob.address(), exchanges.address())
            .await
            .unwrap(),
        U256::ZERO
    );

    let exchange = exchanges.exchange(id).await.unwrap().unwrap();
    assert_eq!(
        (exchange.base_balance, exchange.rate, exchange.active),
        (tokens(6), tokens(2), true)
    );
    let before = market.balance(&ocean, &market.node).await;
    market
        .send(&market.alice, exchanges.collect(id, exchange.base_balance))
        .await;
    market.send(&market.alice, exchanges.collect_market_fee(id)).await;
    market
        .send(&market.alice, exchanges.collect_community_fee(id))
        .await;
    assert_eq!(
        market.balance(&ocean, &market.node).await,
        before + tokens(6) + milli(60)
    );

    market.send(&market.node, exchanges.set_rate(id, tokens(5))).await;
    let sentence = market
        .refused(&market.bob, exchanges.buy(id, tokens(1), tokens(2), NO_MARKET))
        .await;
    assert!(sentence.contains("above the maximum given"), "{sentence}");
    market.send(&market.node, exchanges.toggle(id)).await;
    assert!(exchanges.quote_buy(id, tokens(1), NO_MARKET).await.is_err());
    assert!(!exchanges.exchange(id).await.unwrap().unwrap().active);
    assert_eq!(exchanges.exchange(B256::repeat_byte(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_bought_can_be_sold_back() {
    let market = market::open().await;
    let chain = &market.chain;
    let call = chain.publish_with_fixed_rate(
        &market.nft_spec(&market.node),
        &market.datatoken_spec(&market.node),
        &market.sale(&market.node, tokens(2)),
    );
    let published = chain.published(&market.send(&market.node, call).await).unwrap();
    let (id, exchanges) = (published.exchange.unwrap(), chain.fixed_rate());
    for call in exchanges
        .purchase(market.bob.address(), id, tokens(3), NO_MARKET)
        .await
        .unwrap()
    {
        market.send(&market.bob, call).await;
    }
    let datatoken = chain.token(published.datatoken);
    market
        .send(
            &market.bob,
            datatoken.approve(exchanges.address(), tokens(2)).unwrap(),
        )
        .await;
    let quote = exchanges.quote_sell(id, tokens(2), NO_MARKET).await.unwrap();
    assert_eq!(quote.total, milli(3996));
    let before = market.balance(&chain.ocean(), &market.bob).await;
    market
        .send(&market.bob, exchanges.sell(id, tokens(2), quote.total, NO_MARKET))
        .await;
    assert_eq!(
        market.balance(&chain.ocean(), &market.bob).await,
        before + quote.total
    );
    // What was sold into the exchange goes to the collector too.
    market
        .send(&market.bob, exchanges.collect_datatokens(id, tokens(2)))
        .await;
    assert_eq!(market.balance(&datatoken, &market.node).await, tokens(2));
    market
        .send(
            &market.node,
            exchanges.set_allowed_swapper(id, market.alice.address()),
        )
        .await;
    let sentence = market
        .refused(&market.bob, exchanges.buy(id, tokens(1), tokens(9), NO_MARKET))
        .await;
    assert!(sentence.contains("sells to one address only"), "{sentence}");
}

/// The life of a child model: born with 80 for Bob and 20 for Alice, income split 80 to 20, resold by Bob.
#[tokio::test]
async fn a_resale_pays_the_ancestors_by_the_splitter() {
    let market = market::open().await;
    let (chain, ocean) = (&market.chain, market.chain.ocean());
    let (node, alice, bob) = (&market.node, &market.alice, &market.bob);
    let (_, datatoken) = market.publish().await;
    let m1 = birth_mint(tokens(100), 2000, None, None, alice.address());
    let m2 = birth_mint(tokens(100), 2000, Some(&m1), Some(alice.address()), bob.address());
    for (holder, amount) in m2 {
        market.send(node, datatoken.mint(holder, amount)).await;
    }
    market.send(node, datatoken.remove_minter(node.address())).await;
    let payees = [
        (bob.address(), U256::from(8000)),
        (alice.address(), U256::from(2000)),
    ];
    let splitter = Splitter::deployed(
        &market
            .send(node, Splitter::deploy(&market.splitter_code(), &payees))
            .await,
    )
    .unwrap();
    let splitter = chain.splitter(splitter);
    market.send(node, splitter.renounce()).await;
    market
        .send(node, datatoken.set_payment_collector(splitter.address()))
        .await;

    // Not on the exchange of 2.6.0, and not by the holder themselves.
    let open = datatoken
        .open_resale(bob.address(), ocean.address(), 18, tokens(2))
        .unwrap();
    let sentence = market.refused(bob, open.clone()).await;
    assert!(
        sentence.contains("may not administer this datatoken"),
        "{sentence}"
    );
    let id = datatoken
        .opened_exchange(&market.send(node, open.clone()).await)
        .unwrap();
    let sentence = market.refused(node, open).await;
    assert!(sentence.contains("one exchange per pair"), "{sentence}");
    let resale = chain.resale().unwrap();
    let exchange = resale.exchange(id).await.unwrap().unwrap();
    assert_eq!((exchange.owner, exchange.with_mint), (bob.address(), false));
    assert_eq!(
        exchange.datatoken_supply,
        U256::ZERO,
        "nothing is for sale before the holder approves"
    );

    market
        .send(
            bob,
            datatoken.token().approve(resale.address(), tokens(1)).unwrap(),
        )
        .await;
    assert_eq!(
        resale.exchange(id).await.unwrap().unwrap().datatoken_supply,
        tokens(1)
    );
    let charlie = posthuman_chain::devnet::account(posthuman_chain::devnet::CHARLIE);
    posthuman_chain::devnet::fund(chain, charlie.address(), tokens(10), U256::ZERO)
        .await
        .unwrap();
    for call in resale
        .purchase(charlie.address(), id, tokens(1), NO_MARKET)
        .await
        .unwrap()
    {
        market.send(&charlie, call).await;
    }
    assert_eq!(market.balance(datatoken.token(), &charlie).await, tokens(1));
    assert_eq!(market.balance(datatoken.token(), bob).await, tokens(79));
    let again = resale
        .purchase(charlie.address(), id, tokens(1), NO_MARKET)
        .await
        .unwrap();
    market.send(&charlie, again[0].clone()).await;
    let sentence = market.refused(&charlie, again[1].clone()).await;
    assert!(
        sentence.contains("approve exactly this amount first"),
        "{sentence}"
    );

    // Another price is not for the seller to set, who owns the exchange, but for the data NFT's owner.
    let sentence = market.refused(bob, resale.set_rate(id, tokens(5))).await;
    assert!(!sentence.is_empty(), "{sentence}");
    market.send(node, resale.set_rate(id, tokens(5))).await;
    let exchange = resale.exchange(id).await.unwrap().unwrap();
    assert_eq!((exchange.rate, exchange.owner), (tokens(5), bob.address()));

    let proceeds = resale.exchange(id).await.unwrap().unwrap().base_balance;
    assert_eq!(proceeds, tokens(2));
    market.send(&charlie, resale.collect(id, proceeds)).await;
    let expected = reward::release_amounts(proceeds, &payees);
    market.send(&charlie, splitter.release(ocean.address())).await;
    assert_eq!(market.balance(&ocean, bob).await, tokens(1000) + expected[0].1);
    assert_eq!(market.balance(&ocean, alice).await, tokens(1000) + expected[1].1);
    assert_eq!(
        ocean.balance_of(splitter.address()).await.unwrap(),
        U256::ONE,
        "one unit stays"
    );
}
