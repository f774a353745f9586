//! Whether database, vault and chain are as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use e2e::files::files_under;
use e2e::keys::Keys;
use e2e::market::{Person, TestMarket};
use posthuman::verify::Material;
use posthuman_chain::bindings::{IDatatoken, INft};
use posthuman_chain::{Event, EventQuery};
use posthuman_jobs::vault::{ObjectKind, Vault};
use posthuman_store::{Store, TransactionState};
use posthuman_types::api::{AssetKind, Job, OrderState};
use posthuman_types::{Address, Amount, Did, JobState, OrderId, U256};

/// The transactions of a child's birth, by the ends of their keys in the outbox: each exactly once.
const BIRTH: [&str; 10] = [
    "commitment",
    "create",
    "lineage",
    "metadata",
    "mint:0",
    "mint:1",
    "node",
    "remove_minter",
    "renounce",
    "splitter",
];

/// Names what differs.
pub fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> anyhow::Result<()> {
    ensure!(
        found == expected,
        "{what}: found {found:?}, expected {expected:?}"
    );
    Ok(())
}

/// The rows of one order whose job is done, and of everything that must be done by now. The node must be stopped.
pub async fn database(data: &Path, job: &Job) -> anyhow::Result<()> {
    let store = Store::open(data.join("market.sqlite")).await?;
    let mut reader = store.read().await?;
    let jobs = reader.jobs_of_order(job.order).await?;
    same(
        "jobs of the order",
        jobs.iter().map(|job| job.id).collect::<Vec<_>>(),
        vec![job.id],
    )?;
    let row = &jobs[0];
    same("state of the job", row.state, JobState::Settled)?;
    same(
        "lease of the job",
        (&row.worker, row.lease_expires_at),
        (&None, None),
    )?;
    same("checkpoint of the job", row.checkpoint, None)?;
    let order = reader.order(job.order).await?.context("no such order")?;
    same("state of the order", order.state, OrderState::Used)?;
    let receipts = reader.receipts_of_order(job.order).await?;
    same("receipts of the order", receipts.len(), 1)?;
    same("settlement", receipts[0].settled_transaction, job.settlement)?;
    let models = reader.models().await?;
    ensure!(
        models.iter().all(|model| model.did.is_some()),
        "a model is not published: {models:?}"
    );
    let assets: BTreeSet<_> = reader
        .assets_of_kind(AssetKind::Model)
        .await?
        .into_iter()
        .map(|asset| asset.did)
        .collect();
    same(
        "models in the index",
        assets,
        models.into_iter().filter_map(|model| model.did).collect(),
    )?;
    drop(reader);
    store.close().await;
    Ok(())
}

/// The outbox and the wallet's nonces: everything mined, nothing twice, no gap. The node must be stopped.
pub async fn outbox(market: &TestMarket, births: &[&Job]) -> anyhow::Result<()> {
    let store = Store::open(market.data().join("market.sqlite")).await?;
    let rows = store.read().await?.transactions_under("").await?;
    store.close().await;
    let unfinished: Vec<_> = rows
        .iter()
        .filter(|row| row.state != TransactionState::Mined)
        .map(|row| &row.key)
        .collect();
    ensure!(
        unfinished.is_empty(),
        "transactions that are not mined: {unfinished:?}"
    );
    let mined = market
        .chain()
        .mined_transaction_count(posthuman_chain::devnet::account(posthuman_chain::devnet::NODE).address())
        .await?;
    let nonces: Vec<_> = rows.iter().map(|row| row.nonce).collect();
    same("nonces of the node", nonces, (0..mined).collect())?;
    for job in births {
        let prefix = format!("publish:{}:", job.id);
        let keys: BTreeSet<_> = rows
            .iter()
            .filter_map(|row| row.key.strip_prefix(&prefix))
            .collect();
        same("transactions of the birth", keys, BTreeSet::from(BIRTH))?;
    }
    Ok(())
}

/// The vault: exactly the objects that the database names, each whole, and no file besides. The node must be stopped.
pub async fn vault(data: &Path) -> anyhow::Result<()> {
    let store = Store::open(data.join("market.sqlite")).await?;
    let used = store.read().await?.used_objects().await?;
    store.close().await;
    let folder = data.join("vault");
    let vault = Vault::open_read_only(&folder, Keys::of(data).master_key()?)?;
    same("pending objects", vault.pending()?, vec![])?;
    let objects = vault.list()?;
    for object in &objects {
        vault
            .verify(object.object)
            .with_context(|| format!("{object:?}"))?;
    }
    let sealed = objects
        .iter()
        .filter(|object| object.kind != ObjectKind::Secret)
        .map(|object| object.object);
    same("objects of the vault", sealed.collect::<BTreeSet<_>>(), used)?;
    let mut named = BTreeSet::new();
    for path in files_under(&folder.join("objects")) {
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        for chunk in manifest["chunks"]
            .as_array()
            .context("a manifest names no chunks")?
        {
            let digest = chunk["digest"].as_str().context("a chunk has no digest")?;
            named.insert(digest.trim_start_matches("0x").to_owned());
        }
    }
    let chunks = files_under(&folder.join("chunks"));
    let chunks = chunks
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    same("chunks of the vault", chunks.collect::<BTreeSet<_>>(), named)?;
    same("unfinished files", files_under(&folder.join("pending")), vec![])
}

