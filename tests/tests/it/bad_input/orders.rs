//! Paid orders that do not pay for what is asked: a signed refusal, and the order stays open.

use e2e::market::{MarketSetup, Person, TestMarket, tiny_child_work};
use e2e::texts;
use posthuman::verify::Material;
use posthuman::{Goal, Market, MarketError, Offer, verify};
use posthuman_chain::{Call, MarketFee, sign_provider_fee};
use posthuman_types::api::ProviderFee;
use posthuman_types::{Address, Amount, B256, Operation, OrderId, Parameters};

use super::raw::{Raw, Start};
use super::{Change, answer, assert_open, assert_refusal};
use crate::break_points::Purse;
use crate::ground::{Ground, block_on, ground, quiet};

#[test]
fn an_order_that_does_not_fit_is_refused_and_stays_open() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let wallet = Person::Bob.wallet();
        let raw = Raw::new(market.node_url());
        let offer = bob
            .quote(tiny_child_work(&ground.root.did, "Child").unwrap(), &mut quiet())
            .await
            .unwrap();
        let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
        let paid = Purse::of(&market, Person::Bob, ground.root.datatoken)
            .await
            .unwrap();

        wrong_starts(&bob, &offer, order, &raw).await;
        used_orders(&ground, &market).await;
        assert_eq!(
            Purse::of(&market, Person::Bob, ground.root.datatoken)
                .await
                .unwrap(),
            paid
        );

        // After all that the order pays for what it was for.
        let nonce = raw.next_nonce(&wallet).await;
        let job = Start::of(&offer, order, nonce).send(&bob, &wallet).await.unwrap();
        bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap();
        let again = Start::of(&offer, order, raw.next_nonce(&wallet).await)
            .send(&bob, &wallet)
            .await;
        assert_refusal(&bob, &answer(again, "order_used", 409), order);
        // Asking again and again costs nothing, so it is not signed and kept for ever.
        for more in 1..32 {
            let nonce = raw.next_nonce(&wallet).await + more;
            let again = Start::of(&offer, order, nonce).send(&bob, &wallet).await;
            answer(again, "order_used", 409);
        }
        let nonce = raw.next_nonce(&wallet).await + 32;
        let again = Start::of(&offer, order, nonce).send(&bob, &wallet).await;
        assert_eq!(answer(again, "order_used", 409).refusal, None);
        wrong_fees(&market, &bob, &offer).await;
    });
}

async fn wrong_starts(bob: &Market, offer: &Offer, order: OrderId, raw: &Raw) {
    let wallet = Person::Bob.wallet();
    let nonce = raw.next_nonce(&wallet).await;
    let good = Start::of(offer, order, nonce);
    let cases: [(u16, &str, bool, Change<Start>); 7] = [
        (400, "wrong_chain", false, &|start| {
            start.request.order.chain_id = 1
        }),
        (404, "order_not_found", false, &|start| {
            start.request.order.log_index += 1
        }),
        (404, "order_not_found", false, &|start| {
            start.request.order.transaction = B256::repeat_byte(7)
        }),
        (402, "order_for_another_asset", true, &|start| {
            start.request.datatoken = Address::repeat_byte(7)
        }),
        (402, "order_for_another_operation", true, &|start| {
            start.request.operation = Operation::Evaluate
        }),
        (400, "input_mismatch", true, &|start| {
            start.request.input = B256::repeat_byte(7)
        }),
        (409, "nonce_replayed", true, &|start| start.request.nonce = 1),
    ];
    for (status, code, signed, change) in cases {
        let mut start = good.clone();
        change(&mut start);
        let refused = answer(start.send(bob, &wallet).await, code, status);
        if signed {
            assert_refusal(bob, &refused, order);
        }
        assert_open(bob, order).await;
    }
    for thief in [Person::Alice, Person::Derek] {
        let stolen = good.send(bob, &thief.wallet()).await;
        assert_eq!(answer(stolen, "bad_signature", 401).refusal, None);
    }
    assert_open(bob, order).await;
    // Other parameters are admitted, but not for more tokens than were paid for.
    let mut more = texts::tiny_child("Child");
    more.steps += 1;
    let mut start = good.clone();
    start.request.parameters = Parameters::Train(more).to_canonical();
    let job = start.send(bob, &wallet).await.unwrap();
    let error = bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap_err();
    assert_eq!(error.code(), "allowance_exceeded", "{error}");
    assert_open(bob, order).await;
}

/// Alice's order of the root was used up in another life of the node.
async fn used_orders(ground: &Ground, market: &TestMarket) {
    let alice = market.person(Person::Alice).await.unwrap();
    let raw = Raw::new(market.node_url());
    let work = e2e::market::tiny_root_work(&alice.info().blank, "Root").unwrap();
    let offer = alice.quote(work, &mut quiet()).await.unwrap();
    let start = Start::of(
        &offer,
        ground.order,
        raw.next_nonce(&Person::Alice.wallet()).await,
    );
    let refused = answer(
        start.send(&alice, &Person::Alice.wallet()).await,
        "order_used",
        409,
    );
    assert_refusal(&alice, &refused, ground.order);
}

