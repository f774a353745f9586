//! Quotes, orders, requests and statements, told apart by a number.

use posthuman_store::{JobInput, OrderRow, QuoteRow, Store};
use posthuman_types::api::OrderState;
use posthuman_types::{
    Address, Amount, B256, Commitment, Did, Digest, Input, InputManifest, JobSpec, Limits, ObjectId,
    Operation, OrderId, QuoteId, Receipt, SignedReceipt, StartRequest, Statement, Usage,
};

use crate::queue::{NewJob, Queue, QueueOptions};

pub struct Scene {
    pub queue: Queue,
    pub folder: tempfile::TempDir,
}

pub async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("node.db")).await.unwrap();
    Scene {
        queue: Queue::new(store, QueueOptions::default()),
        folder,
    }
}

pub fn word(n: u8) -> B256 {
    B256::repeat_byte(n)
}

pub fn object(n: u8) -> ObjectId {
    ObjectId([n; 16])
}

pub fn did(n: u8) -> Did {
    format!("did:op:{}", format!("{n:02x}").repeat(32))
        .parse()
        .unwrap()
}

pub fn commitment(n: u8) -> Commitment {
    Commitment {
        scheme: "s/1".to_owned(),
        root: word(n),
    }
}

/// Order `n` stands in block `100 - n`, so that a later number comes earlier on the chain.
pub fn order(n: u8, operation: Operation) -> OrderRow {
    OrderRow {
        id: OrderId {
            chain_id: 8996,
            transaction: word(n),
            log_index: 1,
        },
        block_number: 100 - u64::from(n),
        block_timestamp: 50,
        did: did(1),
        datatoken: Address::repeat_byte(3),
        operation,
        consumer: Address::repeat_byte(n),
        payer: Address::repeat_byte(4),
        fee_token: Address::repeat_byte(5),
        fee_amount: Amount::tokens(1),
        quote_id: QuoteId([n; 16]),
        state: OrderState::Open,
        allowance: 100,
        used_tokens: 0,
        next_turn: 0,
        last_receipt: B256::ZERO,
        closed_at: None,
        settled_transaction: None,
    }
}

pub async fn add_quote(queue: &Queue, order: &OrderRow) {
    let quote = QuoteRow {
        id: order.quote_id,
        consumer: order.consumer,
        did: order.did.clone(),
        datatoken: order.datatoken,
        operation: order.operation,
        input: B256::ZERO,
        parameters: String::new(),
        tokens: 10,
        allowance: order.allowance,
        fee_token: order.fee_token,
        fee_amount: order.fee_amount,
        valid_until: 60,
        created_at: 40,
    };
    let mut transaction = queue.store().begin().await.unwrap();
    if transaction.quote(quote.id).await.unwrap().is_none() {
        transaction.insert_quote(&quote).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

pub fn request(order: &OrderRow, turn: u64, previous: Digest, nonce: u64) -> NewJob {
    let inputs = InputManifest::new(vec![Input::describe("text", b"call me Ishmael")]);
    let request = StartRequest {
        order: order.id,
        datatoken: order.datatoken,
        operation: order.operation,
        input: inputs.digest(),
        parameters: "{}".to_owned(),
        turn,
        previous,
        nonce,
    };
    let spec = JobSpec {
        version: 1,
        job_id: request.job_id(),
        operation: order.operation,
        parameters: "{}".to_owned(),
        inputs,
        commitment: Some(commitment(1)),
        engine: None,
        threads: 1,
        limits: Limits {
            memory_bytes: 1,
            cpu_seconds: 1,
        },
    };
    let inputs = vec![JobInput {
        name: "text".to_owned(),
        object: object(50),
    }];
    NewJob {
        request,
        signature: vec![1; 65].into(),
        spec,
        inputs,
        model: Some(object(51)),
    }
}

/// What an honest worker states; the weights that come out are told apart by `out`.
pub fn statement(spec: &JobSpec, out: u8, tokens: u64) -> Statement {
    let train = spec.operation == Operation::Train;
    Statement {
        version: 1,
        operation: spec.operation,
        engine: "e/1".to_owned(),
        commitment_in: spec.commitment.clone(),
        commitment_out: train.then(|| commitment(out)),
        tokenizer: word(1),
        input: spec.inputs.digest(),
        parameters: spec.parameters.clone(),
        seed: 1,
        outputs: InputManifest::default(),
        usage: Usage {
            trained_tokens: tokens,
            prompt_tokens: tokens,
            generated_tokens: 0,
            scored_tokens: tokens,
        },
    }
}

pub async fn receipt(queue: &Queue, job: posthuman_types::JobId) -> SignedReceipt {
    let mut connection = queue.store().read().await.unwrap();
    let job = connection.job(job).await.unwrap().unwrap();
    let order = connection.order(job.order_id).await.unwrap().unwrap();
    let statement = job.statement.unwrap();
    let receipt = Receipt {
        job: job.id,
        asset: job.did.to_string(),
        nft: Address::ZERO,
        operation: job.operation,
        engine: statement.engine,
        commitment_in: statement.commitment_in,
        commitment_out: statement.commitment_out,
        tokenizer: statement.tokenizer,
        input: statement.input,
        parameters: statement.parameters,
        seed: statement.seed,
        output: statement.outputs.digest(),
        usage: statement.usage,
        order: job.order_id,
        consumer: job.consumer,
        datatoken: order.datatoken,
        fee_token: order.fee_token,
        fee_amount: order.fee_amount,
        node: Address::ZERO,
        request: posthuman_types::keccak256(&job.request),
        previous: order.last_receipt,
        started_at: 1,
        finished_at: 2,
    };
    SignedReceipt {
        digest: receipt.digest(),
        receipt,
        signature: vec![2; 65].into(),
    }
}
