//! DDOs on the chain.

use posthuman_assets::{DdoError, Published, read_published};
use posthuman_types::B256;

use crate::fixtures::{child_ddo, root_ddo};

#[test]
fn a_published_document_is_read_back() {
    let published = Published::plain(&child_ddo());
    assert_eq!(published.flags.as_ref(), [0]);
    assert_eq!(
        read_published(&published.flags, &published.data, published.hash).unwrap(),
        child_ddo()
    );
    assert_eq!(
        read_published(&[], &published.data, published.hash).unwrap(),
        child_ddo()
    );
}

/// Some of Ocean's tools hash the data themselves.
#[test]
fn both_hashes_of_ocean_are_accepted_and_no_other() {
    use sha2::{Digest, Sha256};
    let data = root_ddo().to_bytes();
    let direct = B256::from_slice(&Sha256::digest(&data));
    assert_ne!(direct, Published::plain(&root_ddo()).hash);
    read_published(&[0], &data, direct).unwrap();
    assert!(matches!(
        read_published(&[0], &data, B256::ZERO),
        Err(DdoError::Hash { .. })
    ));
    let mut other = data.clone();
    other[10] ^= 1;
    assert!(matches!(
        read_published(&[0], &other, direct),
        Err(DdoError::Hash { .. })
    ));
}

#[test]
fn other_ways_of_publishing_are_refused_by_name() {
    let Published { data, hash, .. } = Published::plain(&root_ddo());
    assert!(matches!(
        read_published(&[1], &data, hash),
        Err(DdoError::Compressed)
    ));
    assert!(matches!(
        read_published(&[2], &data, hash),
        Err(DdoError::Encrypted)
    ));
    assert!(matches!(
        read_published(&[3], &data, hash),
        Err(DdoError::Encrypted)
    ));
    for flags in [&[4_u8][..], &[6], &[1, 0], &[9; 40]] {
        assert!(
            matches!(read_published(flags, &data, hash), Err(DdoError::Flags { .. })),
            "{flags:?}"
        );
    }
}
