//! The story, played once by the binary as `make demo` plays it, and whether all it says is true.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use e2e::market::Person;
use e2e::played::Played;
use posthuman_chain::devnet;
use posthuman_types::{Address, Amount, U256};
use serde_json::Value;

use crate::{chain_read, leak};

/// The share of the line, in basis points, that M1 fixed.
const SHARE_BPS: u64 = 2_000;
const WHOLE_BPS: u64 = 10_000;
/// Datatokens at a birth, whole.
const BIRTH_SUPPLY: u64 = 100;

/// A named part of what must be true.
type Part = (&'static str, fn(&Played));

const PARTS: [Part; 8] = [
    ("the place", place),
    ("the line of models", models),
    ("births and shares", births),
    ("orders", orders),
    ("the inference", inference),
    ("evaluations", evaluations),
    ("the chain, read by another tool", chain_read::confirms),
    ("no weights anywhere", leak::nothing_leaked),
];

#[test]
fn the_story_is_true() {
    let mut played = Played::play().unwrap();
    println!("the story took {} s", played.said["seconds"]);
    let fails = |(_, part): &&Part| catch_unwind(AssertUnwindSafe(|| part(&played))).is_err();
    let mut wrong: Vec<&str> = PARTS.iter().filter(fails).map(|(name, _)| *name).collect();
    let (status, printed) = played.end().unwrap();
    if !status.success() || printed.len() != 1 {
        println!("{status}; stdout:\n{}", printed.join("\n"));
        wrong.push("the end: exit code 0, and one line on stdout");
    }
    // What was written while it stopped is searched too.
    if catch_unwind(AssertUnwindSafe(|| leak::nothing_leaked_at_the_end(&played))).is_err() {
        wrong.push("no weights anywhere after the end");
    }
    if !wrong.is_empty() {
        println!("the story said:\n{}", played.said);
    }
    assert!(
        wrong.is_empty(),
        "not as it should be: {wrong:?}; the messages above say why"
    );
}

fn place(played: &Played) {
    let said = &played.said;
    assert_eq!(said["devnet"]["chain_id"], 8996);
    assert!(text(said, "/devnet/rpc").starts_with("http://127.0.0.1:"));
    assert!(std::path::Path::new(text(said, "/devnet/address_file")).is_file());
    assert!(text(said, "/node/url").starts_with("http://127.0.0.1:"));
    assert_eq!(
        text(said, "/node/address"),
        devnet::account(devnet::NODE).address().to_string()
    );
    let wallets: BTreeMap<String, String> = Person::ALL
        .into_iter()
        .map(|person| {
            (
                format!("{person:?}").to_lowercase(),
                person.wallet().address().to_string(),
            )
        })
        .collect();
    assert_eq!(
        serde_json::from_value::<BTreeMap<String, String>>(said["wallets"].clone()).unwrap(),
        wallets
    );
    let stderr = played.stderr();
    for progress in ["1/", "loss", "Alice publishes M1", "Elena evaluates"] {
        assert!(stderr.contains(progress), "stderr tells nothing of `{progress}`");
    }
    assert!(said["seconds"].as_u64().unwrap() > 0);
}

fn models(played: &Played) {
    let models = list(&played.said["models"]);
    assert_eq!(models.len(), 3);
    let mut parent = None;
    for (model, (name, author)) in models
        .iter()
        .zip([("M1", "alice"), ("M2", "bob"), ("M3", "charlie")])
    {
        assert_eq!(text(model, "/name"), name);
        assert_eq!(model["author"], played.said["wallets"][author], "{name}");
        assert_eq!(model["parent_did"].as_str(), parent, "{name}");
        let did = text(model, "/did");
        assert!(
            did.starts_with("did:op:") && is_hex(&did["did:op:".len()..], 32),
            "{did}"
        );
        for address in ["/nft", "/datatoken", "/collector"] {
            let address = text(model, address);
            assert_eq!(
                address.parse::<Address>().unwrap().to_string(),
                address,
                "{name}: not EIP-55"
            );
        }
        for digest in ["/commitment", "/receipt"] {
            assert!(
                is_hex(text(model, digest).strip_prefix("0x").unwrap(), 32),
                "{name}: {digest}"
            );
        }
        parent = Some(did);
    }
    for field in [
        "/did",
        "/nft",
        "/datatoken",
        "/commitment",
        "/receipt",
        "/collector",
    ] {
        let different: BTreeSet<&str> = models.iter().map(|model| text(model, field)).collect();
        assert_eq!(different.len(), 3, "two models share their {field}");
    }
}

/// The rule of `docs/rewards.md`, in its own words: 1 − s for the trainer, s for the holders of the parent's birth mint
/// by their own fractions, floors, remainder to the trainer.
fn births(played: &Played) {
    let models = list(&played.said["models"]);
    let total = Amount::tokens(BIRTH_SUPPLY).0;
    let mut parent: BTreeMap<Address, U256> = BTreeMap::new();
    let mut parent_collector = None;
    for model in models {
        let trainer: Address = text(model, "/author").parse().unwrap();
        let mut expected: BTreeMap<Address, U256> = parent
            .iter()
            .map(|(holder, held)| {
                (
                    *holder,
                    total * U256::from(SHARE_BPS) * *held / (total * U256::from(WHOLE_BPS)),
                )
            })
            .collect();
        let given = expected.values().fold(U256::ZERO, |sum, amount| sum + *amount);
        *expected.entry(trainer).or_default() += total - given;
        let minted: BTreeMap<Address, U256> = amounts(&model["initial_supply"]);
        assert_eq!(minted, expected, "{}", model["name"]);
        assert_eq!(
            minted.values().fold(U256::ZERO, |sum, amount| sum + *amount),
            total
        );

        let collector: Address = text(model, "/collector").parse().unwrap();
        let shares = match parent_collector {
            None => {
                assert_eq!(collector, trainer, "a root pays its trainer");
                BTreeMap::from([(trainer, WHOLE_BPS)])
            }
            Some(parent) => BTreeMap::from([(trainer, WHOLE_BPS - SHARE_BPS), (parent, SHARE_BPS)]),
        };
        let said: BTreeMap<Address, u64> = serde_json::from_value(model["shares_bps"].clone()).unwrap();
        assert_eq!(said, shares, "{}", model["name"]);
        (parent, parent_collector) = (minted, Some(collector));
    }
    let whole = |share: u64| Amount::tokens(share).0;
    let people = ["alice", "bob", "charlie"].map(|name| {
        text(&played.said["wallets"], &format!("/{name}"))
            .parse()
            .unwrap()
    });
    assert_eq!(
        parent,
        BTreeMap::from([
            (people[0], whole(4)),
            (people[1], whole(16)),
            (people[2], whole(80))
        ])
    );
}

fn orders(played: &Played) {
    let said = &played.said;
    let orders = list(&said["orders"]);
    let of = |who: &str| orders.iter().filter(|order| order["who"] == who).count();
    assert_eq!(
        ["alice", "bob", "charlie", "derek", "elena"].map(of),
        [1, 1, 1, 1, 7]
    );
    for field in ["/tx", "/job_id"] {
        let different: BTreeSet<&str> = orders.iter().map(|order| text(order, field)).collect();
        assert_eq!(different.len(), orders.len(), "two orders share their {field}");
    }
    let [m1, m2, m3] = ["0", "1", "2"].map(|index| text(said, &format!("/models/{index}/did")));
    let asset_of = |who: &str| text(orders.iter().find(|order| order["who"] == who).unwrap(), "/did");
    assert!(
        ![m1, m2, m3].contains(&asset_of("alice")),
        "Alice orders the blank model"
    );
    assert_eq!(["bob", "charlie", "derek"].map(asset_of), [m1, m2, m3]);
    // Derek's session is one order with a receipt for each of its two turns.
    let receipts = orders.len() + 1;
    assert_eq!(said["receipts_verified"], receipts);
    assert_eq!(said["reruns_bit_identical"], receipts);
}

fn inference(played: &Played) {
    let inference = &played.said["inference"];
    assert!(!text(inference, "/prompt").is_empty());
    assert!(!text(inference, "/text").trim().is_empty());
    assert!(is_hex(
        text(inference, "/receipt").strip_prefix("0x").unwrap(),
        32
    ));
}

fn evaluations(played: &Played) {
    let rows = list(&played.said["evaluation"]);
    for row in rows {
        let number = |field: &str| row[field].as_f64().filter(|number| number.is_finite()).unwrap();
        let (loss, bits) = (number("loss"), number("bits_per_byte"));
        assert!(number("tokens") > 1_000.0 && loss > 0.0, "{row}");
        assert!((number("perplexity") / loss.exp() - 1.0).abs() < 1e-9, "{row}");
        assert!((0.0..1.0).contains(&number("accuracy")), "{row}");
        let [low, high] = [0, 1].map(|bound| row["ci95"][bound].as_f64().unwrap());
        assert!(low < bits && bits < high && high - low < 0.5, "{row}");
    }
    let bits = |model: &str, text: &str| {
        let found = rows
            .iter()
            .find(|row| row["model"] == model && row["text"] == text);
        found.unwrap_or_else(|| panic!("no row of {model} on {text}'s text"))["bits_per_byte"]
            .as_f64()
            .unwrap()
    };
    for model in ["M1", "M2", "M3"] {
        bits(model, "elena");
    }
    let baseline = played.said["baseline"]["order2_bits_per_byte"].as_f64().unwrap();
    assert!(
        bits("M1", "elena") < baseline,
        "M1 {} against an order-2 byte model's {baseline}",
        bits("M1", "elena")
    );
    assert!(bits("M2", "bob") < bits("M1", "bob"));
    assert!(bits("M3", "charlie") < bits("M2", "charlie"));
}

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} of {value}"))
}

/// The elements of an array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Amounts in base units by address.
pub(crate) fn amounts(value: &Value) -> BTreeMap<Address, U256> {
    let texts: BTreeMap<Address, String> = serde_json::from_value(value.clone()).unwrap();
    texts
        .into_iter()
        .map(|(address, amount)| (address, U256::from_str_radix(&amount, 10).unwrap()))
        .collect()
}

fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
