//! Everything that a node answers about a finished story, byte for byte as it leaves the node.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use posthuman_chain::Wallet;
use posthuman_types::api::{AccessToken, AssetKind, AssetPage, JobPage, NextNonce, NodeInfo, SignIn};

/// Streams of finished jobs end by themselves, well within this.
const PATIENCE: Duration = Duration::from_secs(120);

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The path that was asked.
    pub path: String,
    /// The body, headers left out.
    pub body: Vec<u8>,
}

/// Asks a node whatever can be asked about its assets, and about the jobs and orders of these wallets: bodies, outputs
/// and whole event streams. The jobs must have come to their ends.
///
/// # Errors
/// No answer, or one that is no success.
pub async fn everything(node: &str, wallets: &[Wallet]) -> anyhow::Result<Vec<Answer>> {
    let mut asked = Asking {
        node,
        // No proxy from the environment reaches this machine's own ports.
        http: reqwest::Client::builder().no_proxy().build()?,
        token: None,
        answers: Vec::new(),
    };
    for path in ["/", "/health", "/metrics", "/api/v1/node"] {
        asked.get(path).await?;
    }
    let page: AssetPage = serde_json::from_slice(asked.get("/api/v1/assets?limit=100").await?)?;
    for asset in &page.assets {
        // Only models have a line and royalties.
        let parts = if asset.kind == AssetKind::Model { 4 } else { 2 };
        for part in &["", "/ddo", "/lineage", "/royalties"][..parts] {
            asked.get(&format!("/api/v1/assets/{}{part}", asset.did)).await?;
        }
    }
    for wallet in wallets {
        asked.sign_in(wallet).await?;
        let path = format!("/api/v1/addresses/{}/jobs?limit=100", wallet.address());
        let page: JobPage = serde_json::from_slice(asked.get(&path).await?)?;
        for job in &page.jobs {
            ensure!(job.state.is_final(), "job {} is still {:?}", job.id, job.state);
            for part in ["", "/events", "/receipt"] {
                asked.get(&format!("/api/v1/jobs/{}{part}", job.id)).await?;
            }
            for output in &job.outputs {
                asked
                    .get(&format!("/api/v1/jobs/{}/outputs/{}", job.id, output.name))
                    .await?;
            }
            for part in ["", "/receipts"] {
                asked.get(&format!("/api/v1/orders/{}{part}", job.order)).await?;
            }
        }
    }
    Ok(asked.answers)
}

struct Asking<'a> {
    node: &'a str,
    http: reqwest::Client,
    token: Option<String>,
    answers: Vec<Answer>,
}

impl Asking<'_> {
    async fn get(&mut self, path: &str) -> anyhow::Result<&[u8]> {
        let mut request = self.http.get(format!("{}{path}", self.node)).timeout(PATIENCE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.with_context(|| format!("asking {path}"))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .with_context(|| format!("reading {path}"))?
            .to_vec();
        ensure!(
            status.is_success(),
            "{path} was answered by {status}: {}",
            String::from_utf8_lossy(&body)
        );
        self.answers.push(Answer {
            path: path.to_owned(),
            body,
        });
        Ok(&self.answers.last().expect("an answer was pushed").body)
    }

    async fn sign_in(&mut self, wallet: &Wallet) -> anyhow::Result<()> {
        let info: NodeInfo = serde_json::from_slice(self.get("/api/v1/node").await?)?;
        let address = wallet.address();
        let NextNonce { nonce } =
            serde_json::from_slice(self.get(&format!("/api/v1/nonces/{address}")).await?)?;
        let message = SignIn::message(info.wallet, info.chain_id, address, nonce);
        let signature = wallet
            .sign_message(message.as_bytes())?
            .as_bytes()
            .to_vec()
            .into();
        let request = self.http.post(format!("{}/api/v1/sign-in", self.node));
        let response = request
            .json(&SignIn {
                address,
                nonce,
                signature,
            })
            .send()
            .await?
            .error_for_status()?;
        let token: AccessToken = response.json().await?;
        self.token = Some(token.token);
        Ok(())
    }
}