/// Orders with a fee that the node did not sign for them.
async fn wrong_fees(market: &TestMarket, bob: &Market, used: &Offer) {
    let wallet = Person::Bob.wallet();
    let raw = Raw::new(market.node_url());
    let ocean = bob.info().base_token;
    let refuse = async |offer: &Offer, fee: &ProviderFee, code: &str, status: u16| {
        let order = pay(market, offer, fee).await;
        let start = Start::of(offer, order, raw.next_nonce(&wallet).await);
        let refused = answer(start.send(bob, &wallet).await, code, status);
        assert_refusal(bob, &refused, order);
        assert_open(bob, order).await;
    };
    // The quote of the order before pays for no second one, also after a restart.
    refuse(used, &used.quote.provider_fee, "fee_replayed", 409).await;
    let offer = bob.quote(used.work.clone(), &mut quiet()).await.unwrap();
    let fee = offer.quote.provider_fee.clone();
    let derek = Person::Derek.wallet();
    let foreign = sign_provider_fee(
        &derek,
        ocean,
        fee.amount,
        fee.valid_until,
        fee.provider_data.clone(),
    )
    .unwrap();
    refuse(&offer, &foreign, "order_not_paid_here", 402).await;
    let late = market
        .chain()
        .block_timestamp(market.chain().block_number().await.unwrap())
        .await
        .unwrap()
        .unwrap();
    rpc(
        market,
        "evm_setNextBlockTimestamp",
        serde_json::json!([late.max(fee.valid_until) + 10]),
    )
    .await;
    refuse(&offer, &fee, "fee_expired", 402).await;
    renewed_orders(market, bob, used).await;
}

/// An order whose fee came too late is not lost: a new fee makes it good, and its receipt holds.
async fn renewed_orders(market: &TestMarket, bob: &Market, used: &Offer) {
    let wallet = Person::Bob.wallet();
    bob.buy(&used.quote.did, Amount::tokens(1), None, &mut quiet())
        .await
        .unwrap();
    let order = pay(market, used, &used.quote.provider_fee).await;
    let before = bob.holding(&used.quote.did).await.unwrap();
    let offer = bob.quote(used.work.clone(), &mut quiet()).await.unwrap();
    bob.renew(order, &offer, None, &mut quiet()).await.unwrap();
    assert_eq!(bob.holding(&used.quote.did).await.unwrap(), before);
    let raw = Raw::new(market.node_url());
    let start = Start::of(&offer, order, raw.next_nonce(&wallet).await);
    let job = start.send(bob, &wallet).await.unwrap();
    let trained = bob
        .trained(bob.wait(job.id, Goal::Settled, &mut quiet()).await.unwrap())
        .await
        .unwrap();
    let verified = verify(market.chain(), &trained.receipt, &Material::default())
        .await
        .unwrap();
    assert!(verified.holds(), "{:?}", verified.failure());
}

/// Places an order with any fee.
async fn pay(market: &TestMarket, offer: &Offer, fee: &ProviderFee) -> OrderId {
    let (chain, wallet) = (market.chain(), Person::Bob.wallet());
    let datatoken = chain.datatoken(offer.quote.datatoken);
    let mut calls: Vec<Call> = datatoken
        .order_approvals(wallet.address(), fee, &MarketFee::NONE)
        .await
        .unwrap();
    calls.push(datatoken.start_order(wallet.address(), offer.quote.service_index, fee, &MarketFee::NONE));
    let mut last = None;
    for call in calls {
        last = Some(chain.send(&wallet, call).await.unwrap());
    }
    chain.orders_of(&last.unwrap()).await.unwrap()[0].id
}

/// A request that only a devnet answers.
pub(super) async fn rpc(market: &TestMarket, method: &str, parameters: serde_json::Value) {
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: serde_json::Value = http
        .post(market.devnet().url())
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(answer["error"].is_null(), "{answer}");
}

#[test]
fn nothing_is_paid_by_who_cannot_pay() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let did = &ground.root.did;
        let derek = market.person(Person::Derek).await.unwrap();
        // No datatoken.
        let offer = derek
            .quote(tiny_child_work(did, "Child").unwrap(), &mut quiet())
            .await
            .unwrap();
        let error = derek.order(&offer, None, &mut quiet()).await.unwrap_err();
        assert!(
            matches!(error, MarketError::Balance { .. }) && error.to_string().contains("posthuman buy"),
            "{error}"
        );
        // No OCEAN.
        let error = derek
            .buy(did, Amount::tokens(100_000), None, &mut quiet())
            .await
            .unwrap_err();
        assert!(
            matches!(error, MarketError::Balance { .. }) && error.to_string().contains("wallet fund"),
            "{error}"
        );
        // More than the user's own limit.
        let error = derek
            .buy(did, Amount::tokens(2), Some(Amount::tokens(1)), &mut quiet())
            .await
            .unwrap_err();
        assert!(matches!(error, MarketError::TooExpensive { .. }), "{error}");
        // No allowance: the contract's own refusal, in words.
        let derek_wallet = Person::Derek.wallet();
        let datatoken = market.chain().datatoken(ground.root.datatoken);
        let fee = &offer.quote.provider_fee;
        let call = datatoken.start_order(derek_wallet.address(), 0, fee, &MarketFee::NONE);
        let error = market.chain().send(&derek_wallet, call).await.unwrap_err();
        assert!(error.revert().is_some(), "{error}");
        let purse = Purse::of(&market, Person::Derek, ground.root.datatoken)
            .await
            .unwrap();
        assert_eq!(
            (purse.ocean, purse.datatokens),
            (Amount::tokens(1_000).0, Amount::default().0)
        );
    });
}
