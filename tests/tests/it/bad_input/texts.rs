//! Texts and parameters that are refused before anything is paid.

use e2e::market::{MarketSetup, Person, tiny_child_work, tiny_root_work};
use e2e::texts;
use posthuman::{Market, Text, Work};
use posthuman_types::api::{InputReference, QuoteRequest};
use posthuman_types::{Amount, Architecture, Operation, Parameters, TrainParameters};

use super::raw::Raw;
use super::{Change, answer};
use crate::break_points::Purse;
use crate::ground::{block_on, ground, quiet};

#[test]
fn texts_and_parameters_are_checked_before_anything_is_paid() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let before = Purse::of(&market, Person::Bob, ground.root.datatoken)
            .await
            .unwrap();
        let good = tiny_child_work(&ground.root.did, "Child").unwrap();
        texts_of(&bob, &good).await;
        parameters_of(&bob, &good).await;
        roots(&bob).await;
        raw_parameters(&bob, &good).await;
        let after = Purse::of(&market, Person::Bob, ground.root.datatoken)
            .await
            .unwrap();
        assert_eq!(after, before);
        bob.quote(good, &mut quiet()).await.unwrap();
    });
}

async fn texts_of(bob: &Market, good: &Work) {
    let cases: [(&[u8], u16, &str); 5] = [
        (b"", 400, "text_empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", 400, "text_binary"),
        (b"Call me \xff\xfe Ishmael, some years ago", 400, "text_not_utf8"),
        (b"   \n\t  ", 400, "text_empty"),
        (b"Call me Ishmael.", 400, "text_too_short"),
    ];
    for (bytes, status, code) in cases {
        let work = Work {
            texts: vec![Text {
                name: "text",
                bytes: bytes.to_vec().into(),
            }],
            ..good.clone()
        };
        answer(bob.quote(work, &mut quiet()).await, code, status);
    }
    let none = Work {
        texts: Vec::new(),
        ..good.clone()
    };
    answer(bob.quote(none, &mut quiet()).await, "text_missing", 400);
}

async fn parameters_of(bob: &Market, good: &Work) {
    let architecture = Architecture {
        layers: 1,
        heads: 2,
        width: 16,
        context: 32,
        vocabulary: 300,
    };
    let change: [(&str, u16, &str, Change<TrainParameters>); 5] = [
        (
            "longer than the model's context",
            400,
            "context_exceeded",
            &|train| train.sequence = 33,
        ),
        ("over the allowance", 402, "allowance_exceeded", &|train| {
            train.steps = 1_000_000
        }),
        (
            "a share below the parent's",
            400,
            "parameters_invalid",
            &|train| {
                train.publication.parent_share_bps = Some(1_999);
            },
        ),
        ("a price on a child", 400, "parameters_invalid", &|train| {
            train.publication.price = Some(Amount::tokens(1))
        }),
        ("a shape on a child", 400, "parameters_invalid", &|train| {
            train.architecture = Some(architecture.clone())
        }),
    ];
    for (what, status, code, change) in change {
        let mut train = texts::tiny_child("Child");
        change(&mut train);
        let work = Work {
            parameters: Parameters::Train(train),
            ..good.clone()
        };
        let result = bob.quote(work, &mut quiet()).await;
        assert!(result.is_err(), "{what}");
        answer(result, code, status);
    }
}

async fn roots(bob: &Market) {
    let change: [Change<TrainParameters>; 4] = [
        &|train| train.architecture = None,
        &|train| train.publication.parent_share_bps = None,
        &|train| train.publication.price = None,
        &|train| {
            train.architecture = Some(Architecture {
                layers: 100,
                heads: 2,
                width: 4_096,
                context: 32,
                vocabulary: 300,
            });
        },
    ];
    for change in change {
        let mut work = tiny_root_work(&bob.info().blank, "Root").unwrap();
        let mut train = texts::tiny_root("Root");
        change(&mut train);
        work.parameters = Parameters::Train(train);
        answer(bob.quote(work, &mut quiet()).await, "parameters_invalid", 400);
    }
    let session = bob.session(&bob.info().blank, None, &mut quiet()).await;
    answer(session, "asset_not_found", 404);
}

/// What the client library would not send.
async fn raw_parameters(bob: &Market, good: &Work) {
    let raw = Raw::signed_in(bob, &Person::Bob.wallet()).await;
    let upload = raw.upload(&good.texts[0].bytes).await.parse().unwrap();
    let canonical = good.parameters.to_canonical();
    let request = QuoteRequest {
        did: good.did.clone(),
        operation: Operation::Train,
        consumer: bob.address(),
        inputs: vec![InputReference {
            name: "text".to_owned(),
            upload,
        }],
        parameters: canonical.clone(),
    };
    for parameters in [
        "{}".to_owned(),
        String::new(),
        canonical.replace(":0.001,", ": 0.001,"),
        canonical.replace(":0.001,", ":0.0010,"),
        canonical.replace("\"learning_rate\":0.001", "\"learning_rate\":1e999"),
        canonical.replace("\"learning_rate\":0.001", "\"learning_rate\":-1.0"),
        canonical.replace("\"seed\"", "\"speed\""),
        Parameters::Evaluate(texts::scoring()).to_canonical(),
    ] {
        assert_ne!(parameters, canonical);
        let result = bob
            .node()
            .quote(&QuoteRequest {
                parameters,
                ..request.clone()
            })
            .await;
        answer(result, "parameters_invalid", 400);
    }
    let twice = vec![request.inputs[0].clone(), request.inputs[0].clone()];
    answer(
        bob.node()
            .quote(&QuoteRequest {
                inputs: twice,
                ..request.clone()
            })
            .await,
        "parameters_invalid",
        400,
    );
    let consumer = Person::Alice.wallet().address();
    answer(
        bob.node()
            .quote(&QuoteRequest {
                consumer,
                ..request.clone()
            })
            .await,
        "not_the_consumer",
        401,
    );
    bob.node().quote(&request).await.unwrap();
}
