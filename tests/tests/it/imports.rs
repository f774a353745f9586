//! A model that was trained elsewhere, on the market: sold, used, sent twice, refused, and cut off while it is published.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use e2e::imported::{hugging_face_folder, llama_folder};
use e2e::market::{MarketSetup, Person, TestMarket};
use e2e::texts;
use posthuman::{Market, MarketError};
use posthuman_store::Store;
use posthuman_types::api::ImportedModel;
use posthuman_types::{Amount, Did, InferParameters, Publication, SignedPublication};

use crate::bad_input::answer;
use crate::break_points::audit::{self, same};
use crate::break_points::{Play, Purse, in_lanes};
use crate::ground::{Ground, block_on, ground, quiet};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// Data NFTs of the ground: three operations, the blank model and a root.
const NFTS: usize = 5;

/// The transactions that put an imported model on the market, by the ends of their keys in the outbox.
const BIRTH: [&str; 8] = [
    "commitment",
    "create",
    "lineage",
    "metadata",
    "mint:0",
    "node",
    "publication",
    "remove_minter",
];

/// Where the node dies while it publishes an import; `@N` is the Nth time that it comes by.
const PLACES: &[&str] = &[
    "publish.collector",
    "outbox.broadcast",
    "publish.exchange",
    "publish.mint",
    "publish.minter",
    "outbox.recorded@7",
    "publish.lineage",
    "publish.metadata",
];

#[test]
fn an_imported_model_is_sold_and_used() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        let folder = hugging_face_folder(32).unwrap();
        let imported = import(&alice, folder.path()).await.unwrap();
        born(&market, &alice, &imported).await.unwrap();
        let again = import(&alice, folder.path()).await.unwrap();
        assert_eq!(again, imported, "the same import is the same model");
        assert_eq!(audit::nfts(&market).await.unwrap(), NFTS + 1);

        let bob = market.person(Person::Bob).await.unwrap();
        let datatoken = bob.asset(&imported.did).await.unwrap().datatoken;
        let before = Purse::of(&market, Person::Alice, datatoken).await.unwrap();
        bob.buy(&imported.did, Amount::tokens(1), None, &mut quiet())
            .await
            .unwrap();
        alice.collect(&imported.did, &mut quiet()).await.unwrap();
        let after = Purse::of(&market, Person::Alice, datatoken).await.unwrap();
        let sold = Purse {
            ocean: before.ocean + Amount::tokens(1).0,
            ..before
        };
        assert_eq!(after, sold, "Alice is paid, and keeps what she was born with");
        let mut session = bob.session(&imported.did, None, &mut quiet()).await.unwrap();
        let turn = session
            .say("Call me", texts::greedy(), &mut |_| {})
            .await
            .unwrap();
        assert!(!turn.text.is_empty());
        session.close().await.unwrap();

        market.stop_node().unwrap();
        stated(&market, &alice, &imported).await.unwrap();
    });
}

#[test]
fn a_llama_is_talked_with_and_a_gguf_file_is_used() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        let folder = llama_folder(64).unwrap();
        let llama = import(&alice, folder.path()).await.unwrap();
        let asset = alice.asset(&llama.did).await.unwrap();
        assert_eq!(asset.architecture.unwrap().family, "llama");
        let bob = market.person(Person::Bob).await.unwrap();
        talk(&bob, &llama.did).await;

        let gguf = import(&alice, Path::new(GGUF)).await.unwrap();
        assert_eq!(audit::nfts(&market).await.unwrap(), NFTS + 2);
        bob.buy(&gguf.did, Amount::tokens(1), None, &mut quiet())
            .await
            .unwrap();
        let mut session = bob.session(&gguf.did, None, &mut quiet()).await.unwrap();
        session.say("a", texts::greedy(), &mut |_| {}).await.unwrap();
        session.close().await.unwrap();
        let mut session = bob.session(&ground.root.did, None, &mut quiet()).await.unwrap();
        let refused = session.say("[]", chatting(), &mut |_| {}).await.unwrap_err();
        assert!(refused.to_string().contains("no chat template"), "{refused}");

        let broken = folder.path().join("broken.gguf");
        fs::write(&broken, b"GGUF\x03\0\0\0").unwrap();
        let refused = import(&alice, &broken).await;
        assert!(
            answer(refused, "model_invalid", 400)
                .message
                .contains("breaks off")
        );
        market.stop_node().unwrap();
    });
}

