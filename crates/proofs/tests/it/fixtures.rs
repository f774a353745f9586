//! What the tests share: a signer, a specification, a statement, a receipt.

use alloy_signer_local::PrivateKeySigner;
use posthuman_proofs::{ReceiptFacts, Scheme, StatementFacts, build_statement};
use posthuman_types::{
    Address, Amount, B256, Commitment, Input, InputManifest, JobId, JobSpec, Limits, Operation, OrderId,
    Parameters, Receipt, StartRequest, Statement, Usage,
};

/// A change of one field, beside its name.
pub type Change<T> = (&'static str, fn(&mut T));

/// The key of the test vectors.
pub fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x11)).unwrap()
}

/// A key of somebody else.
pub fn stranger() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x22)).unwrap()
}

pub fn commitment(byte: u8) -> Commitment {
    Commitment {
        scheme: Scheme::Values.name().to_owned(),
        root: B256::repeat_byte(byte),
    }
}

pub const TRAIN: &str = concat!(
    r#"{"train":{"publication":{"name":"M2","description":"d","author":"Bob","license":"MIT","#,
    r#""parent_share_bps":null,"price":null},"architecture":null,"steps":3,"batch":2,"sequence":8,"accumulate":1,"#,
    r#""learning_rate":0.001,"minimum_learning_rate":0.0001,"warmup_steps":1,"weight_decay":0.1,"beta1":0.9,"#,
    r#""beta2":0.95,"clip":1.0,"evaluate_every":0,"seed":7}}"#
);

pub const INFER: &str =
    r#"{"infer":{"maximum_tokens":16,"temperature":0.8,"top_k":40,"top_p":0.9,"stop":[],"seed":5}}"#;

pub fn spec(parameters: &str) -> JobSpec {
    let operation = Parameters::from_canonical(parameters).unwrap().operation();
    let name = if operation == Operation::Infer {
        "prompt"
    } else {
        "text"
    };
    JobSpec {
        version: 1,
        job_id: JobId([9; 16]),
        operation,
        parameters: parameters.to_owned(),
        inputs: InputManifest::new(vec![Input::describe(name, b"Call me Ishmael.")]),
        commitment: Some(commitment(1)),
        engine: None,
        threads: 2,
        limits: Limits {
            memory_bytes: 1 << 30,
            cpu_seconds: 60,
        },
    }
}

pub fn facts(operation: Operation) -> StatementFacts {
    let (out, file, usage) = match operation {
        Operation::Train => (
            Some(commitment(2)),
            "metrics.json",
            Usage {
                trained_tokens: 48,
                scored_tokens: 9,
                ..Usage::default()
            },
        ),
        _ => (
            None,
            "text.txt",
            Usage {
                prompt_tokens: 4,
                generated_tokens: 16,
                ..Usage::default()
            },
        ),
    };
    StatementFacts {
        engine: "posthuman-lm/1".to_owned(),
        commitment_out: out,
        tokenizer: B256::repeat_byte(3),
        outputs: InputManifest::new(vec![Input::describe(file, b"output")]),
        usage,
    }
}

pub fn statement(parameters: &str) -> Statement {
    let spec = spec(parameters);
    build_statement(&spec, facts(spec.operation)).unwrap()
}

pub fn request(turn: u64, previous: B256) -> StartRequest {
    StartRequest {
        order: OrderId {
            chain_id: 8996,
            transaction: B256::repeat_byte(0xa1),
            log_index: 7,
        },
        datatoken: Address::repeat_byte(0xe2),
        operation: Operation::Infer,
        input: spec(INFER).inputs.digest(),
        parameters: INFER.to_owned(),
        turn,
        previous,
        nonce: turn + 1,
    }
}

/// The receipt of one inference turn.
pub fn receipt(request: &StartRequest) -> Receipt {
    ReceiptFacts {
        job: request.job_id(),
        asset: format!("did:op:{}", "2d".repeat(32)).parse().unwrap(),
        nft: Address::repeat_byte(0xc1),
        order: request.order,
        consumer: Address::repeat_byte(0xe1),
        datatoken: request.datatoken,
        fee_token: Address::repeat_byte(0xe3),
        fee_amount: Amount::tokens(1),
        node: Address::repeat_byte(0xe4),
        request: request.digest(),
        previous: request.previous,
        started_at: 100,
        finished_at: 101,
    }
    .receipt(&statement(INFER))
}
