//! Every state meets every command; what comes of it is one line of a snapshot.

use std::fmt::Write as _;

use posthuman_store::JobRow;
use posthuman_types::{B256, Bytes, JobState, Operation};

use super::*;
use crate::queue::tests::fixtures::{commitment, did, object, order, request, statement, word};

const NOW: u64 = 100;
const FENCE: u64 = 3;

fn job(operation: Operation) -> JobRow {
    let order = order(1, operation);
    let new = request(&order, 0, B256::ZERO, 1);
    JobRow {
        id: new.spec.job_id,
        order_id: order.id,
        turn: 0,
        operation,
        did: order.did,
        consumer: order.consumer,
        state: JobState::Queued,
        attempt: 1,
        crashes: 0,
        fence: FENCE,
        worker: None,
        lease_expires_at: None,
        not_before: 0,
        spec: new.spec,
        inputs: new.inputs,
        request: Bytes::new(),
        request_signature: Bytes::new(),
        model: None,
        result: None,
        checkpoint: Some(object(7)),
        checkpoint_step: Some(10),
        statement: None,
        failure_code: None,
        failure_reason: None,
        receipt: None,
        published: None,
        settled_transaction: None,
        created_at: 0,
        started_at: None,
        finished_at: None,
        updated_at: 0,
    }
}

fn held(until: u64) -> JobRow {
    JobRow {
        worker: Some("w1".to_owned()),
        lease_expires_at: Some(until),
        ..job(Operation::Train)
    }
}

fn in_state(operation: Operation, state: JobState) -> JobRow {
    JobRow {
        state,
        checkpoint: None,
        checkpoint_step: None,
        ..job(operation)
    }
}

fn situations() -> Vec<(&'static str, JobRow)> {
    let train = |state| in_state(Operation::Train, state);
    vec![
        ("queued", job(Operation::Train)),
        (
            "queued, pausing",
            JobRow {
                not_before: NOW + 1,
                ..job(Operation::Train)
            },
        ),
        ("held", held(NOW + 30)),
        ("held, overdue", held(NOW)),
        (
            "held, last attempt",
            JobRow {
                attempt: 5,
                ..held(NOW)
            },
        ),
        (
            "held, crashed once",
            JobRow {
                crashes: 1,
                ..held(NOW + 30)
            },
        ),
        ("finished", train(JobState::Finished)),
        ("receipted training", train(JobState::Receipted)),
        (
            "receipted evaluation",
            in_state(Operation::Evaluate, JobState::Receipted),
        ),
        ("receipted turn", in_state(Operation::Infer, JobState::Receipted)),
        ("published", train(JobState::Published)),
        ("settled", train(JobState::Settled)),
        ("failed", train(JobState::Failed)),
        ("refused", train(JobState::Refused)),
        ("cancelled", train(JobState::Cancelled)),
    ]
}

fn failure(kind: FailureKind) -> Command {
    let failure = Failure {
        kind,
        code: "some_code".to_owned(),
        reason: "It broke.".to_owned(),
    };
    Command::Fail {
        fence: FENCE,
        failure,
    }
}

fn finish(fence: u64, out: u8) -> Command {
    let statement = Box::new(statement(&job(Operation::Train).spec, out, 40));
    Command::Finish {
        fence,
        statement,
        result: Some(object(8)),
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let refuse = |fence| Command::Refuse {
        fence,
        code: "empty_text".to_owned(),
        reason: "Empty.".to_owned(),
    };
    vec![
        (
            "lease",
            Command::Lease {
                worker: "w2".to_owned(),
                expires_at: NOW + 30,
            },
        ),
        ("release", Command::Release { fence: FENCE }),
        ("release, old token", Command::Release { fence: FENCE - 1 }),
        (
            "renew",
            Command::Renew {
                fence: FENCE,
                expires_at: NOW + 60,
            },
        ),
        (
            "renew, old token",
            Command::Renew {
                fence: FENCE - 1,
                expires_at: NOW + 60,
            },
        ),
        (
            "checkpoint",
            Command::Checkpoint {
                fence: FENCE,
                object: object(9),
                step: 20,
            },
        ),
        (
            "checkpoint, old token",
            Command::Checkpoint {
                fence: FENCE - 1,
                object: object(9),
                step: 20,
            },
        ),
        ("finish", finish(FENCE, 2)),
        ("finish, old token", finish(FENCE - 1, 2)),
        ("finish, unchanged weights", finish(FENCE, 1)),
        ("fail, retryable", failure(FailureKind::Retryable)),
        ("fail, crash", failure(FailureKind::Crash)),
        ("fail, final", failure(FailureKind::Final)),
        ("refuse by worker", refuse(Some(FENCE))),
        ("refuse by worker, old token", refuse(Some(FENCE - 1))),
        ("refuse by node", refuse(None)),
        ("cancel", Command::Cancel),
        ("lease expired", Command::LeaseExpired),
        ("abandoned", Command::Abandoned),
        ("receipted", Command::Receipted { digest: word(5) }),
        ("published", Command::Published { did: did(6) }),
        ("settled", Command::Settled { transaction: word(7) }),
    ]
}

/// What a reader of the table needs to see of a job.
fn summary(job: &JobRow) -> String {
    let mut text = format!(
        "{:?} attempt={} crashes={} fence={}",
        job.state, job.attempt, job.crashes, job.fence
    );
    if let (Some(worker), Some(until)) = (&job.worker, job.lease_expires_at) {
        let _ = write!(text, " {worker}<{until}");
    }
    if job.not_before > 0 {
        let _ = write!(text, " not_before={}", job.not_before);
    }
    if let Some(checkpoint) = job.checkpoint {
        let _ = write!(
            text,
            " checkpoint={}@{}",
            checkpoint.0[0],
            job.checkpoint_step.unwrap_or(0)
        );
    }
    if let Some(result) = job.result {
        let _ = write!(text, " result={}", result.0[0]);
    }
    if let Some(code) = &job.failure_code {
        let _ = write!(text, " failure={code}");
    }
    text
}

fn action_name(action: &Action) -> String {
    match action {
        Action::StartWorker { fence, .. } => format!("StartWorker({fence})"),
        Action::StopWorker { fence, .. } => format!("StopWorker({fence})"),
        Action::UseOrder { tokens, .. } => format!("UseOrder({tokens})"),
        Action::SignReceipt(_) => "SignReceipt".to_owned(),
        Action::SignRefusal(_) => "SignRefusal".to_owned(),
        Action::Publish(_) => "Publish".to_owned(),
        Action::Settle(_) => "Settle".to_owned(),
        Action::DropObject(object) => format!("DropObject({})", object.0[0]),
        Action::Notify { state, .. } => format!("Notify({state:?})"),
    }
}

#[test]
fn every_state_meets_every_command() {
    let mut table = String::new();
    for (situation, job) in situations() {
        let _ = writeln!(table, "{situation}: {}", summary(&job));
        for (name, command) in commands() {
            let _ = match apply(&job, command, &RetryPolicy::default(), NOW) {
                Ok((next, actions)) => {
                    assert_eq!(next.updated_at, NOW);
                    let line = actions.iter().map(action_name).collect::<Vec<_>>().join(", ");
                    let line = if line.is_empty() { "nothing to do" } else { &line };
                    writeln!(table, "  {name} → {} | {line}", summary(&next))
                }
                Err(refused) => writeln!(table, "  {name} ✗ {refused}"),
            };
        }
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("machine", table);
    });
}

