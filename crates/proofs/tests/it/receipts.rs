//! Signatures, receipts against what they should say, and chains.

use alloy_primitives::U256;
use posthuman_proofs::{
    ChainError, ExpectedFacts, SignatureError, check_chain, check_facts, check_publication, check_refusal,
    check_request, check_session, check_signature, check_statement, receipt_signer, recover_signer,
    sign_publication, sign_receipt, sign_refusal,
};
use posthuman_types::{
    Address, Amount, B256, Bytes, OrderId, PublicationStatement, Receipt, Refusal, SignedReceipt,
    StartRequest,
};

use crate::fixtures::{Change, INFER, commitment, receipt, request, signer, statement, stranger};

fn signed() -> SignedReceipt {
    sign_receipt(receipt(&request(0, B256::ZERO)), &signer()).unwrap()
}

#[test]
fn a_perfect_signature_by_another_key_is_refused() {
    let signed = sign_receipt(signed().receipt, &stranger()).unwrap();
    assert_eq!(receipt_signer(&signed).unwrap(), stranger().address());
    let error = check_signature(&signed, signer().address()).unwrap_err();
    assert_eq!(
        error,
        SignatureError::OtherSigner {
            expected: signer().address(),
            found: stranger().address()
        }
    );
}

/// The order of secp256k1's group (SEC 2, 2.4.1).
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

#[test]
fn the_mirrored_signature_is_refused() {
    let mut signed = signed();
    let mut bytes = signed.signature.to_vec();
    let order = U256::from_str_radix(ORDER, 16).unwrap();
    let mirrored = order - U256::from_be_slice(&bytes[32..64]);
    bytes[32..64].copy_from_slice(&mirrored.to_be_bytes::<32>());
    bytes[64] = 27 + 28 - bytes[64];
    signed.signature = bytes.into();
    assert_eq!(
        check_signature(&signed, signer().address()),
        Err(SignatureError::Malleable)
    );
}

#[test]
fn malformed_signatures_are_refused() {
    let good = signed();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.signature.to_vec();
        change(&mut bytes);
        recover_signer(good.digest, &bytes)
    };
    assert_eq!(with(|_| ()), Ok(signer().address()));
    for change in [
        Vec::clear as fn(&mut Vec<u8>),
        |bytes| bytes.push(0),
        |bytes| bytes[64] -= 27,
        |bytes| bytes[64] = 29,
    ] {
        assert!(matches!(with(change), Err(SignatureError::Malformed { .. })));
    }
    assert_eq!(
        with(|bytes| bytes[..32].fill(0)),
        Err(SignatureError::Unrecoverable)
    );
    assert_eq!(
        with(|bytes| bytes[32..64].fill(0)),
        Err(SignatureError::Unrecoverable)
    );
    assert_eq!(
        with(|bytes| bytes[..32].fill(0xff)),
        Err(SignatureError::Unrecoverable)
    );
    assert_ne!(with(|bytes| bytes[63] ^= 1), Ok(signer().address()));
}

/// Every field of a receipt, one change each.
const CHANGES: [Change<Receipt>; 28] = [
    ("job", |receipt| receipt.job.0[0] ^= 1),
    ("asset", |receipt| receipt.asset.push('0')),
    ("nft", |receipt| receipt.nft = Address::ZERO),
    ("operation", |receipt| {
        receipt.operation = posthuman_types::Operation::Evaluate
    }),
    ("engine", |receipt| receipt.engine.push('2')),
    ("commitment_in.root", |receipt| {
        receipt.commitment_in = Some(commitment(9))
    }),
    ("commitment_in.scheme", |receipt| {
        receipt.commitment_in.as_mut().unwrap().scheme.push('0')
    }),
    ("commitment_in", |receipt| receipt.commitment_in = None),
    ("commitment_out", |receipt| {
        receipt.commitment_out = Some(commitment(9))
    }),
    ("tokenizer", |receipt| receipt.tokenizer.0[31] ^= 1),
    ("input", |receipt| receipt.input.0[0] ^= 1),
    ("parameters", |receipt| {
        receipt.parameters = receipt.parameters.replace("0.8", "0.7")
    }),
    ("seed", |receipt| receipt.seed += 1),
    ("output", |receipt| receipt.output.0[0] ^= 1),
    ("trained", |receipt| receipt.usage.trained_tokens += 1),
    ("prompt", |receipt| receipt.usage.prompt_tokens += 1),
    ("generated", |receipt| receipt.usage.generated_tokens += 1),
    ("scored", |receipt| receipt.usage.scored_tokens += 1),
    ("order.chain", |receipt| receipt.order.chain_id += 1),
    ("order.transaction", |receipt| {
        receipt.order.transaction = B256::ZERO
    }),
    ("order.log", |receipt| receipt.order.log_index += 1),
    ("consumer", |receipt| receipt.consumer = Address::ZERO),
    ("datatoken", |receipt| receipt.datatoken = Address::ZERO),
    ("fee", |receipt| {
        (receipt.fee_token, receipt.fee_amount) = (Address::ZERO, Amount::ZERO)
    }),
    ("node", |receipt| receipt.node = Address::ZERO),
    ("request", |receipt| receipt.request = B256::ZERO),
    ("previous", |receipt| receipt.previous = B256::repeat_byte(1)),
    ("times", |receipt| {
        (receipt.started_at, receipt.finished_at) = (1, 2)
    }),
];

