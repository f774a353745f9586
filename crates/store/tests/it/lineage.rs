//! Parents and children.

use crate::fixtures::{Scene, asset, did, scene};

async fn family(scene: &Scene, parents: &[(u8, Option<u8>)]) {
    let mut transaction = scene.store.begin().await.unwrap();
    for (n, parent) in parents {
        let mut row = asset(*n);
        row.parent = parent.map(did);
        transaction.put_asset(&row).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_line_goes_up_to_its_root_and_children_down_one_step() {
    let scene = scene().await;
    family(
        &scene,
        &[(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, Some(4))],
    )
    .await;
    let mut connection = scene.store.read().await.unwrap();
    let line = connection.lineage(&did(5)).await.unwrap();
    assert_eq!(
        line.iter().map(|row| row.did.clone()).collect::<Vec<_>>(),
        [did(5), did(4), did(2), did(1)]
    );
    let children = connection.children(&did(2)).await.unwrap();
    assert_eq!(
        children.iter().map(|row| row.did.clone()).collect::<Vec<_>>(),
        [did(3), did(4)]
    );
    assert!(connection.lineage(&did(99)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_forged_circle_ends_and_an_unknown_parent_ends_the_walk() {
    let scene = scene().await;
    family(&scene, &[(1, Some(2)), (2, Some(1)), (3, Some(77))]).await;
    let mut connection = scene.store.read().await.unwrap();
    assert_eq!(connection.lineage(&did(1)).await.unwrap().len(), 1_000);
    assert_eq!(connection.lineage(&did(3)).await.unwrap().len(), 1);
}
