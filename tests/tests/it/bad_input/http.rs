//! The wire: routes, methods, bodies, ids, tokens and uploads.

use e2e::market::{MarketSetup, Person};
use posthuman_types::keccak256;
use serde_json::json;

use super::assert_sentence;
use super::raw::{Raw, error_of};
use crate::ground::{block_on, ground};

#[test]
fn whatever_is_sent_the_answer_has_one_shape() {
    let ground = ground();
    block_on(async {
        let market = ground.frozen.thaw(MarketSetup::default()).await.unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let nobody = Raw::new(market.node_url());
        let wallet = Person::Bob.wallet();
        let raw = Raw::signed_in(&bob, &wallet).await;
        let alices_job = ground.receipt.receipt.job;
        let (alice, did) = (
            Person::Alice.wallet().address(),
            format!("did:op:{}", "0".repeat(64)),
        );
        let json = "application/json";
        let big = "x".repeat(700_000);
        let cases: &[(&Raw, &str, String, &str, &str, u16, &str)] = &[
            (&nobody, "GET", "/nowhere".into(), "", "", 404, "not_found"),
            (
                &nobody,
                "DELETE",
                "/api/v1/node".into(),
                "",
                "",
                405,
                "method_not_allowed",
            ),
            (
                &nobody,
                "POST",
                "/api/v1/jobs".into(),
                json,
                "{",
                400,
                "body_invalid",
            ),
            (
                &nobody,
                "POST",
                "/api/v1/jobs".into(),
                json,
                "{\"request\": 7}",
                400,
                "body_invalid",
            ),
            (
                &nobody,
                "POST",
                "/api/v1/jobs".into(),
                "text/plain",
                "{}",
                415,
                "content_type_unsupported",
            ),
            (
                &nobody,
                "POST",
                "/api/v1/jobs".into(),
                json,
                &big,
                413,
                "body_too_large",
            ),
            (
                &nobody,
                "GET",
                format!("/api/v1/assets/{did}"),
                "",
                "",
                404,
                "asset_not_found",
            ),
            (
                &nobody,
                "GET",
                "/api/v1/assets/did:op:1".into(),
                "",
                "",
                400,
                "id_invalid",
            ),
            (
                &nobody,
                "GET",
                "/api/v1/assets?limit=many".into(),
                "",
                "",
                400,
                "query_invalid",
            ),
            (
                &nobody,
                "GET",
                format!("/api/v1/jobs/{alices_job}"),
                "",
                "",
                401,
                "unauthorized",
            ),
            (
                &nobody,
                "GET",
                format!("/api/v1/jobs/{alices_job}/events"),
                "",
                "",
                401,
                "unauthorized",
            ),
            (
                &nobody,
                "POST",
                "/api/v1/uploads".into(),
                json,
                "{}",
                401,
                "unauthorized",
            ),
            (
                &raw,
                "GET",
                format!("/api/v1/jobs/{alices_job}"),
                "",
                "",
                404,
                "job_not_found",
            ),
            (
                &raw,
                "GET",
                format!("/api/v1/jobs/{alices_job}/outputs/metrics.json"),
                "",
                "",
                404,
                "job_not_found",
            ),
            (
                &raw,
                "POST",
                format!("/api/v1/jobs/{alices_job}/cancel"),
                json,
                "{}",
                404,
                "job_not_found",
            ),
            (
                &raw,
                "GET",
                format!("/api/v1/addresses/{alice}/jobs"),
                "",
                "",
                401,
                "unauthorized",
            ),
            (&raw, "GET", "/api/v1/jobs/12".into(), "", "", 400, "id_invalid"),
        ];
        for (sender, method, path, content_type, body, status, code) in cases {
            let answer = sender.ask(method, path, content_type, (*body).to_owned()).await;
            let (found, message) = error_of(&answer);
            assert_eq!((answer.0, found), (*status, *code), "{method} {path}: {message}");
            assert_sentence(message);
        }
        let replayed = nobody.sign_in(&bob, &wallet, Some(1)).await;
        assert_eq!((replayed.0, error_of(&replayed).0), (409, "nonce_replayed"));
        let stolen = nobody.sign_in(&bob, &Person::Derek.wallet(), Some(1)).await;
        assert_eq!(stolen.0, 200, "a first nonce is good: {stolen:?}");
        uploads(&raw, &bob, &ground.root.did.to_string()).await;
    });
}

async fn uploads(raw: &Raw, bob: &posthuman::Market, did: &str) {
    let text = b"Call me Ishmael. Some years ago, never mind how long precisely".as_slice();
    let announce = |bytes: usize| json!({ "name": "text", "bytes": bytes, "digest": keccak256(text) });
    let limit = usize::try_from(bob.info().limits.upload_bytes).unwrap();
    for (bytes, status, code) in [(0, 400, "text_empty"), (limit + 1, 413, "upload_too_large")] {
        let answer = raw.post("/api/v1/uploads", announce(bytes)).await;
        let (found, message) = error_of(&answer);
        assert_eq!((answer.0, found), (status, code));
        assert_sentence(message);
    }
    let (_, upload) = raw.post("/api/v1/uploads", announce(text.len())).await;
    let id = upload["id"].as_str().unwrap();
    let put = async |offset: usize, bytes: &[u8]| {
        let path = format!("/api/v1/uploads/{id}?offset={offset}");
        raw.ask("PUT", &path, "application/octet-stream", bytes.to_vec())
            .await
    };
    assert_eq!(put(0, &text[..20]).await.0, 200);
    let wrong = put(5, &text[5..]).await;
    assert_eq!((wrong.0, error_of(&wrong).0), (409, "upload_offset"));
    assert!(
        error_of(&wrong).1.contains("20"),
        "it says where to go on: {wrong:?}"
    );

    // What is truncated cannot be used.
    let quote = json!({
        "did": did, "operation": "train", "consumer": bob.address(),
        "inputs": [{ "name": "text", "upload": id }],
        "parameters": posthuman_types::Parameters::Train(e2e::texts::tiny_child("Child")).to_canonical(),
    });
    let truncated = raw.post("/api/v1/initialize", quote.clone()).await;
    assert_eq!(
        (truncated.0, error_of(&truncated).0),
        (409, "upload_incomplete"),
        "{truncated:?}"
    );

    // Other bytes than were announced: nothing of them is kept, and the right ones go through.
    let mut other = text[20..].to_vec();
    other[0] ^= 1;
    let wrong = put(20, &other).await;
    assert_eq!((wrong.0, error_of(&wrong).0), (400, "upload_digest"), "{wrong:?}");
    let (_, state) = raw.ask("GET", &format!("/api/v1/uploads/{id}"), "", "").await;
    assert_eq!(
        (state["received"].as_u64(), state["complete"].as_bool()),
        (Some(0), Some(false))
    );
    let whole = put(0, text).await;
    assert_eq!(
        (whole.0, whole.1["complete"].as_bool()),
        (200, Some(true)),
        "{whole:?}"
    );
}
