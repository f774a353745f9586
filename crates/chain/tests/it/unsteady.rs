//! A chain whose wire fails and whose server has limits, played by a few lines of HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::sol_types::SolEvent;
use posthuman_chain::bindings::IDatatoken;
use posthuman_chain::*;
use posthuman_types::{Address, B256, Bytes, U256, keccak256};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::market::told;

/// What the server does with a request: an answer, an error message, or a connection cut off.
enum Answer {
    Result(Value),
    Error(&'static str),
    Silence,
}

type Script = dyn FnMut(&str, &Value) -> Answer + Send;

/// Serves one script and returns its address.
async fn serve(script: impl FnMut(&str, &Value) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, script.clone()));
        }
    });
    url
}

/// One request per connection.
async fn talk(mut stream: TcpStream, script: Arc<Mutex<Box<Script>>>) {
    let mut bytes = Vec::new();
    let request: Value = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(request) = text
            .split_once("\r\n\r\n")
            .and_then(|(_, body)| serde_json::from_str(body).ok())
        {
            break request;
        }
    };
    let answer = script.lock().unwrap()(request["method"].as_str().unwrap(), &request["params"]);
    let body = match answer {
        Answer::Result(result) => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
        Answer::Error(message) => {
            json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": message}})
        }
        Answer::Silence => return,
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}",
        body.len()
    );
    stream
        .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
        .await
        .unwrap();
}

async fn chain(url: &str) -> Chain {
    chain_with(url, ChainOptions::default()).await
}

async fn chain_with(url: &str, options: ChainOptions) -> Chain {
    let book = json!({
        "chainId": 5, "Ocean": Address::ZERO, "Router": Address::ZERO, "FixedPrice": Address::ZERO,
        "Dispenser": Address::ZERO, "ERC721Factory": Address::ZERO
    });
    Chain::connect_with(url, serde_json::from_value(book).unwrap(), options)
        .await
        .unwrap()
}

fn signed() -> SignedTransaction {
    SignedTransaction {
        from: Address::ZERO,
        nonce: 3,
        hash: B256::repeat_byte(1),
        raw: Bytes::from_static(&[1]),
    }
}

#[tokio::test]
async fn a_request_is_repeated_when_the_wire_fails() {
    let mut asked = 0;
    let url = serve(move |method, _| match method {
        "eth_chainId" => Answer::Result(json!("0x5")),
        _ => {
            asked += 1;
            if asked < 3 {
                Answer::Silence
            } else {
                Answer::Result(json!("0x2a"))
            }
        }
    })
    .await;
    assert_eq!(chain(&url).await.block_number().await.unwrap(), 42);
}

#[tokio::test]
async fn a_range_that_is_too_large_is_halved() {
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = ranges.clone();
    let url = serve(move |method, params| match method {
        "eth_chainId" => Answer::Result(json!("0x5")),
        "eth_blockNumber" => Answer::Result(json!("0x2000")),
        _ => {
            let number = |key: &str| u64::from_str_radix(&params[0][key].as_str().unwrap()[2..], 16).unwrap();
            let (from, to) = (number("fromBlock"), number("toBlock"));
            if to - from >= 3000 {
                return Answer::Error("query returned more than 10000 results");
            }
            seen.lock().unwrap().push((from, to));
            Answer::Result(json!([]))
        }
    })
    .await;
    let chain = chain(&url).await;
    assert!(
        chain
            .splitter(Address::ZERO)
            .payments(7)
            .await
            .unwrap()
            .is_empty()
    );
    let (all, page) = (0x2000_u64 - 6, (0x2000_u64 - 6) / 4);
    let pages: Vec<_> = (0..all.div_ceil(page))
        .map(|index| (7 + index * page, (6 + (index + 1) * page).min(0x2000)))
        .collect();
    assert_eq!(std::mem::take(&mut *ranges.lock().unwrap()), pages);

    let mut cursor = EventCursor::new(
        EventQuery {
            contracts: vec![],
            topics: vec![],
        },
        7,
    );
    while cursor.next(&chain).await.unwrap().is_some() {}
    assert_eq!(
        *ranges.lock().unwrap(),
        [(7, 2506), (2507, 5006), (5007, 7506), (7507, 0x2000)]
    );
}

#[tokio::test]
async fn a_broadcast_whose_answer_was_lost_is_no_error() {
    for (message, mined, expected) in [
        ("already known", false, true),
        ("nonce too low", true, true),
        ("nonce too low", false, false),
        ("replacement transaction underpriced", false, false),
    ] {
        let url = serve(move |method, _| match method {
            "eth_chainId" => Answer::Result(json!("0x5")),
            "eth_getTransactionReceipt" if mined => Answer::Result(receipt()),
            "eth_getTransactionReceipt" => Answer::Result(Value::Null),
            _ => Answer::Error(message),
        })
        .await;
        let outcome = chain(&url).await.broadcast(&signed()).await;
        assert_eq!(outcome.is_ok(), expected, "{message}");
        if let Err(error) = outcome {
            assert!(matches!(error, ChainError::NonceTaken { .. }), "{error}");
        }
    }
}

