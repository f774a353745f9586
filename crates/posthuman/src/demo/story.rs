//! What happened, for people as it happens and for programs at the end.

use std::collections::BTreeMap;

use posthuman_types::api::{Asset, Job, Royalties};
use posthuman_types::{Address, Did, SignedReceipt};
use serde_json::{Value, json};

use super::{Cast, Stage};
use crate::Evaluation;
use crate::cli::output;

/// Tells the story: on stdout, or on stderr where stdout is for the JSON object.
pub(crate) struct Tell {
    pub json: bool,
}

impl Tell {
    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) {
        self.line(format!("\n{title}\n{}", "-".repeat(title.chars().count())));
    }

    /// Tells one thing.
    pub(super) fn line(&mut self, line: impl std::fmt::Display) {
        // A reader who went away does not stop the story.
        if self.json || output::stream(&format!("{line}\n")).is_err() {
            output::note(line);
        }
    }
}

/// A job that was paid and has a receipt.
pub(super) struct Done {
    pub who: &'static str,
    pub receipt: SignedReceipt,
    /// The receipts of its session, for an inference.
    pub session: Vec<SignedReceipt>,
}

/// Everything that the JSON object says.
pub(crate) struct Story {
    devnet: Value,
    node: Value,
    wallets: BTreeMap<&'static str, String>,
    names: BTreeMap<Address, String>,
    models: Vec<Value>,
    orders: Vec<Value>,
    pub(super) inference: Value,
    evaluation: Vec<Value>,
    pub(super) order2_bits_per_byte: f64,
    pub(super) done: Vec<Done>,
    pub(super) receipts_verified: u64,
    pub(super) reruns_bit_identical: u64,
    pub(super) seconds: u64,
}

impl Story {
    pub(super) fn begin(stage: &Stage, cast: &Cast) -> Self {
        let people = [
            ("alice", &cast.alice),
            ("bob", &cast.bob),
            ("charlie", &cast.charlie),
            ("derek", &cast.derek),
            ("elena", &cast.elena),
        ];
        let chain = stage.devnet.chain();
        let address_file = stage.devnet.address_file();
        Self {
            devnet: json!({ "rpc": stage.devnet.url(), "chain_id": chain.id(), "address_file": address_file }),
            node: json!({ "url": stage.node_url, "address": cast.alice.info().wallet.to_string() }),
            wallets: people
                .iter()
                .map(|(name, market)| (*name, market.address().to_string()))
                .collect(),
            names: people
                .iter()
                .map(|(name, market)| (market.address(), capitalised(name)))
                .collect(),
            models: Vec::new(),
            orders: Vec::new(),
            inference: Value::Null,
            evaluation: Vec::new(),
            order2_bits_per_byte: f64::NAN,
            done: Vec::new(),
            receipts_verified: 0,
            reruns_bit_identical: 0,
            seconds: 0,
        }
    }

    /// Who has an address, or the address.
    pub(super) fn name(&self, address: Address) -> String {
        self.names
            .get(&address)
            .cloned()
            .unwrap_or_else(|| address.to_string())
    }

    /// Notes a job with its order and its receipt.
    pub(super) fn worked(&mut self, who: &'static str, did: &Did, job: &Job, receipt: &SignedReceipt) {
        self.orders
            .push(json!({ "who": who, "did": did, "tx": job.order.transaction, "job_id": job.id }));
        self.done.push(Done {
            who,
            receipt: receipt.clone(),
            session: Vec::new(),
        });
    }

    /// Notes the turns of a session, which are one order.
    pub(super) fn talked(&mut self, who: &'static str, did: &Did, jobs: &[Job], receipts: &[SignedReceipt]) {
        if let Some(job) = jobs.first() {
            self.orders
                .push(json!({ "who": who, "did": did, "tx": job.order.transaction, "job_id": job.id }));
        }
        for receipt in receipts {
            self.done.push(Done {
                who,
                receipt: receipt.clone(),
                session: receipts.to_vec(),
            });
        }
    }

    /// Notes a model.
    pub(super) fn born(&mut self, model: &Asset, royalties: &Royalties, receipt: &SignedReceipt) {
        let supply: BTreeMap<String, String> = model
            .initial_supply
            .iter()
            .map(|birth| (birth.address.to_string(), birth.amount.to_string()))
            .collect();
        let shares: BTreeMap<String, u16> = royalties
            .payees
            .iter()
            .map(|payee| (payee.address.to_string(), payee.share_bps))
            .collect();
        // A root's collector is its trainer, who has a name.
        self.names
            .entry(royalties.birth_collector)
            .or_insert_with(|| format!("the payment collector of {}", model.name));
        self.models.push(json!({
            "name": model.name,
            "did": model.did,
            "nft": model.nft.to_string(),
            "datatoken": model.datatoken.to_string(),
            "commitment": model.commitment.as_ref().map(|commitment| commitment.root),
            "parent_did": model.parent,
            "author": model.trainer.map(|trainer| trainer.to_string()),
            "receipt": receipt.digest,
            "initial_supply": supply,
            "collector": royalties.birth_collector.to_string(),
            "shares_bps": shares,
        }));
    }

    /// Notes an evaluation of a model on a text.
    pub(super) fn evaluated(&mut self, model: &str, text: &str, evaluation: &Evaluation, ci95: [f64; 2]) {
        let output = &evaluation.output;
        self.evaluation.push(json!({
            "model": model,
            "text": text,
            "tokens": output.tokens,
            "loss": output.loss,
            "perplexity": output.perplexity,
            "bits_per_byte": output.bits_per_byte,
            "accuracy": output.accuracy,
            "ci95": ci95,
        }));
    }

    /// The object that `posthuman demo --json` prints.
    pub(crate) fn json(&self) -> Value {
        json!({
            "devnet": self.devnet,
            "node": self.node,
            "models": self.models,
            "wallets": self.wallets,
            "orders": self.orders,
            "inference": self.inference,
            "evaluation": self.evaluation,
            "baseline": { "order2_bits_per_byte": self.order2_bits_per_byte },
            "receipts_verified": self.receipts_verified,
            "reruns_bit_identical": self.reruns_bit_identical,
            "seconds": self.seconds,
        })
    }
}

/// A key of the JSON object as the name of a person.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
