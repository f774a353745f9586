//! The chain alone, read with another tool (viem with Ocean's own ABIs), confirms lineage, rewards, orders and receipts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use e2e::files::{contracts, repository};
use e2e::played::Played;
use posthuman::NodeClient;
use posthuman_types::{Address, Amount, JobId, SignedReceipt, U256};
use serde_json::Value;

use crate::story::{amounts, list, text};

/// The share of the line, in basis points.
const SHARE_BPS: u64 = 2_000;
/// One of so many units of a provider fee goes to the community on a devnet.
const FEE_DIVISOR: u64 = 1_000;
const ZERO: &str = "0x0000000000000000000000000000000000000000";

/// Everything that the chain should say.
pub(crate) fn confirms(played: &Played) {
    let chain = read(&played.said);
    assert_eq!(chain["chain_id"], 8996);
    for index in 0..3 {
        model(&played.said, &chain, index);
    }
    holdings(&played.said, &chain);
    orders(&played.said, &chain);
}

/// Runs the other tool.
fn read(said: &Value) -> Value {
    let reader = repository().join("tests/reader");
    assert!(
        reader.join("node_modules/viem").is_dir(),
        "viem is not installed: run `make reader`, as `make test` does"
    );
    let output = Command::new("node")
        .arg(reader.join("read.mjs"))
        .args([text(said, "/devnet/rpc"), text(said, "/devnet/address_file")])
        .arg(contracts().join("node_modules/@oceanprotocol/contracts/artifacts/contracts"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn model(said: &Value, chain: &Value, index: usize) {
    let models = list(&said["models"]);
    let (told, name) = (&models[index], text(&models[index], "/name"));
    let nft = nft_of(chain, told);
    let node = text(said, "/node/address");
    assert_eq!(text(nft, "/did"), text(told, "/did"), "{name}");
    assert_eq!(
        (text(nft, "/owner"), &nft["owners"]),
        (node, &serde_json::json!([node])),
        "{name}: its NFT moved"
    );
    lineage(said, nft, index);
    identity(chain, nft, node);
    let metadata = list(&nft["metadata"]);
    assert_eq!(metadata.len(), 1, "{name}: published once");
    let ddo: Value = serde_json::from_str(text(&metadata[0], "/text")).unwrap();
    assert_eq!(
        (&ddo["id"], &ddo["nftAddress"]),
        (&told["did"], &told["nft"]),
        "{name}"
    );
    rewards(told, chain, nft, index);
}

/// The ERC-725Y store names parent, trainer, job and receipt.
fn lineage(said: &Value, nft: &Value, index: usize) {
    let models = list(&said["models"]);
    let told = &models[index];
    let record: Value = serde_json::from_str(stored(nft, "posthuman.lineage")).unwrap();
    assert_eq!(record["commitment"]["root"], told["commitment"]);
    assert_eq!(record["parent_share_bps"], SHARE_BPS);
    assert_eq!(record["collector"], told["collector"]);
    assert_eq!(record["trainer"], told["author"]);
    assert_eq!(record["root"], models[0]["did"]);
    assert_eq!(record["generation"], index);
    assert_eq!(record["origin"]["trained"]["receipt"], told["receipt"]);
    assert_eq!(
        record["origin"]["trained"]["job"],
        list(&said["orders"])[index]["job_id"]
    );
    match index.checked_sub(1).map(|parent| &models[parent]) {
        None => assert!(record["parent"].is_null()),
        Some(parent) => {
            assert_eq!(
                (&record["parent"]["did"], &record["parent"]["nft"]),
                (&parent["did"], &parent["nft"])
            );
            assert_eq!(record["parent"]["commitment"]["root"], parent["commitment"]);
        }
    }
    let commitment = stored(nft, "posthuman.commitment");
    assert_eq!(commitment.rsplit(':').next(), told["commitment"].as_str());
}

/// The model names a node, whose own NFT is the node's and names a receipt signer.
fn identity(chain: &Value, nft: &Value, node: &str) {
    let identity = stored(nft, "posthuman.node");
    let found = list(&chain["nfts"]).iter().find(|nft| nft["address"] == identity);
    let found = found.unwrap_or_else(|| panic!("no data NFT {identity}"));
    assert_eq!(text(found, "/owner"), node);
    let signer: Address = stored(found, "posthuman.receipt_signer").parse().unwrap();
    assert_ne!(signer.to_string(), node, "receipts are not signed by the wallet");
}

/// Birth mint, minters, collector and its shares.
fn rewards(told: &Value, chain: &Value, nft: &Value, index: usize) {
    let name = text(told, "/name");
    let datatoken = only(&nft["datatokens"]);
    assert_eq!(datatoken["address"], told["datatoken"], "{name}");
    let births = list(&datatoken["births"]);
    let birth = amounts(&told["initial_supply"]);
    let (first, later) = births.split_at(birth.len().min(births.len()));
    let minted: BTreeMap<Address, U256> = first
        .iter()
        .map(|birth| (text(birth, "/to").parse().unwrap(), units(&birth["value"])))
        .collect();
    assert_eq!(minted, birth, "{name}: the first moves of its datatoken");
    let minters: Vec<&str> = list(&datatoken["minters"])
        .iter()
        .map(|minter| minter.as_str().unwrap())
        .collect();
    if index == 0 {
        // A root is sold by an exchange that mints what it sells: here to Bob, and two to Elena.
        assert_eq!(
            minters.len(),
            1,
            "{name}: only its exchange mints, not {minters:?}"
        );
        let nodes = list(&chain["nfts"]).iter().map(|nft| text(nft, "/owner"));
        assert!(
            !nodes.collect::<BTreeSet<_>>().contains(minters[0]),
            "{name}: the node can mint"
        );
        let sold = later
            .iter()
            .fold(U256::ZERO, |sum, birth| sum + units(&birth["value"]));
        assert_eq!(sold, Amount::tokens(3).0, "{name}");
    } else {
        assert!(
            minters.is_empty() && later.is_empty(),
            "{name}: minted again by {minters:?}: {later:?}"
        );
    }
    assert_eq!(datatoken["collector"], told["collector"], "{name}");
    assert_eq!(
        list(&datatoken["collectors"]),
        [told["collector"].clone()],
        "{name}: its collector was changed"
    );
    match index {
        0 => assert!(datatoken["splitter"].is_null(), "a root pays its trainer"),
        _ => {
            let splitter = &datatoken["splitter"];
            assert_eq!(splitter["owner"], ZERO, "{name}: somebody can change the shares");
            let total = units(&splitter["total"]);
            let shares: BTreeMap<Address, U256> = amounts(&splitter["shares"])
                .into_iter()
                .map(|(payee, share)| (payee, share * U256::from(10_000) / total))
                .collect();
            let said: BTreeMap<Address, u64> = serde_json::from_value(told["shares_bps"].clone()).unwrap();
            let said: BTreeMap<Address, U256> = said
                .into_iter()
                .map(|(who, share)| (who, U256::from(share)))
                .collect();
            assert_eq!(shares, said, "{name}");
        }
    }
}

/// What holders sold and gave away, what buyers spent, and who was paid for a resale.
fn holdings(said: &Value, chain: &Value) {
    let address = |who: &str| text(&said["wallets"], &format!("/{who}"));
    let token = |index: usize| only(&nft_of(chain, &list(&said["models"])[index])["datatokens"]);
    let moved = |moves: &Value, from: &str, to: Option<&str>| {
        let fits = |entry: &&Value| entry["from"] == from && to.is_none_or(|to| entry["to"] == to);
        list(moves)
            .iter()
            .filter(fits)
            .fold(U256::ZERO, |sum, entry| sum + units(&entry["value"]))
    };
    // Bob sold four of M2; Charlie gave Derek one of M3 and sold two. Nobody else parted with anything.
    let gone = [
        (0, "alice", 0),
        (1, "alice", 0),
        (1, "bob", 4),
        (2, "alice", 0),
        (2, "bob", 0),
        (2, "charlie", 3),
    ];
    for (index, who, amount) in gone {
        let (left, token) = (moved(&token(index)["moves"], address(who), None), token(index));
        assert_eq!(
            left,
            Amount::tokens(amount).0,
            "what {who} parted with of {}",
            token["address"]
        );
    }
    for (index, who) in [
        (0, "bob"),
        (0, "elena"),
        (1, "charlie"),
        (1, "elena"),
        (2, "derek"),
        (2, "elena"),
    ] {
        let left = amounts(&token(index)["balances"])[&address(who).parse::<Address>().unwrap()];
        assert!(
            left.is_zero(),
            "{who} bought to order, and still has {left} units of M{}",
            index + 1
        );
    }
    // Charlie paid Bob for M2, and a fifth of it went to Alice, whose model M2 was made from.
    let collector = text(token(1), "/collector");
    let [alice, bob] = ["alice", "bob"].map(|who| moved(&chain["ocean"], collector, Some(address(who))));
    assert!(
        !alice.is_zero() && bob.abs_diff(alice * U256::from(4)) < U256::from(10),
        "{alice} and {bob}"
    );
}

/// Each order of the story is on the chain, paid, and executed once with the digest of its last receipt.
fn orders(said: &Value, chain: &Value) {
    let datatokens = || {
        list(&chain["nfts"])
            .iter()
            .flat_map(|nft| list(&nft["datatokens"]).iter().map(move |token| (nft, token)))
    };
    let on_chain = datatokens().flat_map(|(_, token)| list(&token["orders"])).count();
    let executed = datatokens()
        .flat_map(|(_, token)| list(&token["executions"]))
        .count();
    let told = list(&said["orders"]);
    assert_eq!((on_chain, executed), (told.len(), told.len()));
    for order in told {
        let mut found = datatokens().filter_map(|(nft, token)| {
            let same = |other: &&Value| other["tx"] == order["tx"];
            Some((nft, token, list(&token["orders"]).iter().find(same)?))
        });
        let (nft, token, paid) = found
            .next()
            .unwrap_or_else(|| panic!("{order} is not on the chain"));
        assert_eq!(nft["did"], order["did"], "{order}");
        let consumer = text(&said["wallets"], &format!("/{}", text(order, "/who")));
        assert_eq!(
            (text(paid, "/consumer"), text(paid, "/payer")),
            (consumer, consumer),
            "{order}"
        );
        assert_eq!(units(&paid["amount"]), Amount::tokens(1).0, "{order}");
        fee(said, chain, paid);
        let same = |execution: &&Value| execution["order_tx"] == order["tx"];
        let executions: Vec<&Value> = list(&token["executions"]).iter().filter(same).collect();
        assert_eq!(executions.len(), 1, "{order}");
        let node = text(said, "/node/address");
        assert_eq!(
            (text(executions[0], "/sender"), text(executions[0], "/provider")),
            (node, node),
            "{order}"
        );
        assert_eq!(text(executions[0], "/consumer"), consumer, "{order}");
        digest(said, order, text(executions[0], "/provider_data"));
    }
}

/// The fee of an order reached the node without the router's share, which the community got.
fn fee(said: &Value, chain: &Value, paid: &Value) {
    let node = text(said, "/node/address");
    assert_eq!(text(paid, "/fee/to"), node);
    let gross = units(&paid["fee"]["amount"]);
    assert!(!gross.is_zero());
    let share = gross / U256::from(FEE_DIVISOR);
    let moved = |to: &dyn Fn(&str) -> bool| {
        let moves = list(&chain["ocean"])
            .iter()
            .filter(|entry| entry["tx"] == paid["tx"] && to(text(entry, "/to")));
        moves.map(|entry| units(&entry["value"])).collect::<Vec<_>>()
    };
    assert_eq!(
        moved(&|to| to == node),
        [gross - share],
        "what the node got of {gross}"
    );
    let datatoken = |to: &str| {
        list(&chain["nfts"])
            .iter()
            .any(|nft| only(&nft["datatokens"])["address"] == to)
    };
    let others: Vec<U256> = moved(&|to| to != node && !datatoken(to));
    assert_eq!(others, [share], "what others than the node got of {gross}");
}

/// The digest on the chain is that of the last receipt of the order, which the story names where it names one.
fn digest(said: &Value, order: &Value, on_chain: &str) {
    let receipts = receipts(text(said, "/node/url"), text(order, "/job_id").parse().unwrap());
    let last = receipts.last().unwrap();
    assert_eq!(last.receipt.digest(), last.digest);
    assert_eq!(last.digest.to_string(), on_chain, "{order}");
    assert_eq!(last.receipt.order.transaction.to_string(), text(order, "/tx"));
    let digests: Vec<String> = receipts
        .iter()
        .map(|receipt| receipt.digest.to_string())
        .collect();
    let made = |model: &&Value| {
        last.receipt
            .commitment_out
            .as_ref()
            .is_some_and(|out| out.root.to_string() == text(model, "/commitment"))
    };
    if let Some(model) = list(&said["models"]).iter().find(made) {
        assert_eq!(digests, [text(model, "/receipt")]);
    }
    if text(order, "/who") == "derek" {
        assert_eq!(digests.len(), 2);
        assert_eq!(digests[0], text(said, "/inference/receipt"));
    }
}

/// All receipts of the order of a job, as the node gives them to anybody.
fn receipts(node: &str, job: JobId) -> Vec<SignedReceipt> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = NodeClient::new(node).unwrap();
        let order = node.receipt_of(job).await.unwrap().receipt.order;
        node.receipts(&order).await.unwrap()
    })
}

fn nft_of<'a>(chain: &'a Value, model: &Value) -> &'a Value {
    let found = list(&chain["nfts"])
        .iter()
        .find(|nft| nft["address"] == model["nft"]);
    found.unwrap_or_else(|| panic!("the factory made no {}", model["nft"]))
}

fn stored<'a>(nft: &'a Value, name: &str) -> &'a str {
    nft["store"][name]
        .as_str()
        .unwrap_or_else(|| panic!("{} stores nothing as {name}", nft["address"]))
}

fn only(values: &Value) -> &Value {
    let [value] = list(values) else {
        panic!("not one but {values}")
    };
    value
}

fn units(value: &Value) -> U256 {
    U256::from_str_radix(value.as_str().unwrap(), 10).unwrap()
}
