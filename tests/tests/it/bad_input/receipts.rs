//! Receipts that somebody changed, and perfect ones by another key.

use std::path::Path;

use e2e::market::{MarketSetup, Person, TestMarket};
use e2e::process::{Finished, posthuman};
use e2e::texts;
use posthuman::verify::{Material, Verification};
use posthuman_chain::{Call, devnet};
use posthuman_proofs::sign_receipt;
use posthuman_types::{Did, SignedReceipt};
use serde_json::{Value, json};

use super::orders::rpc;
use crate::break_points::wait_for_settlement;
use crate::ground::{Ground, block_on, ground, quiet};

#[test]
fn a_tampered_receipt_is_refused_by_the_name_of_what_does_not_hold() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let environment = market.environment(Person::Bob);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipt.json");
        let verify = |receipt: &Value| -> Finished {
            std::fs::write(&path, receipt.to_string()).unwrap();
            posthuman(&[Path::new("verify"), &path], &environment).unwrap()
        };
        let genuine = serde_json::to_value(&ground.receipt).unwrap();
        let holds = verify(&genuine);
        assert_eq!(holds.code(), Some(0), "{holds:?}");
        assert!(holds.stdout.contains("the receipt holds"), "{holds:?}");

        let other = format!("0x{}", "7".repeat(64));
        let changes = [
            ("input", json!(other)),
            ("output", json!(other)),
            ("tokenizer", json!(other)),
            ("seed", json!(999)),
            ("finished_at", json!(1)),
            ("consumer", json!(Person::Derek.wallet().address())),
        ];
        for (field, value) in changes {
            let mut tampered = genuine.clone();
            let place = tampered["receipt"]
                .get_mut(field)
                .unwrap_or_else(|| panic!("a receipt has `{field}`"));
            assert_ne!(*place, value);
            *place = value;
            let refused = verify(&tampered);
            assert_eq!(refused.code(), Some(4), "{field}: {refused:?}");
            assert!(
                refused.stderr.contains("the receipt does not hold: digest"),
                "{field}: {refused:?}"
            );
        }

        // The same facts, and changed ones, signed perfectly by a key that is not the node's.
        for price in [false, true] {
            let mut receipt = ground.receipt.receipt.clone();
            if price {
                receipt.finished_at += 1;
            }
            let forged: SignedReceipt = sign_receipt(receipt, Person::Bob.wallet().signer()).unwrap();
            let refused = verify(&serde_json::to_value(&forged).unwrap());
            assert_eq!(refused.code(), Some(4), "{refused:?}");
            assert!(
                refused.stderr.contains("the receipt does not hold: sign"),
                "{refused:?}"
            );
        }

        // By the node's own key, but not what it put on the chain.
        let signer = market.keys().receipt_signer().unwrap();
        let mut receipt = ground.receipt.receipt.clone();
        receipt.finished_at += 1;
        let refused = verify(&serde_json::to_value(sign_receipt(receipt, signer.signer()).unwrap()).unwrap());
        assert_eq!(refused.code(), Some(4), "{refused:?}");

        let nothing = verify(&json!({ "hello": "world" }));
        assert_eq!(nothing.code(), Some(3), "{nothing:?}");
        assert!(nothing.stderr.contains("holds no receipt"), "{nothing:?}");
    });
}

/// Bob's receipts of a session of two turns on Alice's model, of which the last is on the chain.
async fn talk(market: &TestMarket, did: &Did) -> Vec<SignedReceipt> {
    let bob = market.person(Person::Bob).await.unwrap();
    let mut session = bob.session(did, None, &mut quiet()).await.unwrap();
    for prompt in ["Call me", "Some years"] {
        session.say(prompt, texts::greedy(), &mut |_| {}).await.unwrap();
    }
    let ended = session.close().await.unwrap();
    wait_for_settlement(&bob, ended.order.id).await.unwrap();
    assert_eq!(ended.receipts.len(), 2);
    ended.receipts
}

