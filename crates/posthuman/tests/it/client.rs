//! Lost answers, foreign servers, restarts.

use std::time::Duration;

use posthuman::{Goal, MarketError, NodeClient};
use posthuman_chain::Wallet;
use posthuman_types::{ErrorClass, JobId};
use serde_json::{Value, json};

use crate::fake::{Answer, Fake, Request};

const ADDRESS: &str = "0x0000000000000000000000000000000000000001";

fn ok(body: Value) -> Answer {
    (200, "application/json", body.to_string())
}

fn error(status: u16, code: &str) -> Answer {
    (
        status,
        "application/json",
        json!({ "error": { "code": code, "message": "A sentence." } }).to_string(),
    )
}

fn info() -> Value {
    let did = format!("did:op:{}", "0".repeat(64));
    json!({
        "version": "0", "engine": "e", "chain_id": 8996, "wallet": ADDRESS, "receipt_signer": ADDRESS,
        "identity_nft": ADDRESS, "base_token": ADDRESS,
        "contracts": { "factory": ADDRESS, "router": ADDRESS, "exchange": ADDRESS, "resale_exchange": ADDRESS },
        "blank": did, "operations": { "train": did, "infer": did, "evaluate": did },
        "fees": { "train": "1", "infer": "1", "evaluate": "1" }, "birth_supply": "1",
        "limits": { "upload_bytes": 1, "chunk_bytes": 4, "prompt_bytes": 1, "quote_seconds": 1, "model_parameters": 1 },
        "sandboxed": true,
    })
}

fn job(state: &str) -> Value {
    let zero = format!("0x{}", "0".repeat(64));
    json!({
        "id": "0".repeat(32), "order": { "chain_id": 8996, "transaction": zero, "log_index": 0 },
        "did": format!("did:op:{}", "0".repeat(64)), "operation": "evaluate", "turn": 0, "consumer": ADDRESS,
        "state": state, "running": false, "queue_position": null, "attempt": 1, "inputs": [], "parameters": "{}",
        "progress": null, "failure": null, "outputs": [], "usage": null, "receipt": null, "published": null,
        "settlement": null, "created_at": 0, "started_at": null, "finished_at": null,
    })
}

/// Signing in, for every test that needs it.
fn sign_in(request: &Request, count: usize) -> Option<Answer> {
    Some(match request.path.as_str() {
        "/api/v1/node" => ok(info()),
        path if path.starts_with("/api/v1/nonces/") => ok(json!({ "nonce": count + 1 })),
        "/api/v1/sign-in" => ok(
            json!({ "token": format!("token-{count}"), "address": ADDRESS, "expires_at": 99_999_999_999_u64 }),
        ),
        _ => return None,
    })
}

fn client(fake: &Fake) -> NodeClient {
    let client = NodeClient::new(&fake.url)
        .unwrap()
        .with_patience(Duration::from_secs(120));
    client.with_wallet(Wallet::random())
}

#[tokio::test]
async fn an_unavailable_node_is_asked_again_and_its_error_arrives_in_the_end() {
    let fake = Fake::start(|_, count| {
        if count < 2 {
            error(503, "node_busy")
        } else {
            ok(info())
        }
    })
    .await;
    assert_eq!(client(&fake).info().await.unwrap().chain_id, 8996);
    assert_eq!(fake.asked("/api/v1/node").len(), 3);
    let fake = Fake::start(|_, _| error(503, "node_busy")).await;
    let hasty = client(&fake).with_patience(Duration::from_secs(2));
    let refused = hasty.info().await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.class()),
        ("node_busy", ErrorClass::Unavailable)
    );
}

#[tokio::test]
async fn other_services_are_told_apart() {
    let fake = Fake::start(|_, _| (200, "text/html", "<html>".to_owned())).await;
    assert!(matches!(
        client(&fake).info().await,
        Err(MarketError::Strange { .. })
    ));
    let fake = Fake::start(|_, _| (404, "text/html", "<html>".to_owned())).await;
    assert_eq!(
        client(&fake).info().await.unwrap_err().class(),
        ErrorClass::NotFound
    );
    let nobody = NodeClient::new("http://127.0.0.1:1")
        .unwrap()
        .with_patience(Duration::ZERO);
    assert!(matches!(
        nobody.info().await,
        Err(MarketError::Unreachable { .. })
    ));
}

#[tokio::test]
async fn a_forgotten_token_and_a_used_nonce_are_renewed() {
    let fake = Fake::start(|request, count| {
        if request.path == "/api/v1/sign-in" && count == 0 {
            return error(409, "nonce_replayed");
        }
        if let Some(answer) = sign_in(request, count) {
            return answer;
        }
        match request.header("authorization").as_deref() {
            Some("Bearer token-2") => ok(job("queued")),
            _ => error(401, "unauthorized"),
        }
    })
    .await;
    client(&fake).job(JobId([0; 16])).await.unwrap();
    assert_eq!(fake.asked("/api/v1/sign-in").len(), 3);
}

#[tokio::test]
async fn an_upload_goes_on_where_the_node_is() {
    let fake = Fake::start(|request, count| {
        if let Some(answer) = sign_in(request, count) {
            return answer;
        }
        let upload = |received: u64| {
            let digest = format!("0x{}", "0".repeat(64));
            ok(json!({ "id": "1".repeat(32), "name": "text", "bytes": 10, "digest": digest, "received": received,
                "complete": received == 10, "chunk_bytes": 4, "expires_at": 0 }))
        };
        match (request.method.as_str(), request.path.split("offset=").nth(1)) {
            ("POST", _) => upload(0),
            // The first chunk arrived, its answer was lost: the node is further than the client thinks.
            ("PUT", Some("0")) => error(409, "upload_offset"),
            ("GET", _) => upload(4),
            ("PUT", Some("4")) => upload(8),
            ("PUT", Some("8")) if request.body == b"89" => upload(10),
            _ => error(400, "upload_offset_wrong"),
        }
    })
    .await;
    let mut heard = Vec::new();
    let upload = client(&fake)
        .upload_bytes("text", b"0123456789".as_slice().into(), &mut |sent, _| {
            heard.push(sent)
        })
        .await
        .unwrap();
    assert!(upload.complete);
    assert_eq!(heard, [0, 4, 8, 10]);
}

#[tokio::test]
async fn events_are_heard_once_through_a_broken_stream() {
    let event = |sequence: u64, state: &str| {
        let data = json!({ "sequence": sequence, "at_milliseconds": 0, "state": state, "progress": null,
            "tokens_per_second": null, "eta_seconds": null });
        format!("id: {sequence}\ndata: {data}\n\n")
    };
    let fake = Fake::start(move |request, count| {
        if let Some(answer) = sign_in(request, count) {
            return answer;
        }
        if !request.path.ends_with("/events") {
            return ok(job(if count == 0 { "queued" } else { "receipted" }));
        }
        let body = match request.header("last-event-id").as_deref() {
            Some("0") => event(1, "queued") + &event(2, "queued"),
            // A careless server repeats what was heard.
            Some("2") => event(2, "queued") + &event(3, "receipted"),
            _ => String::new(),
        };
        (200, "text/event-stream", body)
    })
    .await;
    let mut heard = Vec::new();
    let mut listener = |event: &posthuman_types::api::JobEvent| heard.push(event.sequence);
    let job = client(&fake)
        .follow(JobId([0; 16]), Goal::Receipted, &mut listener)
        .await
        .unwrap();
    assert_eq!(job.state, posthuman_types::JobState::Receipted);
    assert_eq!(heard, [1, 2, 3]);
}
