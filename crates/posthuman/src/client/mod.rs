//! The market's HTTP dialect from the client's side: requests, sign-in, uploads, events.
//!
//! A [`NodeClient`] repeats what may be repeated: reads, chunks of an upload by their offset, and starts, which the
//! node recognises. It never sends a key; with a wallet it signs in for what is private to an address.

mod error_body;
mod events;
mod request;
mod sign_in;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use posthuman_chain::{Wallet, is_loopback};
use posthuman_types::api::{
    AccessToken, Asset, AssetPage, AssetQuery, Health, ImportModel, ImportedModel, Job, JobPage, Lineage,
    NodeInfo, OpenSale, Order, Quote, QuoteRequest, Royalties, Sale, StartJob,
};
use posthuman_types::{Address, Did, Digest, JobId, OrderId, SignedReceipt};
use tokio::sync::Mutex;
use url::Url;

pub use events::Goal;

use crate::MarketError;

/// How long an unreachable node is waited for, unless said otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A node's HTTP interface, with or without a wallet to sign in with. Clones share one connection pool and one token.
#[derive(Clone, Debug)]
pub struct NodeClient {
    http: reqwest::Client,
    base: Url,
    patience: Duration,
    account: Option<Arc<Account>>,
}

/// What is private to an address.
#[derive(Debug)]
struct Account {
    wallet: Wallet,
    token: Mutex<Option<AccessToken>>,
    /// Held from asking for a nonce until the node has used it.
    nonces: Mutex<()>,
}

impl NodeClient {
    /// A client of the node at `url`, such as `http://127.0.0.1:8001`. Connects to nothing yet.
    ///
    /// # Errors
    /// An address that is not `http`: this build carries no TLS, put a proxy in front of a distant node.
    pub fn new(url: &str) -> Result<Self, MarketError> {
        let bad = |why: &str| MarketError::BadUrl {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let base = Url::parse(url).map_err(|_| bad("give it as http://HOST:PORT"))?;
        match base.scheme() {
            "http" if base.host_str().is_some() => {}
            "https" => {
                return Err(bad(
                    "this build speaks no TLS; give the http:// address of a local proxy",
                ));
            }
            _ => return Err(bad("give it as http://HOST:PORT")),
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("posthuman/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // A proxy from the environment knows nothing of this machine's own ports.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|source| MarketError::Unreachable {
            url: url.to_owned(),
            source,
        })?;
        Ok(Self {
            http,
            base,
            patience: PATIENCE,
            account: None,
        })
    }

    /// The same client, signing in as `wallet` where a request is private to an address.
    pub fn with_wallet(mut self, wallet: Wallet) -> Self {
        self.account = Some(Arc::new(Account {
            wallet,
            token: Mutex::default(),
            nonces: Mutex::default(),
        }));
        self
    }

    /// The same client, waiting so long for a node that does not answer.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// What the node says about itself.
    ///
    /// # Errors
    /// As every method here: no answer, an answer of another shape, or the node's own error.
    pub async fn info(&self) -> Result<NodeInfo, MarketError> {
        self.get(&["node"]).await
    }

    /// How the node is.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn health(&self) -> Result<Health, MarketError> {
        self.send(self.request("GET", self.root_url("health"))).await
    }