#[test]
fn a_session_holds_as_a_whole_or_not_at_all() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let receipts = talk(&market, &ground.root.did).await;
        let environment = market.environment(Person::Derek);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        let verify = |said: Value, code: i32, words: &str| {
            std::fs::write(&path, said.to_string()).unwrap();
            let finished = posthuman(&[Path::new("verify"), &path], &environment).unwrap();
            assert_eq!(finished.code(), Some(code), "{words}: {finished:?}");
            let told = format!("{}{}", finished.stdout, finished.stderr);
            assert!(told.contains(words), "`{words}` is not in: {told}");
        };
        let session = serde_json::to_value(&receipts).unwrap();
        verify(session.clone(), 0, "one chain of 2 receipts");
        verify(session[1].clone(), 0, "the receipt holds");
        // A turn before the last hangs on the chain by the others alone.
        verify(session[0].clone(), 4, "give the whole session's list");
        // Whatever is changed in it, the last receipt being good does not hide it.
        let other = format!("0x{}", "7".repeat(64));
        for (field, value) in [("output", json!(other)), ("finished_at", json!(1))] {
            let mut tampered = session.clone();
            tampered[0]["receipt"][field] = value;
            verify(tampered, 4, "the receipt does not hold: session");
        }
        let twice = json!([session[1], session[1]]);
        verify(twice, 4, "the receipt does not hold: session");
    });
}

#[test]
fn what_the_nodes_wallet_writes_afterwards_hides_nothing() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let receipts = talk(&market, &ground.root.did).await;
        market.stop_node().unwrap();
        attested_in_either_place(&ground, &market, &receipts).await;
        rewritten_birth(&ground, &market, &receipts[1]).await;
    });
}

async fn verified(market: &TestMarket, receipt: &SignedReceipt) -> Verification {
    let verification = posthuman::verify(market.chain(), receipt, &Material::default()).await;
    verification.unwrap()
}

/// Sends a call as the node's wallet.
async fn send(market: &TestMarket, call: Call) {
    let node = devnet::account(devnet::NODE);
    market.chain().send(&node, call).await.unwrap();
}

/// Where a consumer's code came or went after the settlement, the digest is where it was put.
async fn attested_in_either_place(ground: &Ground, market: &TestMarket, receipts: &[SignedReceipt]) {
    let [first, last] = receipts else {
        panic!("two turns")
    };
    let bob = Person::Bob.wallet().address();
    let delegated = format!("0xef0100{}", "11".repeat(20));
    rpc(market, "anvil_setCode", json!([bob, delegated])).await;
    let verification = verified(market, last).await;
    assert!(verification.holds(), "{:?}", verification.failure());
    assert_eq!(verification.warnings, Vec::<String>::new());
    rpc(market, "anvil_setCode", json!([bob, "0x"])).await;

    assert!(!verified(market, first).await.holds());
    let name = format!("posthuman.receipt:{}", first.receipt.order);
    let digest = first.digest.to_string().into_bytes().into();
    send(
        market,
        market.chain().nft(ground.root.nft).set_data(&name, digest),
    )
    .await;
    let verification = verified(market, first).await;
    assert!(verification.holds(), "{:?}", verification.failure());
    // Without the consumer's request on the chain; that is said.
    assert!(
        verification.warnings[0].contains("has no code now"),
        "{:?}",
        verification.warnings
    );
}

/// A record that is rewritten to fit another collector is told, and so is the collector.
async fn rewritten_birth(ground: &Ground, market: &TestMarket, receipt: &SignedReceipt) {
    let datatoken = market.chain().datatoken(ground.root.datatoken);
    let born = datatoken.payment_collector().await.unwrap();
    let thief = Person::Derek.wallet().address();
    let nft = market.chain().nft(ground.root.nft);
    let record = nft.data("posthuman.lineage").await.unwrap();
    let rewritten = String::from_utf8(record.to_vec())
        .unwrap()
        .replace(&born.to_string(), &thief.to_string());
    assert_ne!(rewritten.as_bytes(), &record[..]);
    send(
        market,
        nft.set_data("posthuman.lineage", rewritten.into_bytes().into()),
    )
    .await;
    send(market, datatoken.set_payment_collector(thief)).await;
    let verification = verified(market, receipt).await;
    assert!(verification.holds(), "{:?}", verification.failure());
    let [changed, unpaid] = &verification.warnings[..] else {
        panic!("{:?}", verification.warnings)
    };
    assert!(
        changed.contains("was changed after the model's birth"),
        "{changed}"
    );
    assert!(unpaid.contains(&format!("is {thief} and was {born}")), "{unpaid}");
}
