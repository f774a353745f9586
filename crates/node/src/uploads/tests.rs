//! Uploads on a real database and a real vault, without a node around them.

use std::sync::Arc;

use bytes::Bytes;
use posthuman_jobs::vault::{MasterKey, Password, Vault};
use posthuman_store::{Store, UploadChunkRow};
use posthuman_types::api::{CreateUpload, NodeLimits, Upload};
use posthuman_types::{Address, UploadId, keccak256};
use tempfile::TempDir;

use super::content;
use super::intake::Intake;
use crate::error::NodeError;

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const TEXT: &[u8] = b"Call me Ishmael. Some years ago";

struct Scene {
    folder: TempDir,
    store: Store,
    vault: Arc<Vault>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("market.sqlite")).await.unwrap();
        let key = folder.path().join("key.json");
        let master =
            MasterKey::create(&key, &Password::from_text("open sesame".to_owned()).unwrap()).unwrap();
        let vault = Arc::new(Vault::open(&folder.path().join("vault"), master, None).unwrap());
        Self { folder, store, vault }
    }

    fn at(&self, now: u64) -> Intake {
        Intake {
            store: self.store.clone(),
            vault: self.vault.clone(),
            limits: NodeLimits {
                upload_bytes: 1000,
                chunk_bytes: 10,
                prompt_bytes: 10,
                quote_seconds: 1,
                model_parameters: 1,
            },
            seconds: 100,
            now,
            assembling: Arc::default(),
        }
    }

    async fn announce(&self, content: &[u8]) -> Upload {
        let upload = CreateUpload {
            name: "whale.txt".to_owned(),
            bytes: content.len() as u64,
            digest: keccak256(content),
        };
        self.at(1000).create(ALICE, upload).await.unwrap()
    }

    async fn send(&self, id: UploadId, offset: u64, chunk: &[u8]) -> Result<Upload, NodeError> {
        self.at(1000)
            .append(ALICE, id, offset, Bytes::copy_from_slice(chunk))
            .await
    }

    async fn send_all(&self, id: UploadId, content: &[u8]) -> Result<Upload, NodeError> {
        let mut upload = self.at(1000).look(ALICE, id).await?;
        for chunk in content.chunks(10) {
            upload = self.send(id, upload.received, chunk).await?;
        }
        Ok(upload)
    }

    fn objects(&self) -> usize {
        self.vault.list().unwrap().len()
    }

    async fn row(&self, id: UploadId) -> Option<posthuman_store::UploadRow> {
        self.store.read().await.unwrap().upload(id).await.unwrap()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, NodeError>) -> &'static str {
    result.unwrap_err().code()
}

#[tokio::test]
async fn chunks_become_one_sealed_object() {
    let scene = Scene::new().await;
    let announced = scene.announce(TEXT).await;
    assert_eq!(
        (announced.received, announced.complete, announced.expires_at),
        (0, false, 1100)
    );
    let whole = scene.send_all(announced.id, TEXT).await.unwrap();
    assert_eq!((whole.received, whole.complete), (TEXT.len() as u64, true));
    let object = scene.row(announced.id).await.unwrap().object.unwrap();
    assert_eq!(scene.vault.read(object, 1000).unwrap().as_slice(), TEXT);
    assert_eq!(scene.objects(), 1, "the chunks are gone");
}

#[tokio::test]
async fn no_plain_byte_reaches_the_disk() {
    let scene = Scene::new().await;
    let announced = scene.announce(TEXT).await;
    scene.send(announced.id, 0, &TEXT[..10]).await.unwrap();
    let mut folders = vec![scene.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(10).any(|window| window == &TEXT[..10]);
            assert!(!found, "{} holds the text", entry.path().display());
        }
    }
}

#[tokio::test]
async fn a_chunk_at_the_wrong_place_names_the_right_one() {
    let scene = Scene::new().await;
    let id = scene.announce(TEXT).await.id;
    scene.send(id, 0, &TEXT[..10]).await.unwrap();
    for offset in [0, 5, 11, 31, u64::MAX] {
        let error = scene.send(id, offset, b"x").await.unwrap_err();
        assert_eq!(error.code(), "upload_offset");
        assert!(
            error.message().contains("goes on at offset 10"),
            "{}",
            error.message()
        );
    }
    assert_eq!(code(scene.send(id, 10, b"").await), "body_invalid");
    assert_eq!(code(scene.send(id, 10, &[0; 11]).await), "upload_too_large");
    scene.send(id, 10, &TEXT[10..20]).await.unwrap();
    scene.send(id, 20, &TEXT[20..30]).await.unwrap();
    assert_eq!(code(scene.send(id, 30, b"xy").await), "upload_too_large");
    assert_eq!(scene.objects(), 3, "refused chunks leave nothing");
    assert!(scene.send(id, 30, &TEXT[30..]).await.unwrap().complete);
    assert_eq!(code(scene.send(id, 31, b"x").await), "upload_offset");
}

