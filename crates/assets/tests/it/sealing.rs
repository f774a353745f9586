//! Sealed files objects.

use posthuman_assets::{DocumentsKey, EncryptError, FileObject, FilesObject, open_files, seal_files};
use posthuman_types::{Address, ObjectId, Operation};
use proptest::prelude::*;

use crate::fixtures::{ENGINE, commitment};

fn files() -> FilesObject {
    FilesObject {
        datatoken: Address::repeat_byte(2),
        nft: Address::repeat_byte(1),
        files: vec![
            FileObject::Vault {
                object: ObjectId([9; 16]),
                commitment: commitment(3),
            },
            FileObject::Engine {
                operation: Operation::Infer,
                engine: ENGINE.to_owned(),
            },
        ],
    }
}

fn key() -> DocumentsKey {
    DocumentsKey::from_bytes([7; 32])
}

fn open(key: &DocumentsKey, text: &str) -> Result<FilesObject, EncryptError> {
    open_files(key, Address::repeat_byte(1), Address::repeat_byte(2), text)
}

#[test]
fn what_is_sealed_opens_and_says_nothing_before() {
    let text = seal_files(&key(), &files()).unwrap();
    assert_eq!(open(&key(), &text).unwrap(), files());
    assert_ne!(
        seal_files(&key(), &files()).unwrap(),
        text,
        "each sealing has a nonce of its own"
    );
    let hex = text.strip_prefix("0x").unwrap();
    assert!(hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let bytes = alloy_primitives::hex::decode(hex).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"vault"));
    let none = FilesObject {
        files: Vec::new(),
        ..files()
    };
    assert_eq!(open(&key(), &seal_files(&key(), &none).unwrap()).unwrap(), none);
}

#[test]
fn another_key_nft_or_datatoken_does_not_open() {
    let text = seal_files(&key(), &files()).unwrap();
    let (nft, datatoken) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let stranger = DocumentsKey::generate().unwrap();
    for (key, nft, datatoken) in [
        (&stranger, nft, datatoken),
        (&key(), datatoken, nft),
        (&key(), nft, nft),
    ] {
        assert!(matches!(
            open_files(key, nft, datatoken, &text),
            Err(EncryptError::Tampered { .. })
        ));
    }
}

#[test]
fn other_texts_are_refused() {
    let sealed = seal_files(&key(), &files()).unwrap();
    let later = sealed.replacen("0x01", "0x02", 1);
    for text in [
        "",
        "0x",
        "0x01",
        "01aa",
        "0xzz",
        "hello",
        &later,
        sealed.trim_start_matches("0x"),
    ] {
        assert!(matches!(open(&key(), text), Err(EncryptError::Form)), "{text}");
    }
    let long = format!("0x{}", "00".repeat(5_000));
    assert!(matches!(open(&key(), &long), Err(EncryptError::TooLarge { .. })));
    let many = FilesObject {
        files: vec![files().files[0].clone(); 100],
        ..files()
    };
    assert!(matches!(
        seal_files(&key(), &many),
        Err(EncryptError::TooLarge { .. })
    ));
}

#[test]
fn the_key_is_never_printed() {
    assert_eq!(format!("{:?}", key()), "DocumentsKey(secret)");
}

proptest! {
    #[test]
    fn any_changed_byte_is_noticed(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let text = seal_files(&key(), &files()).unwrap();
        let mut bytes = alloy_primitives::hex::decode(&text).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let error = open(&key(), &alloy_primitives::hex::encode_prefixed(&bytes)).unwrap_err();
        prop_assert_eq!(matches!(error, EncryptError::Form), place == 0);
        bytes.truncate(place);
        prop_assert!(open(&key(), &alloy_primitives::hex::encode_prefixed(bytes)).is_err());
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        prop_assert!(open(&key(), &text).is_err());
    }
}
