//! Weights that are damaged or useless, and prompts that do not fit: what the worker finds.

use std::path::{Path, PathBuf};

use e2e::imported::hugging_face_folder;
use e2e::market::{MarketSetup, Person, TestMarket, tiny_child_work};
use e2e::{files, texts};
use posthuman::{Goal, Market, MarketError};
use posthuman_types::api::Job;
use posthuman_types::{Amount, Digest, JobState, Operation, OrderId, Parameters, Publication, StartRequest};

use super::raw::{Raw, Start};
use super::work::{pay, until};
use super::{answer, assert_open};
use crate::ground::{Ground, block_on, ground, quiet};

#[test]
fn a_flipped_byte_in_the_vault_fails_the_job_and_not_the_order() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let (offer, order) = pay(&bob, tiny_child_work(&ground.root.did, "Child").unwrap()).await;
        let chunk = weights_chunk(market.data());
        let whole = std::fs::read(&chunk).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        std::fs::write(&chunk, damaged).unwrap();
        let work = tiny_child_work(&ground.root.did, "Child").unwrap();
        answer(bob.quote(work, &mut quiet()).await, "weights_corrupted", 500);
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        let error = bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap_err();
        let MarketError::JobEnded { code, message, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(code, "weights_corrupted");
        assert!(
            message.contains("chunk 0") && message.contains("object"),
            "it names both: {message}"
        );
        assert_open(&bob, order).await;
        // Mended from a backup, the same order pays for it.
        std::fs::write(&chunk, whole).unwrap();
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap();
    });
}

/// The first chunk of the only model in a vault.
fn weights_chunk(data: &Path) -> PathBuf {
    let vault = data.join("vault");
    let manifests = files::files_under(&vault.join("objects"));
    let manifests = manifests
        .iter()
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    let model = manifests
        .into_iter()
        .find(|manifest: &serde_json::Value| manifest["kind"] == "model")
        .unwrap();
    let digest = model["chunks"][0]["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("0x")
        .to_owned();
    vault.join("chunks").join(&digest[..2]).join(&digest)
}

#[test]
fn a_training_whose_loss_is_no_number_fails_and_a_prompt_that_does_not_fit_is_refused() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let folder = loud_model();
        let publication = Publication {
            parent_share_bps: Some(0),
            price: Some(Amount::tokens(1)),
            ..texts::tiny_child("Loud").publication
        };
        let imported = bob
            .import_model(folder.path(), publication, &mut quiet())
            .await
            .unwrap();
        bob.buy(&imported.did, Amount::tokens(1), None, &mut quiet())
            .await
            .unwrap();
        let mut work = tiny_child_work(&imported.did, "Child").unwrap();
        if let Parameters::Train(train) = &mut work.parameters {
            train.sequence = 8;
        }
        let (offer, order) = pay(&bob, work).await;
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        let error = bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap_err();
        let MarketError::JobEnded { code, message, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(code, "loss_not_finite");
        assert!(message.contains("step 1"), "{message}");
        assert_open(&bob, order).await;

        // A prompt longer than the context: refused, with a signed word, and the session goes on.
        let mut session = bob.session(&ground.root.did, None, &mut quiet()).await.unwrap();
        let long = texts::chapter(1).unwrap();
        let error = session
            .say(&long[..4_000], texts::greedy(), &mut |_| {})
            .await
            .unwrap_err();
        assert_eq!(error.code(), "context_exceeded", "{error}");
        refused_with_a_signed_word(&bob, session.order()).await;
        a_prompt_that_is_turned_away_leaves_nothing(&ground, &market, session.order()).await;
        let huge = "Call me Ishmael. ".repeat(5_000);
        let error = session
            .say(&huge, texts::greedy(), &mut |_| {})
            .await
            .unwrap_err();
        assert_eq!(error.code(), "text_too_large", "{error}");
        assert!(error.refusal().is_some());
        let error = session.say("", texts::greedy(), &mut |_| {}).await.unwrap_err();
        assert_eq!(error.code(), "text_empty", "{error}");
        let turn = session
            .say("Call me", texts::greedy(), &mut |_| {})
            .await
            .unwrap();
        assert_eq!(turn.job.turn, 0, "what was refused took no turn");
        session.close().await.unwrap();
    });
}

/// What the worker refused is signed a moment later, and then part of the job.
async fn refused_with_a_signed_word(bob: &Market, order: OrderId) {
    let jobs = bob.jobs(100, 0).await.unwrap().jobs;
    let refused = jobs
        .into_iter()
        .find(|job| job.state == JobState::Refused)
        .unwrap();
    let signed = |job: &Job| {
        job.failure
            .as_ref()
            .is_some_and(|failure| failure.refusal.is_some())
    };
    let refused = until(bob, refused.id, "its signed refusal", signed).await;
    let signed = refused.failure.unwrap().refusal.unwrap();
    assert_eq!(
        (signed.refusal.order, signed.refusal.code.as_str()),
        (order, "context_exceeded")
    );
    let signer = posthuman_proofs::recover_signer(signed.refusal.digest(), &signed.signature).unwrap();
    assert_eq!(signer, bob.info().receipt_signer);
}

async fn a_prompt_that_is_turned_away_leaves_nothing(ground: &Ground, market: &TestMarket, order: OrderId) {
    let bob = market.person(Person::Bob).await.unwrap();
    let wallet = Person::Bob.wallet();
    let sealed = || files::files_under(&market.data().join("vault/objects")).len();
    let before = sealed();
    let start = Start {
        request: StartRequest {
            order,
            datatoken: ground.root.datatoken,
            operation: Operation::Infer,
            input: Digest::repeat_byte(7),
            parameters: Parameters::Infer(texts::greedy()).to_canonical(),
            turn: 0,
            previous: Digest::ZERO,
            nonce: Raw::new(market.node_url()).next_nonce(&wallet).await,
        },
        inputs: Vec::new(),
        prompt: Some("Call me".to_owned()),
    };
    answer(start.send(&bob, &wallet).await, "input_mismatch", 400);
    assert_eq!(sealed(), before, "the prompt stays sealed for nobody");
}

/// Files of a model whose weights are finite, and too large for any sum of them.
fn loud_model() -> tempfile::TempDir {
    let folder = hugging_face_folder(16).unwrap();
    let path = folder.path().join("model.safetensors");
    let mut weights = std::fs::read(&path).unwrap();
    let header = 8 + usize::try_from(u64::from_le_bytes(weights[..8].try_into().unwrap())).unwrap();
    for value in weights[header..].as_chunks_mut::<4>().0 {
        *value = 3e38_f32.to_le_bytes();
    }
    std::fs::write(&path, &weights).unwrap();
    folder
}
