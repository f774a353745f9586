//! What whoever is turned away is told, and what the node signs of it.

use posthuman_chain::OrderRecord;
use posthuman_jobs::JobsError;
use posthuman_proofs::sign_refusal;
use posthuman_types::Refusal;
use posthuman_types::api::StartJob;

use crate::error::{ErrorCode, NodeError, OrFault};
use crate::node::Node;
use crate::sign_in::of_nonce;

/// Refusals that are signed and kept for one order: asking again costs whoever asks nothing.
const REFUSALS_PER_ORDER: usize = 32;

impl Node {
    /// Signs and keeps the reason for which a paid order was turned away, as often as one order may ask. An order of a
    /// datatoken that is none gets a plain answer.
    pub(super) async fn turn_away(
        &self,
        start: &StartJob,
        record: &OrderRecord,
        code: ErrorCode,
        reason: String,
    ) -> Result<NodeError, NodeError> {
        let kept = self.store.read().await?.refusals_of_order(record.id).await?;
        let worth_it = kept.len() < REFUSALS_PER_ORDER && self.chain.is_datatoken(record.datatoken).await?;
        if !worth_it {
            return Ok(NodeError::rejected(code, reason));
        }
        let refusal = Refusal {
            order: record.id,
            consumer: record.consumer,
            node: self.wallet(),
            request: start.request.digest(),
            code: code.as_str().to_owned(),
            reason: reason.clone(),
            at: self.clock.now_seconds(),
        };
        let signer = self.options.receipt_signer.signer();
        let refusal = sign_refusal(refusal, signer).or_fault("signing a refusal")?;
        self.queue
            .refusal_signed(refusal.clone(), self.clock.now_seconds())
            .await
            .map_err(admission_error)?;
        tracing::info!(order = %record.id, code = code.as_str(), reason, "turned away");
        Ok(NodeError::Refused {
            code,
            reason,
            refusal: Box::new(refusal),
        })
    }
}

/// Why the queue did not take a change of a job.
pub(crate) fn admission_error(error: JobsError) -> NodeError {
    let error = match error {
        // A nonce that does not count is the caller's; a full disk or a busy database is told as what it is.
        JobsError::Store { source } => return of_nonce(source),
        other => other,
    };
    let code = match &error {
        JobsError::OrderUsed { .. } => ErrorCode::OrderUsed,
        JobsError::OrderInUse { .. } => ErrorCode::OrderRunning,
        JobsError::FeeReplayed { .. } => ErrorCode::FeeReplayed,
        JobsError::QuoteMismatch { .. } => ErrorCode::FeeMismatch,
        JobsError::RequestMismatch { .. } => ErrorCode::InputMismatch,
        JobsError::WrongTurn { .. } | JobsError::WrongPrevious { .. } => ErrorCode::PreviousMismatch,
        JobsError::NotClosable { .. } => ErrorCode::SessionClosed,
        // It ended while it was being cancelled.
        JobsError::Refused { .. } => ErrorCode::JobFinal,
        _ => return NodeError::fault("changing a job", error),
    };
    let row = code.row();
    NodeError::rejected(code, format!("{error}. {}", row.remedy))
}

#[cfg(test)]
mod tests {
    use posthuman_store::StoreError;
    use posthuman_types::JobId;

    use super::*;

    #[test]
    fn what_keeps_a_job_from_a_change_has_its_own_status() {
        let path = || std::path::PathBuf::from("market.sqlite");
        let stored = |source| admission_error(JobsError::Store { source });
        let refused = JobsError::Refused {
            job: JobId([1; 16]),
            source: posthuman_jobs::machine::Refused::State {
                state: "finished",
                verb: "cancelled",
            },
        };
        let cases = [
            (stored(StoreError::Busy { path: path() }), "node_busy", 503),
            (stored(StoreError::DiskFull { path: path() }), "disk_full", 503),
            (
                stored(StoreError::NumberTooLarge { value: u64::MAX }),
                "body_invalid",
                400,
            ),
            (admission_error(refused), "job_final", 409),
        ];
        for (error, code, status) in cases {
            assert_eq!((error.code(), error.error_code().http_status()), (code, status));
        }
    }
}
