//! Signing in, and requests that are private to an address.

use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use posthuman_types::ErrorClass;
use posthuman_types::api::{AccessToken, NextNonce, SignIn};
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::{Account, NodeClient};
use crate::MarketError;

/// A token is renewed when it has less than this to live.
const MARGIN_SECONDS: u64 = 30;
/// How often a nonce that another program used first is asked for anew.
const NONCE_ATTEMPTS: usize = 5;

impl NodeClient {
    pub(super) async fn get_private<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, MarketError> {
        self.send_private("GET", self.url_of(path), None).await
    }

    pub(super) async fn post_private<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, MarketError> {
        let body = serde_json::to_vec(body).expect("bodies of this dialect are plain JSON");
        self.send_private("POST", self.url_of(path), Some(body)).await
    }

    pub(super) async fn send_private<T: DeserializeOwned>(
        &self,
        method: &str,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<T, MarketError> {
        let mut request = self.request(method, url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = self
            .with_token(request, |request| self.send_bytes(request))
            .await?;
        serde_json::from_slice(&answer).map_err(|error| self.strange("a request", &error.to_string()))
    }

    pub(super) async fn bytes_private(&self, url: Url) -> Result<Vec<u8>, MarketError> {
        self.with_token(self.request("GET", url), |request| self.send_bytes(request))
            .await
    }

    /// Runs `send` with a token; once more with a new one if the node no longer knows it, as after a restart.
    pub(super) async fn with_token<T, F: Future<Output = Result<T, MarketError>>>(
        &self,
        request: RequestBuilder,
        send: impl Fn(RequestBuilder) -> F,
    ) -> Result<T, MarketError> {
        let again = request.try_clone().expect("no body is a stream");
        let token = self.token(None).await?;
        match send(request.bearer_auth(&token)).await {
            Err(error) if error.class() == ErrorClass::Unauthorized => {
                let renewed = self.token(Some(&token)).await?;
                send(again.bearer_auth(renewed)).await
            }
            other => other,
        }
    }

    /// The current token, or a new one where there is none, it ends soon, or it is the `refused` one.
    async fn token(&self, refused: Option<&str>) -> Result<String, MarketError> {
        let account = self.account()?;
        let mut slot = account.token.lock().await;
        if let Some(token) = slot.as_ref()
            && token.expires_at > now() + MARGIN_SECONDS
            && refused != Some(token.token.as_str())
        {
            return Ok(token.token.clone());
        }
        let token = self.sign_in(account).await?;
        let text = token.token.clone();
        *slot = Some(token);
        Ok(text)
    }

    async fn sign_in(&self, account: &Account) -> Result<AccessToken, MarketError> {
        let info = self.info().await?;
        let address = account.wallet.address();
        self.with_nonce(|nonce| async move {
            let message = SignIn::message(info.wallet, info.chain_id, address, nonce);
            let signature = account.wallet.sign_message(message.as_bytes())?;
            let sign_in = SignIn {
                address,
                nonce,
                signature: signature.as_bytes().to_vec().into(),
            };
            self.post(&["sign-in"], &sign_in).await
        })
        .await
    }

    /// Runs `work` with the next nonce, one at a time, and with a newer one if another program used it first.
    pub(crate) async fn with_nonce<T, F: Future<Output = Result<T, MarketError>>>(
        &self,
        work: impl Fn(u64) -> F,
    ) -> Result<T, MarketError> {
        let account = self.account()?;
        let address = account.wallet.address().to_string();
        let _one_at_a_time = account.nonces.lock().await;
        for _ in 1..NONCE_ATTEMPTS {
            let NextNonce { nonce } = self.get(&["nonces", &address]).await?;
            match work(nonce).await {
                Err(MarketError::Node(answer)) if answer.code == "nonce_replayed" => {}
                other => return other,
            }
        }
        let NextNonce { nonce } = self.get(&["nonces", &address]).await?;
        work(nonce).await
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
