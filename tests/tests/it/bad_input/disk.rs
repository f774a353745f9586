//! A disk that is full.

use e2e::files::files_under;
use e2e::market::{MarketSetup, Person, tiny_child_work};
use posthuman::Goal;

use super::raw::{Raw, error_of};
use crate::ground::{block_on, ground, quiet};

/// A whole chunk of the vault, of 1 MiB, has no room. What is smaller has: the tiny models, the database and the log.
const ROOM: u64 = 1 << 20;

#[test]
fn a_full_disk_is_said_and_nothing_half_written_stays() {
    let ground = ground();
    block_on(async {
        let mut market = ground
            .frozen
            .thaw_without_node(MarketSetup::default())
            .await
            .unwrap();
        market.setup().full_disk = Some(ROOM);
        market.start_node().unwrap();
        let bob = market.person(Person::Bob).await.unwrap();
        let raw = Raw::signed_in(&bob, &Person::Bob.wallet()).await;
        let before = files_under(&market.data().join("vault"));
        // More than there is room for: said with the right status, and nothing of the chunk stays.
        let text = "Call me Ishmael. ".repeat(200_000);
        let digest = posthuman_types::keccak256(&text);
        let announced = serde_json::json!({ "name": "text", "bytes": text.len(), "digest": digest });
        let (_, upload) = raw.post("/api/v1/uploads", announced).await;
        let id = upload["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/uploads/{id}?offset=0");
        let full = raw
            .ask("PUT", &path, "application/octet-stream", text.clone())
            .await;
        assert_eq!((full.0, error_of(&full).0), (503, "disk_full"), "{full:?}");
        super::assert_sentence(error_of(&full).1);
        let (_, state) = raw.ask("GET", &format!("/api/v1/uploads/{id}"), "", "").await;
        assert_eq!(state["received"], 0, "{state}");
        assert_eq!(files_under(&market.data().join("vault")), before);
        // What fits still goes through, from the quote to the published model.
        let work = tiny_child_work(&ground.root.did, "Child").unwrap();
        let offer = bob.quote(work, &mut quiet()).await.unwrap();
        let order = bob.order(&offer, None, &mut quiet()).await.unwrap();
        let job = bob.start(order, &offer, &mut quiet()).await.unwrap();
        bob.wait(job.id, Goal::Published, &mut quiet()).await.unwrap();
    });
}
