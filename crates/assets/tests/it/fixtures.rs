//! What the tests share: listings and facts of a root, its child, the blank model and an operation.

use std::collections::BTreeMap;

use posthuman_assets::{
    Allowances, ArchitectureFacts, Baseline, BlankFacts, Ddo, Lineage, Listing, ModelFacts, OperationFacts,
    Origin, Parent, TrustedOperation, blank_ddo, did_for, model_ddo, operation_ddo,
};
use posthuman_types::{Address, Amount, B256, Commitment, JobId, Operation};
use serde_json::Value;

pub const CHAIN: u64 = 8996;
pub const ENGINE: &str = "posthuman-lm/1";

pub fn listing(nft: u8, name: &str) -> Listing {
    Listing {
        chain_id: CHAIN,
        nft: Address::repeat_byte(nft),
        datatoken: Address::repeat_byte(nft + 1),
        endpoint: "http://127.0.0.1:8001".to_owned(),
        files: "0x01aabb".to_owned(),
        timeout: 0,
        created: 1_767_225_600,
        updated: 1_767_225_661,
        name: name.to_owned(),
        description: "A small GPT-2.\nTrained on a whale – «Moby Dick».".to_owned(),
        author: "Alice".to_owned(),
        license: "Apache-2.0".to_owned(),
        tags: vec!["gpt2".to_owned(), "english".to_owned()],
    }
}

pub fn commitment(byte: u8) -> Commitment {
    Commitment {
        scheme: "salted-merkle-keccak256/1".to_owned(),
        root: B256::repeat_byte(byte),
    }
}

pub fn trained(parent: Option<Parent>, nft: u8) -> Lineage {
    let root = parent
        .as_ref()
        .map_or(did_for(Address::repeat_byte(nft), CHAIN), |parent| {
            parent.did.clone()
        });
    Lineage {
        root,
        generation: u32::from(parent.is_some()),
        parent,
        trainer: Address::repeat_byte(0xa1),
        origin: Origin::Trained {
            job: JobId([7; 16]),
            receipt: B256::repeat_byte(8),
        },
    }
}

pub fn model_facts(lineage: Lineage) -> ModelFacts {
    ModelFacts {
        architecture: ArchitectureFacts {
            family: "gpt2".to_owned(),
            layers: 2,
            heads: 2,
            width: 64,
            context: 128,
            vocabulary: 512,
            parameters: 140_000,
            precision: "f32".to_owned(),
            details: None,
        },
        commitment: commitment(2),
        tokenizer: B256::repeat_byte(3),
        engine: ENGINE.to_owned(),
        allowances: Allowances {
            train: 1_000_000,
            infer: 10_000,
            evaluate: 100_000,
        },
        parent_share_bps: 2_000,
        lineage,
        initial_supply: BTreeMap::from([
            (Address::repeat_byte(0xa1), Amount::tokens(80)),
            (Address::repeat_byte(0xb1), Amount::tokens(20)),
        ]),
        collector: Address::repeat_byte(0xc1),
        exchange: Some(B256::repeat_byte(5)),
        baseline: Some(Baseline {
            text: B256::repeat_byte(6),
            tokens: 4_000,
            loss: 3.25,
            perplexity: 25.790_339_917_193_062,
            bits_per_byte: 2.125,
            interval: [2.0, 2.25],
            accuracy: 0.375,
            order2_bits_per_byte: Some(2.75),
        }),
    }
}

pub fn operation_facts(operation: Operation) -> OperationFacts {
    OperationFacts {
        operation,
        engine: ENGINE.to_owned(),
    }
}

pub fn trusted() -> [TrustedOperation; 3] {
    Operation::ALL.map(|operation| {
        let nft = Address::repeat_byte(0xd0 + operation.service_index() as u8);
        TrustedOperation::of(did_for(nft, CHAIN), &operation_facts(operation))
    })
}

pub fn root_ddo() -> Ddo {
    model_ddo(listing(0x10, "M1"), model_facts(trained(None, 0x10)), &trusted()).unwrap()
}

pub fn child_ddo() -> Ddo {
    let parent = Parent {
        did: root_ddo().id,
        nft: Address::repeat_byte(0x10),
        commitment: commitment(1),
    };
    let facts = ModelFacts {
        exchange: None,
        baseline: None,
        ..model_facts(trained(Some(parent), 0x20))
    };
    model_ddo(listing(0x20, "M2"), facts, &trusted()).unwrap()
}

pub fn blank() -> Ddo {
    let facts = BlankFacts {
        engine: ENGINE.to_owned(),
        allowances: Allowances {
            train: 5_000_000,
            infer: 1,
            evaluate: 1,
        },
        exchange: None,
    };
    blank_ddo(listing(0x30, "Blank model"), facts, &trusted()[0]).unwrap()
}

pub fn operation() -> Ddo {
    operation_ddo(listing(0xd0, "Train"), operation_facts(Operation::Train)).unwrap()
}

/// A document as JSON, changed.
pub fn changed(ddo: &Ddo, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::to_value(ddo).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}