#[tokio::test]
async fn one_of_two_equal_chunks_counts() {
    let scene = Scene::new().await;
    let id = scene.announce(TEXT).await.id;
    let (one, two) = tokio::join!(scene.send(id, 0, &TEXT[..10]), scene.send(id, 0, &TEXT[..10]));
    let refused = [one, two]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.code());
    assert_eq!(refused.collect::<Vec<_>>(), ["upload_offset"]);
    assert_eq!(scene.objects(), 1);
}

#[tokio::test]
async fn a_wrong_digest_starts_over() {
    let scene = Scene::new().await;
    let id = scene.announce(TEXT).await.id;
    let other = TEXT.to_ascii_uppercase();
    let error = scene.send_all(id, &other).await.unwrap_err();
    assert_eq!(error.code(), "upload_digest");
    assert!(error.message().contains(&keccak256(&other).to_string()));
    let again = scene.at(1000).look(ALICE, id).await.unwrap();
    assert_eq!((again.received, again.complete, scene.objects()), (0, false, 0));
    assert!(scene.send_all(id, TEXT).await.unwrap().complete);
}

#[tokio::test]
async fn another_address_sees_nothing() {
    let scene = Scene::new().await;
    let id = scene.announce(TEXT).await.id;
    assert_eq!(code(scene.at(1000).look(BOB, id).await), "upload_not_found");
    assert_eq!(
        code(scene.at(1000).append(BOB, id, 0, Bytes::from_static(b"x")).await),
        "upload_not_found"
    );
    assert_eq!(
        code(scene.at(1000).look(ALICE, UploadId([9; 16])).await),
        "upload_not_found"
    );
}

#[tokio::test]
async fn announcements_that_are_refused() {
    let scene = Scene::new().await;
    let announce = |name: &str, bytes| {
        let upload = CreateUpload {
            name: name.to_owned(),
            bytes,
            digest: keccak256([]),
        };
        let intake = scene.at(1000);
        async move { intake.create(ALICE, upload).await }
    };
    assert_eq!(code(announce("a", 0).await), "text_empty");
    assert_eq!(code(announce("a", 1001).await), "upload_too_large");
    assert_eq!(code(announce("", 1).await), "body_invalid");
    assert_eq!(code(announce("a\nb", 1).await), "body_invalid");
    assert_eq!(code(announce(&"a".repeat(256), 1).await), "body_invalid");
    for _ in 0..4 {
        announce("a", 1000).await.unwrap();
    }
    assert_eq!(code(announce("a", 1).await), "upload_too_many");
}

#[tokio::test]
async fn all_addresses_together_have_a_share_too() {
    let scene = Scene::new().await;
    let announce = |owner: u8| {
        let upload = CreateUpload {
            name: "a".to_owned(),
            bytes: 1000,
            digest: keccak256([]),
        };
        let intake = scene.at(1000);
        async move { intake.create(Address::repeat_byte(owner), upload).await }
    };
    for number in 0..64 {
        announce(number / 4).await.unwrap();
    }
    let error = announce(16).await.unwrap_err();
    assert_eq!(error.code(), "disk_full");
    assert!(error.message().contains("64000 bytes"), "{}", error.message());
}

#[tokio::test]
async fn what_a_crash_left_is_completed_or_dropped() {
    let scene = Scene::new().await;
    let id = scene.announce(&TEXT[..10]).await.id;
    // The last chunk was counted, and the crash came before the file was put together.
    let object = content::seal(&scene.vault, Bytes::from_static(&TEXT[..10]))
        .await
        .unwrap();
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.advance_upload(id, 0, 10).await.unwrap();
    let chunk = UploadChunkRow {
        object,
        upload_id: id,
        position: 0,
        bytes: 10,
    };
    transaction.insert_upload_chunk(&chunk).await.unwrap();
    transaction.commit().await.unwrap();
    // Another chunk was sealed and never counted.
    content::seal(&scene.vault, Bytes::from_static(b"stray"))
        .await
        .unwrap();

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let late = Intake {
        seconds: 100,
        ..scene.at(now + 1)
    };
    assert_eq!(late.remove_stray(3600).await.unwrap(), 0, "it may be on its way");
    assert_eq!(late.remove_stray(0).await.unwrap(), 1);
    assert!(scene.at(1000).look(ALICE, id).await.unwrap().complete);
    assert_eq!(scene.objects(), 1);
}

#[tokio::test]
async fn uploads_end_and_are_removed() {
    let scene = Scene::new().await;
    let (whole, half) = (scene.announce(TEXT).await.id, scene.announce(TEXT).await.id);
    scene.send_all(whole, TEXT).await.unwrap();
    scene.send(half, 0, &TEXT[..10]).await.unwrap();
    assert_eq!(scene.at(1099).remove_ended().await.unwrap(), 0);
    assert_eq!(code(scene.at(1100).look(ALICE, whole).await), "upload_not_found");
    assert_eq!(scene.at(1100).remove_ended().await.unwrap(), 2);
    assert_eq!((scene.objects(), scene.row(whole).await), (0, None));
    scene.at(1100).remove(whole).await.unwrap();
}
