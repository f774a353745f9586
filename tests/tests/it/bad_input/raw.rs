//! Requests as another program may send them.

use posthuman::Market;
use posthuman_chain::Wallet;
use posthuman_types::api::{InputReference, Job, SignIn, StartJob};
use posthuman_types::{Digest, OrderId, StartRequest};
use serde_json::{Value, json};

/// A node's address and perhaps a token.
pub struct Raw {
    http: reqwest::Client,
    pub url: String,
    pub token: Option<String>,
}

/// Status and body.
pub type Answer = (u16, Value);

impl Raw {
    /// Signed in as nobody.
    pub fn new(url: &str) -> Self {
        // A connection that the node closed after a body that it did not want is not used again.
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            // No proxy from the environment reaches this machine's own ports.
            .no_proxy()
            .build()
            .unwrap();
        Self {
            http,
            url: url.to_owned(),
            token: None,
        }
    }

    /// Signed in.
    pub async fn signed_in(person: &Market, wallet: &Wallet) -> Self {
        let mut raw = Self::new(person.node().url());
        let (status, body) = raw.sign_in(person, wallet, None).await;
        assert_eq!(status, 200, "{body}");
        raw.token = body["token"].as_str().map(str::to_owned);
        raw
    }

    /// Signs in with a nonce, or the next one.
    pub async fn sign_in(&self, person: &Market, wallet: &Wallet, nonce: Option<u64>) -> Answer {
        let address = wallet.address();
        let nonce = match nonce {
            Some(nonce) => nonce,
            None => self.next_nonce(wallet).await,
        };
        let info = person.info();
        let message = SignIn::message(info.wallet, info.chain_id, address, nonce);
        let signature = wallet
            .sign_message(message.as_bytes())
            .unwrap()
            .as_bytes()
            .to_vec()
            .into();
        let body = serde_json::to_value(SignIn {
            address,
            nonce,
            signature,
        })
        .unwrap();
        self.post("/api/v1/sign-in", body).await
    }

    pub async fn next_nonce(&self, wallet: &Wallet) -> u64 {
        let (_, body) = self
            .ask("GET", &format!("/api/v1/nonces/{}", wallet.address()), "", "")
            .await;
        body["nonce"].as_u64().unwrap()
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let method: reqwest::Method = method.parse().unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, "application/json", body.to_string()).await
    }

    /// Announces an upload and sends its bytes whole. Answers its id.
    pub async fn upload(&self, bytes: &[u8]) -> String {
        let digest = posthuman_types::keccak256(bytes);
        let announced = json!({ "name": "text", "bytes": bytes.len(), "digest": digest });
        let (status, body) = self.post("/api/v1/uploads", announced).await;
        assert_eq!(status, 200, "{body}");
        let id = body["id"].as_str().unwrap().to_owned();
        for (index, chunk) in bytes.chunks(4 << 20).enumerate() {
            let path = format!("/api/v1/uploads/{id}?offset={}", index * (4 << 20));
            let (status, body) = self
                .ask("PUT", &path, "application/octet-stream", chunk.to_vec())
                .await;
            assert_eq!(status, 200, "{body}");
        }
        id
    }
}

/// Code and message of an error body.
#[track_caller]
pub fn error_of(answer: &Answer) -> (&str, &str) {
    let error = &answer.1["error"];
    let text = |name: &str| {
        error[name]
            .as_str()
            .unwrap_or_else(|| panic!("no error body: {answer:?}"))
    };
    (text("code"), text("message"))
}

/// A start request with everything that can be wrong in it.
#[derive(Clone, Debug)]
pub struct Start {
    pub request: StartRequest,
    pub inputs: Vec<InputReference>,
    pub prompt: Option<String>,
}

impl Start {
    /// What starts an offer on an order.
    pub fn of(offer: &posthuman::Offer, order: OrderId, nonce: u64) -> Self {
        let request = StartRequest {
            order,
            datatoken: offer.quote.datatoken,
            operation: offer.quote.operation,
            input: offer.quote.input,
            parameters: offer.work.parameters.to_canonical(),
            turn: 0,
            previous: Digest::ZERO,
            nonce,
        };
        Self {
            request,
            inputs: offer.inputs.clone(),
            prompt: None,
        }
    }

    /// Signs it as `wallet` and sends it.
    pub async fn send(&self, person: &Market, wallet: &Wallet) -> Result<Job, posthuman::MarketError> {
        let signature = wallet
            .sign_message(self.request.digest().as_slice())
            .unwrap()
            .as_bytes()
            .to_vec()
            .into();
        let Self {
            request,
            inputs,
            prompt,
        } = self.clone();
        person
            .node()
            .start(&StartJob {
                request,
                signature,
                inputs,
                prompt,
            })
            .await
    }
}