#[test]
fn an_end_is_an_end() {
    for (_, job) in situations().into_iter().filter(|(_, job)| job.state.is_final()) {
        for (name, command) in commands() {
            assert!(
                apply(&job, command, &RetryPolicy::default(), NOW).is_err(),
                "{name} on {:?}",
                job.state
            );
        }
    }
}

#[test]
fn only_a_finish_uses_an_order() {
    for (situation, job) in situations() {
        for (name, command) in commands() {
            let Ok((next, actions)) = apply(&job, command, &RetryPolicy::default(), NOW) else {
                continue;
            };
            let uses = actions
                .iter()
                .any(|action| matches!(action, Action::UseOrder { .. }));
            let finished = next.state == JobState::Finished && job.state != JobState::Finished;
            assert_eq!(uses, finished, "{name} on {situation}");
        }
    }
}

#[test]
fn a_statement_must_answer_the_job_in_every_field() {
    let job = held(NOW + 30);
    let right = statement(&job.spec, 2, 40);
    type Change = fn(&mut Statement);
    let change: [(&str, Change); 6] = [
        ("version", |statement| statement.version = 2),
        ("operation", |statement| statement.operation = Operation::Infer),
        ("parameters", |statement| statement.parameters.push(' ')),
        ("input", |statement| statement.input = word(9)),
        ("commitment_in", |statement| {
            statement.commitment_in = Some(commitment(9))
        }),
        ("commitment_out", |statement| statement.commitment_out = None),
    ];
    for (field, change) in change {
        let mut statement = right.clone();
        change(&mut statement);
        let command = Command::Finish {
            fence: FENCE,
            statement: Box::new(statement),
            result: Some(object(8)),
        };
        let (next, actions) = apply(&job, command, &RetryPolicy::default(), NOW).unwrap();
        assert_eq!(
            (next.state, next.statement, next.result),
            (JobState::Failed, None, None),
            "{field}"
        );
        assert!(
            next.failure_reason.unwrap().contains(&format!("`{field}`")),
            "{field}"
        );
        assert!(
            actions.contains(&Action::DropObject(object(8))),
            "{field}: the sealed model is garbage"
        );
    }
    let command = Command::Finish {
        fence: FENCE,
        statement: Box::new(right),
        result: None,
    };
    let (next, _) = apply(&job, command, &RetryPolicy::default(), NOW).unwrap();
    assert!(next.failure_reason.unwrap().contains("`result`"));
}

#[test]
fn pauses_double_up_to_the_longest() {
    let policy = RetryPolicy::default();
    let pauses: Vec<_> = [1, 2, 3, 6, 64, 65, u32::MAX]
        .map(|attempts| policy.pause(attempts))
        .into();
    assert_eq!(pauses, [2, 4, 8, 60, 60, 60, 60]);
}

#[test]
fn a_job_that_is_given_back_has_as_many_attempts_left_as_before() {
    let policy = RetryPolicy::default();
    let mut waiting = job(Operation::Train);
    for restart in 0..u64::from(policy.max_attempts) * 2 {
        let command = Command::Lease {
            worker: "w1".to_owned(),
            expires_at: NOW + 30,
        };
        let (leased, _) = apply(&waiting, command, &policy, NOW).unwrap();
        assert_eq!(leased.fence, waiting.fence + 1, "start {restart}");
        let command = Command::Release { fence: leased.fence };
        let (back, _) = apply(&leased, command, &policy, NOW).unwrap();
        assert_eq!((back.state, back.attempt), (JobState::Queued, waiting.attempt));
        assert_eq!(
            (back.worker.as_ref(), back.checkpoint),
            (None, waiting.checkpoint)
        );
        waiting = back;
    }
}
