//! Rows with as much in them as a row can hold, told apart by a number.

use posthuman_store::{
    AssetRow, JobInput, JobRow, ModelRow, OrderRow, QuoteRow, ReceiptRow, Store, TransactionRow,
};
use posthuman_store::{TransactionState, UploadRow, UploadState};
use posthuman_types::api::{AssetKind, OrderState};
use posthuman_types::{
    Address, Amount, B256, Commitment, Did, InputManifest, JobId, JobSpec, JobState, Limits, ObjectId,
    Operation, OrderId, QuoteId, Receipt, SignedReceipt, UploadId, Usage,
};

pub struct Scene {
    pub store: Store,
    _folder: tempfile::TempDir,
}

pub async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("node.db")).await.unwrap();
    Scene {
        store,
        _folder: folder,
    }
}

pub fn address(n: u8) -> Address {
    Address::repeat_byte(n)
}

pub fn word(n: u8) -> B256 {
    B256::repeat_byte(n)
}

pub fn did(n: u8) -> Did {
    format!("did:op:{}", format!("{n:02x}").repeat(32))
        .parse()
        .unwrap()
}

pub fn asset(n: u8) -> AssetRow {
    AssetRow {
        did: did(n),
        chain_id: 8996,
        nft: address(n),
        datatoken: address(n.wrapping_add(100)),
        exchange: Some(word(n)),
        kind: AssetKind::Model,
        name: format!("Model {n}"),
        description: "A small model of whales".to_owned(),
        author: "Alice Ahab".to_owned(),
        tags: vec!["ocean".to_owned(), "gpt2".to_owned()],
        state: 0,
        parent: None,
        commitment_root: Some(word(n)),
        trainer: Some(address(200)),
        created_at: 1_000 + u64::from(n),
        updated_at: 2_000,
        block_number: 7,
        transaction_hash: word(8),
        ddo: "{\"id\":1}".to_owned(),
    }
}

pub fn quote(n: u8) -> QuoteRow {
    QuoteRow {
        id: QuoteId([n; 16]),
        consumer: address(1),
        did: did(2),
        datatoken: address(3),
        operation: Operation::Train,
        input: word(4),
        parameters: "{}".to_owned(),
        tokens: 5,
        allowance: 100,
        fee_token: address(6),
        fee_amount: Amount::tokens(7),
        valid_until: 500,
        created_at: 400,
    }
}

pub fn order_id(n: u8) -> OrderId {
    OrderId {
        chain_id: 8996,
        transaction: word(n),
        log_index: u64::from(n),
    }
}

pub fn order(n: u8) -> OrderRow {
    OrderRow {
        id: order_id(n),
        block_number: 10,
        block_timestamp: 450,
        did: did(2),
        datatoken: address(3),
        operation: Operation::Train,
        consumer: address(1),
        payer: address(9),
        fee_token: address(6),
        fee_amount: Amount::tokens(7),
        quote_id: QuoteId([n; 16]),
        state: OrderState::Open,
        allowance: 100,
        used_tokens: 0,
        next_turn: 0,
        last_receipt: B256::ZERO,
        closed_at: Some(3),
        settled_transaction: Some(word(4)),
    }
}

pub fn job(order: u8, n: u8) -> JobRow {
    let spec = JobSpec {
        version: 1,
        job_id: JobId([n; 16]),
        operation: Operation::Train,
        parameters: "{\"a\":\"é\"}".to_owned(),
        inputs: InputManifest::default(),
        commitment: Some(Commitment {
            scheme: "s/1".to_owned(),
            root: word(1),
        }),
        engine: None,
        threads: 2,
        limits: Limits {
            memory_bytes: u64::MAX,
            cpu_seconds: 60,
        },
    };
    JobRow {
        id: JobId([n; 16]),
        order_id: order_id(order),
        turn: 0,
        operation: Operation::Train,
        did: did(2),
        consumer: address(1),
        state: JobState::Queued,
        attempt: 1,
        crashes: 1,
        fence: 3,
        worker: None,
        lease_expires_at: None,
        not_before: 12,
        spec,
        inputs: vec![JobInput {
            name: "text".to_owned(),
            object: ObjectId([1; 16]),
        }],
        request: vec![0, 1, 255].into(),
        request_signature: vec![9; 65].into(),
        model: Some(ObjectId([2; 16])),
        result: None,
        checkpoint: Some(ObjectId([3; 16])),
        checkpoint_step: Some(4),
        statement: None,
        failure_code: Some("x".to_owned()),
        failure_reason: Some("y".to_owned()),
        receipt: None,
        published: None,
        settled_transaction: None,
        created_at: 13,
        started_at: Some(14),
        finished_at: None,
        updated_at: 15,
    }
}

pub fn upload(n: u8) -> UploadRow {
    UploadRow {
        id: UploadId([n; 16]),
        owner: address(1),
        name: "text.txt".to_owned(),
        bytes: 100,
        digest: word(n),
        received: 0,
        object: None,
        state: UploadState::Receiving,
        created_at: 1,
        expires_at: 50,
    }
}

pub fn model(n: u8) -> ModelRow {
    let (root, object) = (word(n), ObjectId([n; 16]));
    ModelRow {
        root,
        scheme: "s/1".to_owned(),
        object,
        did: Some(did(n)),
        job_id: None,
        created_at: u64::from(n),
    }
}

pub fn transaction(key: &str, nonce: u64) -> TransactionRow {
    TransactionRow {
        key: key.to_owned(),
        label: "mint".to_owned(),
        chain_id: 8996,
        sender: address(1),
        nonce,
        hash: posthuman_types::keccak256(format!("{key}{nonce}")),
        raw: vec![2, 3].into(),
        state: TransactionState::Prepared,
        block_number: None,
        error: None,
        created_at: 1,
        updated_at: 1,
    }
}

pub fn receipt(order: u8, job: u8, turn: u64) -> ReceiptRow {
    let receipt = Receipt {
        job: JobId([job; 16]),
        asset: did(2).to_string(),
        nft: address(2),
        operation: Operation::Train,
        engine: "e/1".to_owned(),
        commitment_in: None,
        commitment_out: None,
        tokenizer: word(1),
        input: word(2),
        parameters: "{}".to_owned(),
        seed: u64::MAX,
        output: word(3),
        usage: Usage::default(),
        order: order_id(order),
        consumer: address(1),
        datatoken: address(3),
        fee_token: address(6),
        fee_amount: Amount::tokens(7),
        node: address(8),
        request: word(4),
        previous: B256::ZERO,
        started_at: turn,
        finished_at: 2,
    };
    let digest = receipt.digest();
    let signed = SignedReceipt {
        receipt,
        digest,
        signature: vec![1; 65].into(),
    };
    let (job_id, order_id) = (JobId([job; 16]), order_id(order));
    ReceiptRow {
        digest,
        job_id,
        order_id,
        turn,
        signed,
        settled_transaction: None,
        created_at: 5,
    }
}

/// Quotes and orders `1..=count`.
pub async fn with_orders(scene: &Scene, count: u8) {
    let mut transaction = scene.store.begin().await.unwrap();
    for n in 1..=count {
        transaction.insert_quote(&quote(n)).await.unwrap();
        transaction.insert_order(&order(n)).await.unwrap();
    }
    transaction.commit().await.unwrap();
}
