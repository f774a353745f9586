//! A model whose weights are in blocks, through the whole market: none of it ever lies open.

use std::path::Path;

use e2e::answers::everything;
use e2e::files::files_under;
use e2e::imported::quantised_gguf;
use e2e::leak::{Windows, of_models};
use e2e::market::{MarketSetup, Person, TestMarket, buy_and_train, tiny_child_work};
use e2e::process::Finished;
use e2e::recorder::{Recorder, Recording};
use e2e::texts;
use posthuman::{Goal, Market, Text};
use posthuman_jobs::vault::{ObjectKind, Vault};
use posthuman_lm::Bundle;
use posthuman_types::api::Asset;
use posthuman_types::{Amount, Did, InferParameters, JobId};

use crate::break_points::wait_for_settlement;
use crate::ground::{block_on, ground, quiet};
use crate::imports::import;
use crate::leak::clean;

/// What the types of the file are to a market: of the blocks the most values are in Q5_1 and Q5_K, the first of which
/// counts.
const PRECISION: &str = "Q5_1";
/// Orders that Bob buys at once: a session and an evaluation.
const ORDERS: u64 = 2;

#[test]
fn a_quantised_model_is_sold_talked_with_scored_and_fine_tuned() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        // The chain forgets nothing, so that what it holds at the end is what it ever held.
        let recorder = Recorder::start(market.data().to_owned(), market.data().join("devnet"));
        let alice = market.person(Person::Alice).await.unwrap();
        let (_folder, file) = quantised_gguf().unwrap();
        let imported = import(&alice, &file).await.unwrap();
        assert_eq!(imported.commitment.scheme, "salted-merkle-keccak256/2");
        let bob = market.person(Person::Bob).await.unwrap();
        let model = bob.asset(&imported.did).await.unwrap();
        described(&model);
        shown(&market, &imported.did, &file);
        bob.buy(&imported.did, Amount::tokens(ORDERS), None, &mut quiet())
            .await
            .unwrap();
        refused_in_bf16(&market, &bob, &ground.root.did, &model).await;
        let turns = talk(&market, &bob, &imported.did).await;
        let scored = score(&bob, &imported.did).await;
        let child = child_of(&market, &bob, &model).await;
        for job in turns.into_iter().chain([scored, child]) {
            runs_again(&market, job);
        }
        nothing_leaked(&market, recorder.finish().unwrap()).await;
        market.stop_node().unwrap();
        let windows = windows(&market);
        for path in files_under(market.data()) {
            clean(
                &windows,
                &std::fs::read(&path).unwrap(),
                &path.display().to_string(),
            );
        }
    });
}

fn described(model: &Asset) {
    let shape = model.architecture.as_ref().unwrap();
    assert_eq!(
        (shape.family.as_str(), shape.precision.as_str()),
        ("llama", PRECISION)
    );
    let details = shape.details.as_ref().unwrap();
    assert!(details.chat_template && details.key_value_heads < shape.heads);
    assert!(details.tensors.iter().any(|share| share.kind == "Q4_K"));
    assert_eq!(model.engine.as_deref(), Some("posthuman-lm/2"));
}

/// The same is told of the file before it is imported and of the model on the market.
fn shown(market: &TestMarket, did: &Did, file: &Path) {
    for source in [did.to_string().as_str(), file.to_str().unwrap()] {
        let shown = command(market, &["model", "show", source]);
        assert_eq!(shown.code(), Some(0), "{shown:?}");
        for words in [
            "llama, 1 layers",
            PRECISION,
            "Q4_K ",
            "BPE with byte fallback, 421 tokens",
            "begins a text with <s> (1); ends one with </s> (2)",
            "yes: it can be talked to",
            "training on 8 x 128 tokens at once",
        ] {
            assert!(
                shown.stdout.contains(words),
                "`{words}` is not in {}",
                shown.stdout
            );
        }
    }
    let listed = command(market, &["model", "list"]);
    assert!(listed.stdout.contains(&did.to_string()), "{listed:?}");
}