#[test]
fn every_field_is_signed() {
    for (field, change) in CHANGES {
        let mut changed = signed();
        change(&mut changed.receipt);
        let expected = signer().address();
        assert!(
            matches!(
                check_signature(&changed, expected),
                Err(SignatureError::OtherDigest { .. })
            ),
            "{field}"
        );
        changed.digest = changed.receipt.digest();
        assert!(check_signature(&changed, expected).is_err(), "{field}");
    }
}

#[test]
fn a_receipt_agrees_with_its_statement_request_and_order() {
    let request = request(0, B256::ZERO);
    let receipt = receipt(&request);
    let expected = ExpectedFacts {
        order: Some(receipt.order),
        asset: receipt.asset.parse().ok(),
        nft: Some(receipt.nft),
        consumer: Some(receipt.consumer),
        datatoken: Some(receipt.datatoken),
        fee_token: Some(receipt.fee_token),
        fee_amount: Some(receipt.fee_amount),
        node: Some(receipt.node),
    };
    let statement = statement(INFER);
    check_statement(&receipt, &statement).unwrap();
    check_request(&receipt, &request).unwrap();
    check_facts(&receipt, &expected).unwrap();
    check_facts(&receipt, &ExpectedFacts::default()).unwrap();
    for (field, change) in CHANGES {
        let mut changed = receipt.clone();
        change(&mut changed);
        let agrees = check_statement(&changed, &statement).is_ok()
            && check_request(&changed, &request).is_ok()
            && check_facts(&changed, &expected).is_ok();
        // Times are the node's own word; everything else is known from elsewhere.
        assert_eq!(agrees, field == "times", "{field}");
    }
}

#[test]
fn differences_are_named() {
    let request = request(0, B256::ZERO);
    let mut receipt = receipt(&request);
    receipt.output = B256::ZERO;
    let error = check_statement(&receipt, &statement(INFER))
        .unwrap_err()
        .to_string();
    let output = statement(INFER).outputs.digest();
    assert_eq!(
        error,
        format!(
            "the receipt and the statement differ: the output: {} against {output}",
            B256::ZERO
        )
    );
    let expected = ExpectedFacts {
        fee_amount: Some(Amount::tokens(2)),
        ..ExpectedFacts::default()
    };
    assert_eq!(
        check_facts(&receipt, &expected).unwrap_err().to_string(),
        "the receipt and the order differ: the fee: 1000000000000000000 against 2000000000000000000",
    );
    let other = StartRequest { nonce: 9, ..request };
    let differences = check_request(&receipt, &other).unwrap_err();
    let what: Vec<&str> = differences
        .items()
        .iter()
        .map(|item| item.what.as_str())
        .collect();
    assert_eq!(what, ["the digest of the request", "the job"]);
}