/// What the chain says of a child of the root: made once, minted exactly, out of the node's hands, attested once.
pub async fn child(
    market: &TestMarket,
    node: &posthuman::Market,
    root: &Did,
    job: &Job,
) -> anyhow::Result<()> {
    let chain = market.chain();
    let did = job.published.as_ref().context("the job published nothing")?;
    let lineage = node.lineage(root).await?;
    let children: Vec<_> = lineage.children.iter().map(|child| &child.did).collect();
    same("children of the root", children, vec![did])?;
    let asset = node.asset(did).await?;
    let wallet = node.info().wallet;
    same("owner of the child", chain.nft(asset.nft).owner().await?, wallet)?;
    same(
        "datatokens of the child",
        chain.nft(asset.nft).datatokens().await?,
        vec![asset.datatoken],
    )?;
    let (bob, alice) = (Person::Bob.wallet().address(), Person::Alice.wallet().address());
    let events = events_of(market, vec![asset.nft, asset.datatoken]).await?;
    let mut births = BTreeMap::new();
    let (mut created, mut updated, mut minters) = (0, 0, 0);
    for event in events {
        match event {
            Event::Transfer(transfer) if transfer.from == Address::ZERO => {
                let twice = births.insert(transfer.to, Amount(transfer.value));
                ensure!(twice.is_none(), "{} was minted to twice", transfer.to);
            }
            Event::MetadataCreated(INft::MetadataCreated { .. }) => created += 1,
            Event::MetadataUpdated(_) => updated += 1,
            Event::AddedMinter(IDatatoken::AddedMinter { .. }) => minters += 1,
            Event::RemovedMinter(_) => minters -= 1,
            _ => {}
        }
    }
    same(
        "birth mint",
        births,
        BTreeMap::from([(bob, Amount::tokens(80)), (alice, Amount::tokens(20))]),
    )?;
    same(
        "total supply",
        chain.token(asset.datatoken).total_supply().await?,
        Amount::tokens(100).0,
    )?;
    same("metadata made and changed", (created, updated), (1, 0))?;
    let datatoken = chain.datatoken(asset.datatoken);
    ensure!(
        minters <= 0 && !datatoken.roles(wallet).await?.minter,
        "the node can still mint"
    );
    let splitter = chain.splitter(datatoken.payment_collector().await?);
    ensure!(splitter.is_renounced().await?, "the Splitter has an owner");
    let payees: BTreeMap<_, _> = splitter.payees().await?.into_iter().collect();
    same(
        "payees",
        payees,
        BTreeMap::from([(bob, U256::from(8_000)), (alice, U256::from(2_000))]),
    )?;
    attested_once(market, node, job).await
}

/// One order, one attestation of one receipt, which holds.
pub async fn attested_once(market: &TestMarket, node: &posthuman::Market, job: &Job) -> anyhow::Result<()> {
    let OrderId { transaction, .. } = job.order;
    let chain = market.chain();
    let order = chain
        .order(&job.order)
        .await?
        .context("the chain has no such order")?;
    let executions = chain
        .datatoken(order.datatoken)
        .executions(transaction, 0)
        .await?;
    same("attestations of the order", executions.len(), 1)?;
    same("its transaction", Some(executions[0].transaction), job.settlement)?;
    let receipt = node.receipt(job.id).await?;
    let verification = posthuman::verify(chain, &receipt, &Material::default()).await?;
    ensure!(
        verification.holds(),
        "the receipt does not hold: {:?}",
        verification.failure()
    );
    Ok(())
}

/// Data NFTs of the market: those of the node's own assets, the root, and the children.
pub async fn nfts(market: &TestMarket) -> anyhow::Result<usize> {
    let events = events_of(market, Vec::new()).await?;
    Ok(events
        .iter()
        .filter(|event| matches!(event, Event::NftCreated(_)))
        .count())
}

async fn events_of(market: &TestMarket, contracts: Vec<Address>) -> anyhow::Result<Vec<Event>> {
    let newest = market.chain().block_number().await?;
    let query = EventQuery {
        contracts,
        topics: Vec::new(),
    };
    let records = market.chain().events(&query, 0, newest).await?;
    Ok(records.into_iter().map(|record| record.event).collect())
}