/// Nobody pays for what cannot be: the client says so, and so does the node where another client asks.
async fn refused_in_bf16(market: &TestMarket, bob: &Market, root: &Did, model: &Asset) {
    let root = root.to_string();
    let did = model.did.to_string();
    let (folder, text) = (tempfile::tempdir().unwrap(), "text.txt");
    let text = folder.path().join(text);
    std::fs::write(&text, texts::chapter(2).unwrap()).unwrap();
    let text = text.to_str().unwrap();
    let bf16 = ["--precision", "bf16"];
    let commands: [&[&str]; 3] = [
        &["evaluate", &did, "--text", text],
        // Of several models none is paid, though the first can be scored so.
        &["evaluate", &root, "--against", &did, "--text", text],
        &["order", "evaluate", &did, "--text", text],
    ];
    for arguments in commands {
        let refused = command(market, &[arguments, &bf16[..]].concat());
        assert_eq!(refused.code(), Some(3), "{refused:?}");
        assert!(
            refused.stderr.contains("its weights are quantised (Q5_1)"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("nothing was paid"), "{refused:?}");
    }
    let datatoken = bob.chain().datatoken(model.datatoken);
    let holds = datatoken.token().balance_of(bob.address()).await.unwrap();
    assert_eq!(holds, Amount::tokens(ORDERS).0);
}

/// A prompt and a conversation in one session.
async fn talk(market: &TestMarket, bob: &Market, did: &Did) -> [JobId; 2] {
    let mut session = bob.session(did, None, &mut quiet()).await.unwrap();
    let written = session.say("a cat", texts::greedy(), &mut |_| {}).await.unwrap();
    let chat = InferParameters {
        chat: true,
        ..texts::greedy()
    };
    let asked = r#"[{"role": "user", "content": "Hi"}]"#;
    let answered = session.say(asked, chat, &mut |_| {}).await.unwrap();
    let ended = session.close().await.unwrap();
    wait_for_settlement(bob, ended.order.id).await.unwrap();
    for receipt in &ended.receipts {
        let weights = receipt.receipt.commitment_in.as_ref().unwrap();
        assert_eq!(weights.scheme, "salted-merkle-keccak256/2");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.json");
    std::fs::write(&path, serde_json::to_vec(&ended.receipts).unwrap()).unwrap();
    let verified = command(market, &["verify", path.to_str().unwrap()]);
    assert_eq!(verified.code(), Some(0), "{verified:?}");
    [written.job.id, answered.job.id]
}

async fn score(bob: &Market, did: &Did) -> JobId {
    let text = Text::text(texts::chapter(2).unwrap());
    let scored = bob
        .evaluate(did, text, texts::scoring(), None, &mut quiet())
        .await
        .unwrap();
    assert!(scored.output.bits_per_byte > 0.0);
    bob.wait(scored.job.id, Goal::Settled, &mut quiet())
        .await
        .unwrap();
    scored.job.id
}

/// A training makes a model in f32 of it, which keeps its tokenizer and its template.
async fn child_of(market: &TestMarket, bob: &Market, model: &Asset) -> JobId {
    let trained = buy_and_train(bob, tiny_child_work(&model.did, "Child").unwrap())
        .await
        .unwrap();
    let shape = trained.model.architecture.as_ref().unwrap();
    assert_eq!(shape.precision, "f32");
    let details = shape.details.as_ref().unwrap();
    assert!(details.chat_template);
    assert_eq!(details.tensors.len(), 1);
    assert_eq!(trained.model.tokenizer, model.tokenizer);
    let commitment = trained.model.commitment.as_ref().unwrap();
    assert_eq!(commitment.scheme, "salted-merkle-keccak256/1");
    bob.wait(trained.job.id, Goal::Settled, &mut quiet())
        .await
        .unwrap();
    let shown = command(market, &["asset", "show", &trained.model.did.to_string()]);
    assert!(!shown.stdout.contains("trained in bf16"), "{shown:?}");
    trained.job.id
}

/// Whoever holds the weights gets the same bits.
fn runs_again(market: &TestMarket, job: JobId) {
    let data = market.data().to_str().unwrap();
    let again = command(market, &["verify", &job.to_string(), "--rerun", data]);
    // A turn before the last of its session hangs on the chain by the others, which are asked for as well.
    assert_eq!(again.code(), Some(0), "{again:?}");
    assert_eq!(again.stdout.matches("the same bits").count(), 3, "{again:?}");
}

/// Bob's command line.
fn command(market: &TestMarket, arguments: &[&str]) -> Finished {
    market.command(Person::Bob, arguments).unwrap()
}

/// Neither what the folder held in between nor what the node answers holds a piece of a tensor.
async fn nothing_leaked(market: &TestMarket, recording: Recording) {
    let windows = windows(market);
    assert!(recording.looks > 5, "looked {} times only", recording.looks);
    for piece in &recording.pieces {
        clean(&windows, &piece.bytes, &piece.path.display().to_string());
    }
    let wallets = [Person::Alice.wallet(), Person::Bob.wallet()];
    for answer in everything(market.node_url(), &wallets).await.unwrap() {
        clean(&windows, &answer.body, &answer.path);
    }
}

/// The windows of all models of the market, the quantised one and its child among them.
fn windows(market: &TestMarket) -> Windows {
    let master = market.keys().master_key().unwrap();
    let vault = Vault::open_read_only(&market.data().join("vault"), master).unwrap();
    let models = vault.list().unwrap().into_iter();
    let models = models.filter(|facts| facts.kind == ObjectKind::Model);
    let bundles: Vec<Bundle> = models
        .map(|facts| Bundle::from_bytes(&vault.read(facts.object, 1 << 30).unwrap()).unwrap())
        .collect();
    assert_eq!(bundles.len(), 3, "Alice's root, the import, and its child");
    of_models(&bundles).unwrap()
}
