use std::fs;
use std::io::{Read, Write};

use tempfile::TempDir;

use super::layout::entries;
use super::seal::CHUNK_BYTES;
use super::*;

fn key() -> MasterKey {
    let folder = tempfile::tempdir().unwrap();
    MasterKey::create(
        &folder.path().join("key"),
        &Password::from_text("p".to_owned()).unwrap(),
    )
    .unwrap()
}

fn vault() -> (TempDir, MasterKey, Vault) {
    let (folder, key) = (tempfile::tempdir().unwrap(), key());
    let vault = Vault::open(folder.path(), key.clone(), None).unwrap();
    (folder, key, vault)
}

fn put(vault: &Vault, bytes: &[u8]) -> ObjectId {
    let mut writer = vault.writer(ObjectKind::Upload).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn chunk_files(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = entries(&root.join("chunks"))
        .unwrap()
        .iter()
        .flat_map(|folder| entries(folder).unwrap())
        .collect();
    files.sort();
    files
}

#[test]
fn every_length_reads_back() {
    let (_folder, _, vault) = vault();
    for length in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        2 * CHUNK_BYTES,
    ] {
        let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let object = put(&vault, &bytes);
        assert_eq!(*vault.read(object, u64::MAX).unwrap(), bytes, "{length} bytes");
        let mut streamed = Vec::new();
        vault.reader(object).unwrap().read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, bytes);
        let facts = vault.describe(object).unwrap();
        assert_eq!(
            (facts.bytes, facts.chunks),
            (length as u64, length.div_ceil(CHUNK_BYTES).max(1) as u64)
        );
    }
    assert_eq!(vault.list().unwrap().len(), 6);
}

#[test]
fn what_is_dropped_or_removed_leaves_nothing() {
    let (folder, _, vault) = vault();
    let mut writer = vault.writer(ObjectKind::Upload).unwrap();
    writer.write_all(&vec![1; 2 * CHUNK_BYTES]).unwrap();
    drop(writer);
    assert!(chunk_files(folder.path()).is_empty());
    let object = put(&vault, b"text");
    vault.remove(object).unwrap();
    vault.remove(object).unwrap();
    assert!(chunk_files(folder.path()).is_empty());
    assert!(matches!(vault.reader(object), Err(VaultError::NotFound { .. })));
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let (folder, _, vault) = vault();
    let length = 3 * CHUNK_BYTES;
    // Enough for one chunk; for all chunks but not the manifest; for nothing.
    for room in [CHUNK_BYTES + 100, length + 200, 0] {
        disk::full_disk::set(room);
        let mut writer = vault.writer(ObjectKind::Upload).unwrap();
        let written = writer
            .write_all(&vec![1; length])
            .map_err(|error| error.downcast().unwrap());
        let error: VaultError = written.and_then(|()| writer.finish().map(drop)).unwrap_err();
        disk::full_disk::set(usize::MAX);
        assert!(
            error.to_string().contains("is full: make room and try again"),
            "{error}"
        );
        assert!(chunk_files(folder.path()).is_empty());
        assert!(vault.list().unwrap().is_empty());
    }
    put(&vault, b"and then it works again");
}