    /// Assets that match a query.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn assets(&self, query: &AssetQuery) -> Result<AssetPage, MarketError> {
        let mut url = self.url_of(&["assets"]);
        request::append_query(&mut url, query);
        self.send(self.request("GET", url)).await
    }

    /// One asset.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn asset(&self, did: &Did) -> Result<Asset, MarketError> {
        self.get(&["assets", did.as_str()]).await
    }

    /// The asset's DDO, as it stands on the chain.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn ddo(&self, did: &Did) -> Result<serde_json::Value, MarketError> {
        self.get(&["assets", did.as_str(), "ddo"]).await
    }

    /// The models it descends from and those trained from it.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn lineage(&self, did: &Did) -> Result<Lineage, MarketError> {
        self.get(&["assets", did.as_str(), "lineage"]).await
    }

    /// Who is paid when the asset is used or resold.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn royalties(&self, did: &Did) -> Result<Royalties, MarketError> {
        self.get(&["assets", did.as_str(), "royalties"]).await
    }

    /// Asks what a job would cost and whether it fits, before paying.
    ///
    /// # Errors
    /// As [`NodeClient::info`]; the node's error names what does not fit.
    pub async fn quote(&self, request: &QuoteRequest) -> Result<Quote, MarketError> {
        self.post_private(&["initialize"], request).await
    }

    /// Starts a job. Sending the same request again is harmless.
    ///
    /// # Errors
    /// As [`NodeClient::info`]; a refusal on a paid order carries the node's signed statement.
    pub async fn start(&self, start: &StartJob) -> Result<Job, MarketError> {
        self.post(&["jobs"], start).await
    }

    /// A job of the signed-in address.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn job(&self, job: JobId) -> Result<Job, MarketError> {
        self.get_private(&["jobs", &job.to_string()]).await
    }

    /// Jobs of the signed-in address, newest first.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn jobs(&self, limit: u64, offset: u64) -> Result<JobPage, MarketError> {
        let address = self.address()?.to_string();
        let mut url = self.url_of(&["addresses", &address, "jobs"]);
        url.query_pairs_mut()
            .append_pair("limit", &limit.to_string())
            .append_pair("offset", &offset.to_string());
        self.send_private("GET", url, None).await
    }

    /// One output file of a job, whole.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn output(&self, job: JobId, name: &str) -> Result<Vec<u8>, MarketError> {
        self.bytes_private(self.url_of(&["jobs", &job.to_string(), "outputs", name]))
            .await
    }

    /// Cancels a job; its order stays open.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn cancel(&self, job: JobId) -> Result<Job, MarketError> {
        self.post_private(&["jobs", &job.to_string(), "cancel"], &serde_json::json!({}))
            .await
    }

    /// The receipt of a job.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn receipt_of(&self, job: JobId) -> Result<SignedReceipt, MarketError> {
        self.get(&["jobs", &job.to_string(), "receipt"]).await
    }

    /// A receipt by its digest.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn receipt(&self, digest: Digest) -> Result<SignedReceipt, MarketError> {
        self.get(&["receipts", &digest.to_string()]).await
    }

    /// All receipts of an order, in order of turns.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn receipts(&self, order: &OrderId) -> Result<Vec<SignedReceipt>, MarketError> {
        self.get(&["orders", &order.to_string(), "receipts"]).await
    }

    /// An order of the signed-in address.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn order(&self, order: &OrderId) -> Result<Order, MarketError> {
        self.get_private(&["orders", &order.to_string()]).await
    }

    /// Ends an inference session, so that its last receipt goes on the chain.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn close(&self, order: &OrderId) -> Result<Order, MarketError> {
        self.post_private(&["orders", &order.to_string(), "close"], &serde_json::json!({}))
            .await
    }

    /// Asks for the exchange on which the signed-in address sells its own datatokens.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn open_sale(&self, sale: &OpenSale) -> Result<Sale, MarketError> {
        self.post_private(&["sales"], sale).await
    }

    /// Publishes a model from uploaded files.
    ///
    /// # Errors
    /// As [`NodeClient::info`].
    pub async fn import_model(&self, import: &ImportModel) -> Result<ImportedModel, MarketError> {
        self.post_private(&["models"], import).await
    }

    /// The address that signs in.
    ///
    /// # Errors
    /// A client without a wallet.
    pub fn address(&self) -> Result<Address, MarketError> {
        Ok(self.account()?.wallet.address())
    }

    fn account(&self) -> Result<&Account, MarketError> {
        self.account.as_deref().ok_or_else(|| {
            MarketError::Input(
                "this needs a wallet; give one with --wallet FILE and --password-file FILE".to_owned(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nodes_are_checked_in_words() {
        for (url, expected) in [
            ("https://node.example", "TLS"),
            ("127.0.0.1:8001", "http://HOST:PORT"),
            ("", "http://HOST:PORT"),
            ("ftp://host", "http://HOST:PORT"),
        ] {
            let error = NodeClient::new(url).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(
            NodeClient::new("http://127.0.0.1:8001/").unwrap().url(),
            "http://127.0.0.1:8001"
        );
    }

    #[test]
    fn private_requests_need_a_wallet() {
        let client = NodeClient::new("http://127.0.0.1:1").unwrap();
        assert!(client.address().unwrap_err().to_string().contains("--wallet"));
    }
}
