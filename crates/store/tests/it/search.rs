//! Search, filters and pages.

use posthuman_types::api::{AssetKind, AssetQuery};

use crate::fixtures::{Scene, address, asset, did, scene};

async fn names(scene: &Scene, query: AssetQuery) -> (Vec<String>, u64) {
    let page = scene
        .store
        .read()
        .await
        .unwrap()
        .search_assets(&query)
        .await
        .unwrap();
    (page.rows.into_iter().map(|row| row.name).collect(), page.total)
}

fn words(q: &str) -> AssetQuery {
    AssetQuery {
        q: Some(q.to_owned()),
        ..AssetQuery::default()
    }
}

async fn library() -> Scene {
    let scene = scene().await;
    let mut transaction = scene.store.begin().await.unwrap();
    for (n, name, description, author) in [
        (1, "Moby", "whales and ships", "Alice"),
        (2, "Speeches", "presidents before 1900; one mentions Moby", "Bob"),
        (3, "Straße", "élan vital 日本語", "Charlie"),
    ] {
        let mut row = asset(n);
        (row.name, row.description, row.author) =
            (name.to_owned(), description.to_owned(), author.to_owned());
        (row.tags, row.trainer) = (vec![format!("tag{n}")], Some(address(n)));
        row.parent = (n == 3).then(|| did(1));
        transaction.put_asset(&row).await.unwrap();
    }
    let mut hidden = asset(4);
    (hidden.name, hidden.state) = ("Moby hidden".to_owned(), 1);
    transaction.put_asset(&hidden).await.unwrap();
    let mut blank = asset(5);
    (blank.name, blank.kind, blank.description) = ("Blank".to_owned(), AssetKind::Blank, String::new());
    transaction.put_asset(&blank).await.unwrap();
    transaction.commit().await.unwrap();
    scene
}

#[tokio::test]
async fn words_are_found_in_every_field_and_the_name_weighs_most() {
    let scene = library().await;
    assert_eq!(
        names(&scene, words("moby")).await,
        (vec!["Moby".to_owned(), "Speeches".to_owned()], 2)
    );
    for (query, name) in [
        ("WHALE", "Moby"),
        ("charl", "Straße"),
        ("tag2", "Speeches"),
        ("elan", "Straße"),
    ] {
        assert_eq!(names(&scene, words(query)).await.0, [name], "{query}");
    }
    assert_eq!(
        names(&scene, words("whales presidents")).await.1,
        0,
        "every word must be there"
    );
}

#[tokio::test]
async fn no_character_of_a_query_is_an_operator() {
    let scene = library().await;
    for query in [
        "\"",
        "moby\" OR \"",
        "name:moby",
        "NEAR(moby",
        "*",
        "^",
        "'; DROP TABLE assets; --",
        "\0",
        "-moby",
    ] {
        names(&scene, words(query)).await;
    }
    assert_eq!(names(&scene, words("?!")).await, (vec![], 0));
    assert_eq!(
        names(&scene, AssetQuery::default()).await.1,
        4,
        "nothing was dropped"
    );
    assert_eq!(names(&scene, words("   ")).await.1, 4, "blank is no query");
}

#[tokio::test]
async fn filters_narrow_and_combine() {
    let scene = library().await;
    let kind = AssetQuery {
        kind: Some(AssetKind::Blank),
        ..AssetQuery::default()
    };
    assert_eq!(names(&scene, kind).await.0, ["Blank"]);
    let author = AssetQuery {
        author: Some(address(2)),
        ..words("moby")
    };
    assert_eq!(names(&scene, author).await.0, ["Speeches"]);
    let parent = AssetQuery {
        parent: Some(did(1)),
        ..AssetQuery::default()
    };
    assert_eq!(names(&scene, parent).await.0, ["Straße"]);
}

#[tokio::test]
async fn pages_hold_every_asset_once_newest_first() {
    let scene = library().await;
    let page = |offset| AssetQuery {
        limit: Some(2),
        offset: Some(offset),
        ..AssetQuery::default()
    };
    assert_eq!(
        names(&scene, page(0)).await,
        (vec!["Blank".to_owned(), "Straße".to_owned()], 4)
    );
    assert_eq!(
        names(&scene, page(2)).await,
        (vec!["Speeches".to_owned(), "Moby".to_owned()], 4)
    );
    assert_eq!(names(&scene, page(u64::MAX)).await, (vec![], 4));
}

#[tokio::test]
async fn a_new_version_changes_what_is_found() {
    let scene = library().await;
    let mut row = asset(1);
    row.name = "Leviathan".to_owned();
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.put_asset(&row).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(names(&scene, words("moby")).await.0, ["Speeches"]);
    assert_eq!(names(&scene, words("leviathan")).await.0, ["Leviathan"]);
}
