//! Workers that nobody has paid for: those that check a text before a quote, and those that import a model.
//!
//! Whoever is signed in may ask for one, so only a few run at once, and paid jobs keep the machine.

use std::time::Duration;

use posthuman_jobs::engine::local::{Launch, LaunchError, Outcome};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{ErrorCode, NodeError, chain_of_causes, plain};
use crate::node::Node;

/// Unpaid workers that run at once.
const TURNS: usize = 2;

/// How long a request waits for its turn before the node says that it is busy.
const PATIENCE: Duration = Duration::from_secs(15);

/// The turns of unpaid workers, all free.
pub(crate) fn turns() -> Semaphore {
    Semaphore::new(TURNS)
}

impl Node {
    /// Runs an unpaid worker in its turn and gives what it answered, which is neither a refusal nor a failure.
    pub(crate) async fn run_unpaid(&self, launch: Launch) -> Result<Outcome, NodeError> {
        let _turn = take_turn(&self.unpaid, PATIENCE).await?;
        let running = self
            .engine
            .start(launch, |_| {})
            .map_err(|error| of_launch(&error))?;
        match running.wait().await.map_err(|error| of_launch(&error))? {
            Outcome::Refused { code, reason } => Err(refused(code.as_str(), reason)),
            Outcome::Failed { code, reason } => Err(failed(code.as_str(), &reason)),
            answered => Ok(answered),
        }
    }
}

/// A worker's refusal before anything was paid.
pub(crate) fn refused(code: &str, reason: String) -> NodeError {
    NodeError::rejected(code.parse().unwrap_or(ErrorCode::ParametersInvalid), reason)
}

/// The log has the details; the caller hears what the code says, which names no file of this machine.
fn failed(code: &str, reason: &str) -> NodeError {
    tracing::warn!(code, reason, "an unpaid worker failed");
    plain(code.parse().unwrap_or(ErrorCode::WorkerInternal))
}

fn of_launch(error: &LaunchError) -> NodeError {
    failed(error.code(), &chain_of_causes(error))
}

async fn take_turn(turns: &Semaphore, patience: Duration) -> Result<SemaphorePermit<'_>, NodeError> {
    match tokio::time::timeout(patience, turns.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(plain(ErrorCode::NodeBusy)),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use posthuman_jobs::stage::StageError;

    use super::*;

    #[tokio::test]
    async fn who_comes_while_all_turns_are_taken_is_told_to_come_back() {
        let turns = turns();
        let patience = Duration::from_millis(10);
        let held = [
            take_turn(&turns, patience).await.unwrap(),
            take_turn(&turns, patience).await.unwrap(),
        ];
        assert_eq!(take_turn(&turns, patience).await.unwrap_err().code(), "node_busy");
        drop(held);
        drop(take_turn(&turns, patience).await.unwrap());
    }

    #[test]
    fn what_keeps_a_worker_from_its_work_has_its_own_code() {
        let name = || "text".to_owned();
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let path = std::path::PathBuf::from("/secret");
        let cases = [
            (
                LaunchError::Stage(StageError::TooLarge {
                    name: name(),
                    bytes: 7,
                }),
                "text_too_large",
                413,
            ),
            (
                LaunchError::Stage(StageError::Copy {
                    name: name(),
                    path: path.clone(),
                    source: full,
                }),
                "disk_full",
                503,
            ),
            (
                LaunchError::Directory {
                    path,
                    source: io::ErrorKind::PermissionDenied.into(),
                },
                "worker_internal",
                500,
            ),
        ];
        for (error, code, status) in cases {
            let told = of_launch(&error);
            assert_eq!((told.code(), told.error_code().http_status()), (code, status));
            assert!(!told.message().contains("secret"), "{}", told.message());
        }
    }
}
