//! Files that a job left, against what was promised of them.

use posthuman_types::api::Job;
use posthuman_types::{Input, InputManifest, SignedReceipt, keccak256};

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
        check_manifest(job, receipt)?;
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

fn check_manifest(job: &Job, receipt: &SignedReceipt) -> Result<(), MarketError> {
    let outputs = job.outputs.iter().map(|output| Input {
        name: output.name.clone(),
        digest: output.digest,
        bytes: output.bytes,
    });
    let (named, vouched) = (InputManifest::new(outputs.collect()), receipt.receipt.output);
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
