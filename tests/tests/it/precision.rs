//! Jobs in bf16: their receipts name the instructions, and whoever has these gets the same bits.

use e2e::market::{MarketSetup, Person, TestMarket, tiny_child_work};
use e2e::process::Finished;
use e2e::texts;
use posthuman::{Goal, Market, Text};
use posthuman_lm::{Arithmetic, Bf16Set};
use posthuman_types::{Did, EngineName, JobId, Parameters, Precision, TrainParameters};

use crate::ground::{block_on, ground, quiet};

/// The engine of a job in bf16 on this machine.
fn engine() -> String {
    let arithmetic = Arithmetic::Bf16(Bf16Set::best()).name();
    let numerics = "posthuman-lm/2";
    EngineName { numerics, arithmetic }.to_string()
}

#[test]
fn a_model_is_trained_and_scored_in_bf16() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let (did, trained) = train(&market, &bob, &ground.root.did).await;
        let scored = score(&market, &did).await;
        for job in [trained, scored] {
            let data = market.data().to_str().unwrap();
            let again = command(&market, &["verify", &job.to_string(), "--rerun", data]);
            assert_eq!(again.code(), Some(0), "{again:?}");
            assert_eq!(again.stdout.matches("the same bits").count(), 3, "{again:?}");
        }
        market.stop_node().unwrap();
    });
}

/// A child of Alice's root in bf16, which is marked so for everybody.
async fn train(market: &TestMarket, bob: &Market, root: &Did) -> (Did, JobId) {
    let mut work = tiny_child_work(root, "Child").unwrap();
    if let Parameters::Train(train) = &mut work.parameters {
        *train = TrainParameters {
            precision: Precision::Bf16,
            ..train.clone()
        };
    }
    let offer = bob.quote(work, &mut quiet()).await.unwrap();
    let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
    let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
    let job = bob.wait(job.id, Goal::Settled, &mut quiet()).await.unwrap();
    let trained = bob.trained(job).await.unwrap();
    assert_eq!(trained.receipt.receipt.engine, engine());
    assert!(
        trained
            .receipt
            .receipt
            .parameters
            .ends_with(r#""precision":"bf16"}}"#)
    );
    assert_eq!(trained.model.engine, Some(engine()));
    assert_eq!(
        trained.model.architecture.unwrap().precision,
        "f32",
        "the weights are"
    );
    let did = trained.model.did;
    let shown = command(market, &["asset", "show", &did.to_string()]);
    assert!(
        shown.stdout.contains(&format!("{}: trained in bf16", engine())),
        "{shown:?}"
    );
    (did, trained.job.id)
}

async fn score(market: &TestMarket, did: &Did) -> JobId {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, texts::chapter(1).unwrap()).unwrap();
    let text = text.to_str().unwrap();
    let did = did.to_string();
    let scored = command(
        market,
        &[
            "--json",
            "evaluate",
            &did,
            "--text",
            text,
            "--samples",
            "100",
            "--precision",
            "bf16",
        ],
    );
    assert_eq!(scored.code(), Some(0), "{scored:?}");
    let said: serde_json::Value = serde_json::from_str(&scored.stdout).unwrap();
    let bob = market.person(Person::Bob).await.unwrap();
    let job: JobId = said["evaluation"][0]["job"].as_str().unwrap().parse().unwrap();
    bob.wait(job, Goal::Settled, &mut quiet()).await.unwrap();
    assert_eq!(bob.receipt(job).await.unwrap().receipt.engine, engine());

    // In f32 the same text scores nearly the same, and with other bits.
    let bits = said["evaluation"][0]["bits_per_byte"].as_f64().unwrap();
    let wide = bob
        .evaluate(
            &did.parse().unwrap(),
            Text::text(texts::chapter(1).unwrap()),
            texts::scoring(),
            None,
            &mut quiet(),
        )
        .await
        .unwrap();
    assert_eq!(wide.receipt.receipt.engine, "posthuman-lm/2");
    let difference = (wide.output.bits_per_byte - bits).abs();
    assert!(
        difference > 0.0 && difference < 0.02 * bits,
        "{difference} of {bits}"
    );
    job
}

/// Bob's command line.
fn command(market: &TestMarket, arguments: &[&str]) -> Finished {
    market.command(Person::Bob, arguments).unwrap()
}