/// A file of the engine's tests, made by another program.
const GGUF: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/lm/tests/fixtures/gguf/llama_tiny.gguf"
);

fn chatting() -> InferParameters {
    InferParameters {
        chat: true,
        ..texts::greedy()
    }
}

/// A conversation is written by the model's own template; what is none is refused, and costs nothing.
async fn talk(bob: &Market, did: &Did) {
    bob.buy(did, Amount::tokens(1), None, &mut quiet()).await.unwrap();
    let mut session = bob.session(did, None, &mut quiet()).await.unwrap();
    let left = session.tokens_left();
    let refused = session
        .say("Who hunts the whale?", chatting(), &mut |_| {})
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("no conversation"), "{refused}");
    assert_eq!(session.tokens_left(), left);
    let asked = r#"[{"role": "user", "content": "Hi"}]"#;
    let answered = session.say(asked, chatting(), &mut |_| {}).await.unwrap();
    let written = session
        .say("user: Hi\nassistant:", texts::greedy(), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(
        answered.text, written.text,
        "the template writes what one could have written"
    );
    session.close().await.unwrap();
}

#[test]
fn files_that_are_no_model_are_refused_and_nothing_is_published() {
    let ground = ground();
    block_on(async {
        let mut market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        let folder = hugging_face_folder(32).unwrap();
        for (name, bytes, code, said) in wrong_files(folder.path()) {
            let path = folder.path().join(name);
            let right = fs::read(&path).unwrap();
            fs::write(&path, &bytes).unwrap();
            let refused = import(&alice, folder.path()).await;
            let message = answer(refused, code, 400).message;
            assert!(message.contains(said), "{said}: {message}");
            fs::write(&path, right).unwrap();
        }
        fs::remove_file(folder.path().join(TOKENIZER)).unwrap();
        let error = import(&alice, folder.path()).await.unwrap_err();
        assert!(error.to_string().contains(TOKENIZER), "{error}");
        let unpriced = texts::tiny_child("Imported").publication;
        let error = alice.import_model(folder.path(), unpriced, &mut quiet()).await;
        assert!(matches!(error, Err(MarketError::Input(_))), "{error:?}");

        assert_eq!(audit::nfts(&market).await.unwrap(), NFTS);
        market.stop_node().unwrap();
        audit::outbox(&market, &[]).await.unwrap();
        audit::vault(market.data()).await.unwrap();
    });
}

/// Files for a folder, each wrong in its own way: the name, the bytes, the code of the answer, and a part of its words.
fn wrong_files(folder: &Path) -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let whole = |name: &str| fs::read(folder.join(name)).unwrap();
    let mut truncated = whole(WEIGHTS);
    truncated.truncate(truncated.len() - 4);
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00.".to_vec();
    pickle.extend_from_slice(&[0; 256]);
    let config = String::from_utf8(whole(CONFIG)).unwrap();
    let other = |from: &str, to: &str| {
        let changed = config.replace(from, to);
        assert_ne!(changed, config, "{from} is in config.json");
        changed.into_bytes()
    };
    let heads = other("\"n_head\":2", "\"n_head\":3");
    let width = other("\"n_embd\":16", "\"n_embd\":32");
    let family = other("\"gpt2\"", "\"t5\"");
    let keys = other("\"gpt2\"", "\"llama\"");
    let half = config.as_bytes()[..40].to_vec();
    let invalid = "model_invalid";
    vec![
        (WEIGHTS, pickle, invalid, "is a pickle"),
        (WEIGHTS, vec![0x5a; 4_096], invalid, "safetensors"),
        (WEIGHTS, truncated, invalid, "safetensors"),
        (WEIGHTS, Vec::new(), "text_empty", WEIGHTS),
        (CONFIG, heads, invalid, "`n_head`"),
        (CONFIG, width, invalid, "tensor `"),
        (CONFIG, family, invalid, "`model_type`"),
        (CONFIG, keys, invalid, "`hidden_size`"),
        (CONFIG, half, invalid, CONFIG),
        (TOKENIZER, b"{}".to_vec(), invalid, "tokenizer"),
    ]
}

