//! One request and its repetitions.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::{NodeClient, error_body};
use crate::MarketError;

/// An answer that takes longer is given up and asked for again.
const ANSWER: Duration = Duration::from_secs(120);
/// Largest JSON answer or output file that is read.
const LARGEST: usize = 256 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

impl NodeClient {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, MarketError> {
        self.send(self.request("GET", self.url_of(path))).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, MarketError> {
        self.send(self.request("POST", self.url_of(path)).json(body))
            .await
    }

    pub(super) fn url_of(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }

    pub(super) fn root_url(&self, name: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(name);
        }
        url
    }

    pub(super) fn request(&self, method: &str, url: Url) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("methods here are plain upper-case words");
        self.http.request(method, url).timeout(ANSWER)
    }

    /// Sends, repeats while the node cannot be reached, reads JSON.
    pub(super) async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, MarketError> {
        let body = self.send_bytes(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.strange("a request", &error.to_string()))
    }

    /// Sends, repeats while the node cannot be reached, reads the body whole.
    pub(super) async fn send_bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, MarketError> {
        let response = self.answer(request).await?;
        let status = response.status();
        let body = self.body(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        Err(MarketError::Node(Box::new(error_body::read(
            status.as_u16(),
            &body,
        ))))
    }

    /// The first answer that is not "unavailable", or the last one when patience ends.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Response, MarketError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            // Bodies here are bytes in memory, which can be sent again.
            let attempt = request.try_clone().expect("no body is a stream");
            let last = begun.elapsed() + pause > self.patience;
            match attempt.send().await {
                Ok(response) if last || !is_unavailable(response.status().as_u16()) => return Ok(response),
                Ok(response) => tracing::debug!(
                    status = response.status().as_u16(),
                    "the node is unavailable; asking again"
                ),
                Err(source) if last => return Err(self.unreachable(source)),
                Err(error) => tracing::debug!(%error, "no answer from the node; asking again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, MarketError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.unreachable(source))?
        {
            if body.len() + chunk.len() > LARGEST {
                return Err(self.strange("a request", "it is larger than 256 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn unreachable(&self, source: reqwest::Error) -> MarketError {
        MarketError::Unreachable {
            url: self.url().to_owned(),
            source: source.without_url(),
        }
    }

    pub(super) fn strange(&self, what: &str, why: &str) -> MarketError {
        MarketError::Strange {
            url: self.url().to_owned(),
            what: what.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// Adds the fields of a flat struct that are set.
pub(super) fn append_query(url: &mut Url, query: &impl Serialize) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else {
        return;
    };
    for (name, value) in fields {
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => continue,
        };
        url.query_pairs_mut().append_pair(&name, &text);
    }
}

fn is_unavailable(status: u16) -> bool {
    matches!(status, 502..=504)
}

#[cfg(test)]
mod tests {
    use posthuman_types::api::{AssetKind, AssetQuery};

    use super::*;

    #[test]
    fn queries_carry_what_is_set() {
        let mut url = Url::parse("http://node/assets").unwrap();
        let query = AssetQuery {
            q: Some("white whale & sea".into()),
            kind: Some(AssetKind::Model),
            limit: Some(5),
            ..AssetQuery::default()
        };
        append_query(&mut url, &query);
        assert_eq!(url.query(), Some("kind=model&limit=5&q=white+whale+%26+sea"));
    }

    #[test]
    fn paths_keep_ids_whole_and_prefixes() {
        let client = NodeClient::new("http://node/market/").unwrap();
        let url = client.url_of(&["assets", "did:op:00", "a/b"]);
        assert_eq!(url.as_str(), "http://node/market/api/v1/assets/did:op:00/a%2Fb");
    }
}