#[test]
fn damage_is_named() {
    let (folder, _, vault) = vault();
    let object = put(&vault, &vec![5; 2 * CHUNK_BYTES + 9]);
    let manifest = vault.manifest(object).unwrap();
    let second = vault.chunk_path(&manifest.chunks[1].digest);
    let good = fs::read(&second).unwrap();
    let mut flipped = good.clone();
    flipped[77] ^= 4;
    for bad in [flipped, good[..good.len() - 1].to_vec(), vec![]] {
        fs::write(&second, bad).unwrap();
        let error = vault.verify(object).unwrap_err();
        assert!(
            matches!(&error, VaultError::ChunkCorrupted { object: named, chunk: 1, .. } if *named == object)
        );
        assert!(
            error
                .to_string()
                .starts_with(&format!("chunk 1 of object {object} is corrupted"))
        );
    }
    fs::remove_file(&second).unwrap();
    assert!(matches!(
        vault.verify(object).unwrap_err(),
        VaultError::ChunkMissing { chunk: 1, .. }
    ));
    fs::write(&second, good).unwrap();
    vault.verify(object).unwrap();

    let path = folder.path().join("objects").join(format!("{object}.json"));
    let damage = |change: fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        vault.verify(object).unwrap_err()
    };
    assert!(matches!(
        damage(|manifest| manifest.chunks.swap(0, 1)),
        VaultError::ChunkForeign { chunk: 0, .. }
    ));
    let cut = damage(|manifest| {
        manifest.chunks.pop();
        manifest.bytes -= 9;
    });
    assert!(matches!(cut, VaultError::ChunkForeign { chunk: 1, .. }), "{cut}");
    assert!(matches!(
        damage(|manifest| manifest.bytes += 1),
        VaultError::ManifestDamaged { .. }
    ));
    fs::write(&path, b"{}").unwrap();
    assert!(matches!(
        vault.describe(object).unwrap_err(),
        VaultError::ManifestDamaged { .. }
    ));
}

#[test]
fn one_object_cannot_stand_in_for_another() {
    let (folder, _, vault) = vault();
    let (one, two) = (put(&vault, b"one"), put(&vault, b"two"));
    let mut manifest = vault.manifest(one).unwrap();
    manifest.object = two;
    let path = folder.path().join("objects").join(format!("{two}.json"));
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    assert!(matches!(vault.verify(two).unwrap_err(), VaultError::WrappedKey { object } if object == two));
}

#[test]
fn one_writer_and_any_number_of_readers() {
    let (folder, key, vault) = vault();
    let object = put(&vault, b"text");
    let error = Vault::open(folder.path(), key.clone(), None).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("is in use by another process: stop that node first"),
        "{error}"
    );
    let reader = Vault::open_read_only(folder.path(), key).unwrap();
    assert_eq!(reader.read(object, 4).unwrap().as_slice(), b"text");
    assert!(matches!(
        reader.read(object, 3).unwrap_err(),
        VaultError::TooLarge {
            bytes: 4,
            limit: 3,
            ..
        }
    ));
    assert!(matches!(
        reader.writer(ObjectKind::Upload).err(),
        Some(VaultError::ReadOnly { .. })
    ));
    assert!(matches!(reader.remove(object), Err(VaultError::ReadOnly { .. })));
}

#[test]
fn opening_collects_orphans_and_spares_the_rest() {
    let (folder, master, vault) = vault();
    let object = put(&vault, b"kept");
    let orphan = folder.path().join("chunks/ab").join("ab".repeat(32));
    disk::make_folder(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"orphan").unwrap();
    fs::write(folder.path().join("objects/.unfinished-1"), b"x").unwrap();
    drop(vault);
    let vault = Vault::open(folder.path(), master.clone(), None).unwrap();
    assert!(!orphan.exists() && !folder.path().join("objects/.unfinished-1").exists());
    vault.verify(object).unwrap();

    let damaged = put(&vault, b"damaged");
    fs::write(folder.path().join("objects").join(format!("{damaged}.json")), b"").unwrap();
    drop(vault);
    let vault = Vault::open(folder.path(), master, None).unwrap();
    assert_eq!(
        chunk_files(folder.path()).len(),
        2,
        "chunks of a damaged manifest are kept"
    );
    vault.verify(object).unwrap();
}

#[test]
fn a_damaged_object_hides_no_other() {
    let (folder, _, vault) = vault();
    let (one, damaged, three) = (put(&vault, b"one"), put(&vault, b"two"), put(&vault, b"three"));
    let path = folder.path().join("objects").join(format!("{damaged}.json"));
    fs::write(path, b"").unwrap();
    let listed: Vec<ObjectId> = vault.list().unwrap().iter().map(|facts| facts.object).collect();
    let mut whole = [one, three];
    whole.sort();
    assert_eq!(listed, whole);
    let ids = vault.ids().unwrap();
    assert!(ids.len() == 3 && ids.contains(&damaged));
}