#[test]
fn an_import_that_is_cut_off_is_published_once() {
    let ground = ground();
    in_lanes(PLACES, |place| block_on(cut_off(&ground, place)));
}

async fn cut_off(ground: &Ground, place: &str) -> anyhow::Result<()> {
    let mut play = Play::begin(ground, Some(place), Person::Alice).await?;
    let folder = hugging_face_folder(32)?;
    let imported = play
        .step(async |alice| Ok(import(&alice, folder.path()).await?))
        .await?;
    play.outlive_death().await?;
    let alice = play.person().await?;
    born(&play.market, &alice, &imported).await?;
    same("data NFTs", audit::nfts(&play.market).await?, NFTS + 1)?;
    play.market.stop_node()?;
    stated(&play.market, &alice, &imported).await
}

pub(crate) async fn import(person: &Market, folder: &Path) -> Result<ImportedModel, MarketError> {
    person.import_model(folder, publication(), &mut quiet()).await
}

fn publication() -> Publication {
    Publication {
        parent_share_bps: Some(2_000),
        price: Some(Amount::tokens(1)),
        ..texts::tiny_child("Imported").publication
    }
}

/// What chain and node say of a model that Alice imported and nobody bought.
async fn born(market: &TestMarket, node: &Market, imported: &ImportedModel) -> anyhow::Result<()> {
    let chain = market.chain();
    let alice = Person::Alice.wallet().address();
    let asset = node.asset(&imported.did).await?;
    same("publication", asset.publication, Some(imported.publication))?;
    same("commitment", asset.commitment, Some(imported.commitment.clone()))?;
    same("trainer", asset.trainer, Some(alice))?;
    same("origin", (asset.receipt, asset.parent), (None, None))?;

    let nft = chain.nft(asset.nft);
    same("owner", nft.owner().await?, node.info().wallet)?;
    let kept = nft.data("posthuman.publication").await?;
    let kept = std::str::from_utf8(&kept)?;
    same(
        "digest in the store of the data NFT",
        kept,
        &imported.publication.to_string(),
    )?;

    let datatoken = chain.datatoken(asset.datatoken);
    let supply = datatoken.token().total_supply().await?;
    same("total supply", supply, Amount::tokens(100).0)?;
    same(
        "datatokens of Alice",
        datatoken.token().balance_of(alice).await?,
        supply,
    )?;
    same("collector", datatoken.payment_collector().await?, alice)?;
    let node_mints = datatoken.roles(node.info().wallet).await?.minter;
    same("whether the node can still mint", node_mints, false)?;

    same("places that sell it", asset.prices.len(), 1)?;
    let price = &asset.prices[0];
    same(
        "the price",
        (price.price, price.active, price.resale),
        (Amount::tokens(1), true, false),
    )
}

/// The signed statement of the import, and its transactions. The node must be stopped.
async fn stated(market: &TestMarket, node: &Market, imported: &ImportedModel) -> anyhow::Result<()> {
    let store = Store::open(market.data().join("market.sqlite")).await?;
    let mut reader = store.read().await?;
    let row = reader.publication_of_asset(&imported.did).await?;
    let rows = reader.transactions_under("import:").await?;
    let unpublished = reader.unpublished_imports().await?;
    drop(reader);
    store.close().await;

    let row = row.context("no statement is kept")?;
    let signed: SignedPublication = serde_json::from_str(&row.statement)?;
    posthuman_proofs::check_publication(&signed, node.info().receipt_signer)?;
    let statement = &signed.statement;
    same(
        "digest of the statement",
        statement.digest(),
        imported.publication,
    )?;
    same("author", statement.author, Person::Alice.wallet().address())?;
    same("stated weights", &statement.commitment, &imported.commitment)?;

    same("imports that wait", unpublished.len(), 0)?;
    let ends: Vec<_> = rows
        .iter()
        .filter_map(|row| row.key.splitn(3, ':').nth(2))
        .collect();
    same("number of transactions", ends.len(), BIRTH.len())?;
    same("transactions", BTreeSet::from_iter(ends), BTreeSet::from(BIRTH))?;
    audit::outbox(market, &[]).await?;
    audit::vault(market.data()).await
}
