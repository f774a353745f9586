//! Files that a job left, against what was promised of them.

use posthuman_types::api::Job;
use posthuman_types::{Digest, Input, InputManifest, SignedReceipt, keccak256};

use super::Market;
use crate::MarketError;

impl Market {
    /// One output file of a job, checked against the digest that the job names.
    ///
    /// # Errors
    /// The node's own error, or other bytes than the digest promises.
    pub async fn output(&self, job: &Job, name: &str) -> Result<Vec<u8>, MarketError> {
        check_output(job, name, self.node.output(job.id, name).await?)
    }

    /// The same, where the outputs that the job names are also those that its receipt vouches for.
    pub(super) async fn receipted_output(
        &self,
        job: &Job,
        receipt: &SignedReceipt,
        name: &str,
    ) -> Result<Vec<u8>, MarketError> {
        check_manifest(job, receipt.receipt.output)?;
        self.output(job, name).await
    }
}

/// The bytes of an output, if they have the digest that the job names.
pub(crate) fn check_output(job: &Job, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, MarketError> {
    let named = job.outputs.iter().find(|output| output.name == name);
    if named.is_some_and(|output| output.digest == keccak256(&bytes)) {
        return Ok(bytes);
    }
    let detail = match named {
        Some(_) => format!("`{name}` of job {} has other bytes than its digest says", job.id),
        None => format!("job {} names no output `{name}`", job.id),
    };
    Err(untrue(detail))
}

fn check_manifest(job: &Job, vouched: Digest) -> Result<(), MarketError> {
    let outputs = job.outputs.iter().map(|output| Input {
        name: output.name.clone(),
        digest: output.digest,
        bytes: output.bytes,
    });
    let named = InputManifest::new(outputs.collect());
    if named.digest() == vouched {
        return Ok(());
    }
    Err(untrue(format!(
        "job {} names outputs with the digest {}, and its receipt says {vouched}",
        job.id,
        named.digest()
    )))
}

fn untrue(detail: String) -> MarketError {
    MarketError::Untrue {
        what: "an output",
        detail,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A job that names one output.
    fn job(bytes: &[u8]) -> Job {
        let zero = format!("0x{}", "0".repeat(64));
        serde_json::from_value(json!({
            "id": "0".repeat(32), "order": { "chain_id": 8996, "transaction": zero, "log_index": 0 },
            "did": format!("did:op:{}", "0".repeat(64)), "operation": "evaluate", "turn": 0,
            "consumer": format!("0x{}", "0".repeat(40)), "state": "receipted", "running": false,
            "queue_position": null, "attempt": 1, "inputs": [], "parameters": "{}", "progress": null,
            "failure": null, "usage": null, "receipt": null, "published": null, "settlement": null,
            "outputs": [{ "name": "text.txt", "bytes": bytes.len(), "digest": keccak256(bytes) }],
            "created_at": 0, "started_at": null, "finished_at": null,
        }))
        .unwrap()
    }

    #[test]
    fn an_output_is_what_the_job_names_or_nothing() {
        let job = job(b"true");
        assert_eq!(check_output(&job, "text.txt", b"true".to_vec()).unwrap(), b"true");
        for (name, bytes) in [("text.txt", "false"), ("other.txt", "true")] {
            let refused = check_output(&job, name, bytes.into()).unwrap_err();
            assert!(matches!(refused, MarketError::Untrue { .. }), "{refused}");
            assert!(!refused.to_string().contains("nothing was paid"), "{refused}");
        }
    }

    #[test]
    fn a_job_names_what_its_receipt_vouches_for() {
        let (named, other) = (job(b"true"), job(b"false"));
        let outputs = InputManifest::new(vec![Input::describe("text.txt", b"true")]);
        assert!(check_manifest(&named, outputs.digest()).is_ok());
        assert!(check_manifest(&other, outputs.digest()).is_err());
    }
}
