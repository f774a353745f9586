//! A chain whose wire fails and whose server has limits, played by a few lines of HTTP.

use std::sync::{Arc, Mutex};

use posthuman_chain::*;
use posthuman_types::{Address, B256, Bytes};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    let book = json!({
        "chainId": 5, "Ocean": Address::ZERO, "Router": Address::ZERO, "FixedPrice": Address::ZERO,
        "Dispenser": Address::ZERO, "ERC721Factory": Address::ZERO
    });
    Chain::connect(url, serde_json::from_value(book).unwrap())
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