#[test]
fn a_pending_object_is_seen_once_committed() {
    let (folder, master, vault) = vault();
    let pending = |byte| {
        let (object, key, salt) = (ObjectId([byte; 16]), Secret::random(), Some(Secret::random()));
        let sealed = seal::ChunkCipher::new(&key).seal(
            seal::Place {
                object,
                index: 0,
                last: true,
            },
            b"weights",
        );
        let mut writer = vault
            .sealed_writer(NewObject {
                object,
                kind: ObjectKind::Model,
                key,
                salt,
            })
            .unwrap();
        writer.push(&sealed, true).unwrap();
        writer.finish(None, Shelf::Pending).unwrap()
    };
    let (kept, dropped) = (pending(1), pending(2));
    assert!(matches!(vault.describe(kept), Err(VaultError::NotFound { .. })));
    drop(vault);
    let vault = Vault::open(folder.path(), master, None).unwrap();
    assert_eq!(vault.pending().unwrap(), [kept, dropped]);
    vault.commit(kept).unwrap();
    vault.commit(kept).unwrap();
    vault.discard(kept).unwrap();
    vault.discard(dropped).unwrap();
    assert_eq!(vault.read(kept, 10).unwrap().as_slice(), b"weights");
    assert!(vault.salt(kept).is_ok());
    assert!(matches!(vault.commit(dropped), Err(VaultError::NotFound { .. })));
    assert!(vault.pending().unwrap().is_empty());
    assert_eq!(chunk_files(folder.path()).len(), 1);
}

#[test]
fn rotation_changes_wrapped_keys_alone() {
    let (folder, old, vault) = vault();
    let object = put(&vault, b"text");
    let chunks = chunk_files(folder.path());
    let new = key();
    drop(vault);
    let vault = Vault::open(folder.path(), new.clone(), Some(old.clone())).unwrap();
    vault.verify(object).unwrap();
    assert_eq!(chunk_files(folder.path()), chunks);
    let later = put(&vault, b"after");
    drop(vault);
    let error = Vault::open(folder.path(), old, None).err().unwrap();
    assert!(matches!(error, VaultError::UnknownMasterKey { .. }), "{error}");
    let vault = Vault::open(folder.path(), new, None).unwrap();
    vault.verify(object).unwrap();
    vault.verify(later).unwrap();
}

#[test]
fn a_backup_restores_and_an_unfinished_one_does_not() {
    let (_folder, master, vault) = vault();
    let object = put(&vault, &vec![3; CHUNK_BYTES + 5]);
    let (backup_folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    vault.backup(backup_folder.path()).unwrap();
    assert!(matches!(
        vault.backup(backup_folder.path()),
        Err(VaultError::Exists { .. })
    ));
    vault.remove(object).unwrap();
    Vault::restore(backup_folder.path(), restored.path()).unwrap();
    let again = Vault::open(restored.path(), master, None).unwrap();
    assert_eq!(again.read(object, u64::MAX).unwrap().len(), CHUNK_BYTES + 5);

    fs::write(&chunk_files(backup_folder.path())[0], b"damaged").unwrap();
    let third = tempfile::tempdir().unwrap();
    let error = Vault::restore(backup_folder.path(), third.path()).unwrap_err();
    assert!(matches!(error, VaultError::ChunkCorrupted { .. }));
    assert!(!third.path().join("vault.json").exists());
    fs::remove_file(backup_folder.path().join("vault.json")).unwrap();
    let error = Vault::restore(backup_folder.path(), tempfile::tempdir().unwrap().path()).unwrap_err();
    assert!(matches!(error, VaultError::Version { .. }), "{error}");
}
