//! Bad input and bad luck: each gets its status or exit code and a sentence, and nothing is lost.

mod disk;
mod http;
mod machine;
mod orders;
pub mod raw;
mod receipts;
mod texts;
mod weights;
mod work;

use posthuman::{MarketError, NodeAnswer};
use posthuman_types::api::OrderState;
use posthuman_types::{OrderId, SignedRefusal};

/// Makes something wrong of what was right.
type Change<'a, T> = &'a dyn Fn(&mut T);

/// The node's answer to what must not work.
#[track_caller]
pub fn answer<T: std::fmt::Debug>(result: Result<T, MarketError>, code: &str, status: u16) -> NodeAnswer {
    match result {
        Err(MarketError::Node(answer)) => {
            assert_eq!((answer.code.as_str(), answer.status), (code, status), "{answer}");
            assert_sentence(&answer.message);
            *answer
        }
        other => panic!("expected {code}, got {other:?}"),
    }
}

/// What, where and what to do: in words, and nothing of the program's inside.
#[track_caller]
fn assert_sentence(message: &str) {
    let words = message.split_whitespace().count();
    assert!(words >= 6, "no sentence: {message}");
    for inside in ["Error", "unwrap", "panicked", "src/"] {
        assert!(!message.contains(inside), "the program's own words: {message}");
    }
}

/// A signed refusal about an order, by the node's receipt signer.
#[track_caller]
fn assert_refusal(node: &posthuman::Market, answer: &NodeAnswer, order: OrderId) {
    let SignedRefusal {
        refusal, signature, ..
    } = answer.refusal.as_ref().expect("a signed refusal");
    assert_eq!(
        (refusal.order, refusal.code.as_str()),
        (order, answer.code.as_str())
    );
    assert_eq!(refusal.consumer, node.address());
    assert_eq!(refusal.reason, answer.message);
    let signer = posthuman_proofs::recover_signer(refusal.digest(), signature).unwrap();
    assert_eq!(signer, node.info().receipt_signer);
}

/// The order is as good as unused: the node knows none, or one that is open.
async fn assert_open(person: &posthuman::Market, order: OrderId) {
    match person.node().order(&order).await {
        Ok(known) => assert_eq!((known.state, known.used_tokens), (OrderState::Open, 0)),
        Err(MarketError::Node(answer)) => assert_eq!(answer.code, "order_not_found"),
        Err(error) => panic!("{error}"),
    }
}