#[test]
fn refusals_and_publications_are_checked_likewise() {
    let order = OrderId {
        chain_id: 8996,
        transaction: B256::repeat_byte(1),
        log_index: 0,
    };
    let refusal = Refusal {
        order,
        consumer: Address::repeat_byte(2),
        node: Address::repeat_byte(3),
        request: B256::repeat_byte(4),
        code: "text_empty".into(),
        reason: "The text is empty.".into(),
        at: 5,
    };
    let mut signed = sign_refusal(refusal, &signer()).unwrap();
    check_refusal(&signed, signer().address()).unwrap();
    assert!(check_refusal(&signed, stranger().address()).is_err());
    signed.refusal.reason.push('!');
    assert!(check_refusal(&signed, signer().address()).is_err());

    let statement = PublicationStatement {
        chain_id: 8996,
        nft: Address::repeat_byte(1),
        author: Address::repeat_byte(2),
        node: Address::repeat_byte(3),
        commitment: commitment(1),
        tokenizer: B256::repeat_byte(4),
        config: B256::repeat_byte(5),
        source: B256::repeat_byte(6),
        at: 7,
    };
    let signed = sign_publication(statement, &signer()).unwrap();
    check_publication(&signed, signer().address()).unwrap();
    assert!(check_publication(&signed, stranger().address()).is_err());
    let changes: [fn(&mut PublicationStatement); 9] = [
        |statement| statement.chain_id += 1,
        |statement| statement.nft = Address::ZERO,
        |statement| statement.author = Address::ZERO,
        |statement| statement.node = Address::ZERO,
        |statement| statement.commitment = commitment(2),
        |statement| statement.tokenizer = B256::ZERO,
        |statement| statement.config = B256::ZERO,
        |statement| statement.source = B256::ZERO,
        |statement| statement.at += 1,
    ];
    for change in changes {
        let mut changed = signed.clone();
        change(&mut changed.statement);
        let error = check_publication(&changed, signer().address());
        assert!(matches!(error, Err(SignatureError::OtherDigest { .. })));
    }
}

fn session(turns: u64) -> (Vec<SignedReceipt>, Vec<StartRequest>) {
    let (mut receipts, mut requests) = (Vec::<SignedReceipt>::new(), Vec::new());
    for turn in 0..turns {
        let request = request(turn, receipts.last().map_or(B256::ZERO, |signed| signed.digest));
        receipts.push(sign_receipt(receipt(&request), &signer()).unwrap());
        requests.push(request);
    }
    (receipts, requests)
}

#[test]
fn a_session_is_one_chain() {
    let (receipts, requests) = session(3);
    let address = signer().address();
    check_chain(&receipts, address).unwrap();
    check_chain(&receipts[..1], address).unwrap();
    check_session(&receipts, &requests, address).unwrap();
    assert_eq!(check_chain(&[], address), Err(ChainError::Empty));
    assert!(matches!(
        check_chain(&receipts[1..], address),
        Err(ChainError::Link { turn: 0, .. })
    ));
    let skipped = [receipts[0].clone(), receipts[2].clone()];
    assert!(matches!(
        check_chain(&skipped, address),
        Err(ChainError::Link { turn: 1, .. })
    ));
    let wrong = check_chain(&receipts, stranger().address());
    assert!(matches!(wrong, Err(ChainError::Signature { turn: 0, .. })));
    let short = check_session(&receipts, &requests[..2], address);
    assert_eq!(
        short,
        Err(ChainError::Count {
            receipts: 3,
            requests: 2
        })
    );
}

#[test]
fn what_does_not_belong_to_a_session_is_found() {
    let (receipts, requests) = session(2);
    let address = signer().address();
    let with = |change: fn(&mut Receipt)| {
        let mut other = receipts[1].receipt.clone();
        change(&mut other);
        check_chain(
            &[receipts[0].clone(), sign_receipt(other, &signer()).unwrap()],
            address,
        )
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert!(matches!(
        with(|receipt| receipt.engine.push_str("+bf16/amx")),
        Err(ChainError::Session { turn: 1, .. })
    ));
    assert!(matches!(
        with(|receipt| receipt.order.log_index += 1),
        Err(ChainError::Session { turn: 1, .. })
    ));
    assert!(matches!(
        with(|receipt| receipt.commitment_in = None),
        Err(ChainError::Session { turn: 1, .. })
    ));
    let mut twice = receipts[1].receipt.clone();
    twice.job = receipts[0].receipt.job;
    let twice = [receipts[0].clone(), sign_receipt(twice, &signer()).unwrap()];
    assert!(matches!(
        check_chain(&twice, address),
        Err(ChainError::Repeated { turn: 1, .. })
    ));

    let mut miscounted = requests.clone();
    miscounted[1].turn = 2;
    assert_eq!(
        check_session(&receipts, &miscounted, address),
        Err(ChainError::Turn { turn: 1, found: 2 })
    );
    let mut other = requests;
    other[1].nonce += 7;
    assert!(matches!(
        check_session(&receipts, &other, address),
        Err(ChainError::Request { turn: 1, .. })
    ));
}

#[test]
fn a_signature_travels_as_text() {
    let signed = signed();
    let text = serde_json::to_string(&signed).unwrap();
    let back: SignedReceipt = serde_json::from_str(&text).unwrap();
    assert_eq!(back, signed);
    assert_eq!(back.signature, Bytes::from(signed.signature.to_vec()));
}