fn receipt() -> Value {
    json!({
        "transactionHash": B256::repeat_byte(1), "transactionIndex": "0x0", "blockHash": B256::ZERO,
        "blockNumber": "0x9", "from": Address::ZERO, "to": Address::ZERO, "contractAddress": null,
        "cumulativeGasUsed": "0x1", "gasUsed": "0x1", "effectiveGasPrice": "0x1", "logs": [],
        "logsBloom": format!("0x{}", "00".repeat(256)), "status": "0x1", "type": "0x2"
    })
}

fn impatient() -> ChainOptions {
    ChainOptions {
        receipt_deadline: Duration::from_millis(300),
        poll_interval: Duration::from_millis(20),
    }
}

#[tokio::test]
async fn waiting_outlasts_a_chain_that_is_away() {
    let mut asked = 0;
    let url = serve(move |method, _| match method {
        "eth_chainId" => Answer::Result(json!("0x5")),
        _ => {
            asked += 1;
            match asked {
                // More than the attempts of one question.
                1..=5 => Answer::Silence,
                6 => Answer::Error("the database is locked"),
                _ => Answer::Result(receipt()),
            }
        }
    })
    .await;
    let receipt = chain(&url).await.wait(&signed()).await.unwrap();
    assert_eq!(receipt.transaction, signed().hash);
}

#[tokio::test]
async fn a_transaction_that_nobody_can_be_asked_for_is_named() {
    for (answer, class) in [
        (None, "no answer from"),
        (Some("the database is locked"), "refused"),
    ] {
        let url = serve(move |method, _| match method {
            "eth_chainId" => Answer::Result(json!("0x5")),
            _ => answer.map_or(Answer::Silence, Answer::Error),
        })
        .await;
        let chain = chain_with(&url, impatient()).await;
        let error = chain.wait(&signed()).await.unwrap_err();
        assert!(matches!(error, ChainError::Deadline { .. }), "{error}");
        let told = told(error);
        assert!(
            told.contains(&signed().hash.to_string()) && told.contains(class),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_transaction_whose_sending_was_cut_off_is_waited_for() {
    for mined in [true, false] {
        let hash = Arc::new(Mutex::new(None));
        let url = serve(move |method, params| match method {
            "eth_chainId" => Answer::Result(json!("0x5")),
            "eth_getBalance" => Answer::Result(json!("0xffffffffffffffff")),
            "eth_feeHistory" => Answer::Result(json!({
                "oldestBlock": "0x1", "baseFeePerGas": ["0x1", "0x1"], "gasUsedRatio": [0.5], "reward": [["0x1"]]
            })),
            "eth_sendRawTransaction" => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                *hash.lock().unwrap() = Some(keccak256(raw));
                Answer::Silence
            }
            "eth_getTransactionReceipt" if mined => {
                let mut receipt = receipt();
                receipt["transactionHash"] = json!(*hash.lock().unwrap());
                Answer::Result(receipt)
            }
            "eth_getTransactionReceipt" => Answer::Result(Value::Null),
            _ => Answer::Result(json!("0x0")),
        })
        .await;
        let chain = chain_with(&url, impatient()).await;
        let call = Call::pay(Address::ZERO, U256::ONE).with_gas(21_000);
        match chain.send(&Wallet::random(), call).await {
            Ok(receipt) => assert!(mined && receipt.success),
            Err(error) => assert!(
                !mined && matches!(error, ChainError::Deadline { .. }),
                "{}",
                told(error)
            ),
        }
    }
}

#[tokio::test]
async fn a_renewal_in_a_block_that_nobody_knows_is_a_fault() {
    let order = B256::repeat_byte(7);
    let reused = IDatatoken::OrderReused {
        orderTxId: order,
        caller: Address::ZERO,
        timestamp: U256::ONE,
        number: U256::ONE,
    };
    let fee = IDatatoken::ProviderFee {
        providerFeeAddress: Address::ZERO,
        providerFeeToken: Address::ZERO,
        providerFeeAmount: U256::ONE,
        providerData: Bytes::new(),
        v: 27,
        r: B256::ZERO,
        s: B256::ZERO,
        validUntil: U256::ONE,
    };
    let logs = json!([log(&reused.encode_log_data(), 0), log(&fee.encode_log_data(), 1)]);
    let url = serve(move |method, _| match method {
        "eth_chainId" => Answer::Result(json!("0x5")),
        "eth_blockNumber" => Answer::Result(json!("0x9")),
        "eth_getLogs" => Answer::Result(logs.clone()),
        _ => Answer::Result(Value::Null),
    })
    .await;
    let datatoken = chain(&url).await.datatoken(Address::ZERO);
    let error = datatoken.renewals(order, 0).await.unwrap_err();
    assert!(
        error.to_string().contains("block 9 of transaction 0x0202"),
        "{error}"
    );
}

fn log(data: &alloy::primitives::LogData, index: u8) -> Value {
    json!({
        "address": Address::ZERO, "topics": data.topics(), "data": data.data, "blockNumber": "0x9",
        "blockHash": B256::ZERO, "transactionHash": B256::repeat_byte(2), "transactionIndex": "0x0",
        "logIndex": format!("{index:#x}"), "removed": false
    })
}

#[tokio::test]
async fn an_answer_of_another_shape_is_told() {
    let url = serve(|method, _| match method {
        "eth_chainId" => Answer::Result(json!("0x5")),
        _ => Answer::Result(json!({"strange": true})),
    })
    .await;
    let error = chain(&url).await.block_number().await.unwrap_err();
    assert!(error.to_string().contains("has an unexpected shape"), "{error}");
}
