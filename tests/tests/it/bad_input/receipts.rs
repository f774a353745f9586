//! Receipts that somebody changed, and perfect ones by another key.

use std::path::Path;

use e2e::market::{MarketSetup, Person};
use e2e::process::{Finished, posthuman};
use posthuman_proofs::sign_receipt;
use posthuman_types::SignedReceipt;
use serde_json::{Value, json};

use crate::ground::{block_on, ground};

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
