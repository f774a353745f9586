//! The data NFT's store.

use posthuman_assets::{
    Lineage, LineageError, LineageRecord, Origin, Parent, commitment_key, decode_address, decode_commitment,
    decode_digest, did_for, encode_address, encode_commitment, encode_digest, key, lineage_key, node_key,
    publication_key, receipt_key, receipt_signer_key,
};
use posthuman_types::{Address, B256, OrderId};

use crate::fixtures::{CHAIN, commitment, trained};

fn record() -> LineageRecord {
    let nft = Address::repeat_byte(0x10);
    let parent = Parent {
        did: did_for(nft, CHAIN),
        nft,
        commitment: commitment(1),
    };
    LineageRecord {
        commitment: commitment(2),
        parent_share_bps: 2_000,
        collector: Address::repeat_byte(0xc1),
        lineage: trained(Some(parent), 0x20),
    }
}

/// Computed by ethers 6, `ethers.id(name)`, which is the key that ocean.js stores the name under.
#[test]
fn keys_are_those_of_ocean() {
    let keys = [
        lineage_key(),
        commitment_key(),
        receipt_signer_key(),
        node_key(),
        publication_key(),
    ];
    assert_eq!(keys.map(|key| key.to_string()), KEYS);
    let order = OrderId {
        chain_id: 8996,
        transaction: B256::repeat_byte(0xa1),
        log_index: 7,
    };
    assert_eq!(
        receipt_key(&order),
        key(&format!("posthuman.receipt:8996:0x{}:7", "a1".repeat(32)))
    );
    assert_eq!(receipt_key(&order).to_string(), RECEIPT_KEY);
}

const KEYS: [&str; 5] = [
    "0x7822605dc374bffa3e82cb99dc959ecf20ed9e539ef0114786fe63ecea7c62b8",
    "0x781ff8052fa176e8d177e7700273b2c86dfa96ef9a53d862b5d8f8a0db19b7d5",
    "0x5fca95855539d8667ce5ab5f42e8604564a6961e0105588cdfed5721463bc9e4",
    "0x3d3555f5e6ea879812ffb152fbfd38fc7035199102b7ee2cf41ea7838e8525cf",
    "0x445cb502d24f92c0830e7edd584120b0b17ae1d311a3c113e9d3286f17bf8ed1",
];
const RECEIPT_KEY: &str = "0xdaddb072c71d26d954ffbde08a6ef21b35371d688425494e6383756c2c823495";

#[test]
fn a_record_is_text_that_reads_back() {
    let value = record().encode();
    assert_eq!(LineageRecord::decode(&value).unwrap(), record());
    let text = std::str::from_utf8(&value).unwrap();
    assert!(
        text.starts_with("{\"schema\":\"posthuman/lineage/1\",\"commitment\":{"),
        "{text}"
    );
    for word in [
        record().lineage.root.as_str(),
        "0xC1C1c1c1C1",
        "\"job\":\"0707",
        "\"generation\":1",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    record()
        .validate_for(&did_for(Address::repeat_byte(0x20), CHAIN))
        .unwrap();
    assert!(record().validate_for(&record().lineage.root).is_err());
    let root = LineageRecord {
        lineage: trained(None, 0x20),
        ..record()
    };
    root.validate_for(&did_for(Address::repeat_byte(0x20), CHAIN))
        .unwrap();
    assert!(root.validate_for(&did_for(Address::ZERO, CHAIN)).is_err());
    let imported = Origin::Imported {
        publication: B256::repeat_byte(4),
    };
    let imported = LineageRecord {
        lineage: Lineage {
            origin: imported,
            ..root.lineage.clone()
        },
        ..root
    };
    assert_eq!(LineageRecord::decode(&imported.encode()).unwrap(), imported);
}

#[test]
fn records_that_cannot_be_are_refused() {
    let changes: [fn(&mut LineageRecord); 7] = [
        |record| record.parent_share_bps = 10_001,
        |record| record.commitment = commitment(1),
        |record| record.lineage.generation = 0,
        |record| record.lineage.generation = 2,
        |record| record.lineage.parent = None,
        |record| record.lineage.root = did_for(Address::ZERO, CHAIN),
        |record| {
            record.lineage.origin = Origin::Imported {
                publication: B256::ZERO,
            }
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = record();
        change(&mut changed);
        let error = LineageRecord::decode(&changed.encode());
        assert!(
            matches!(error, Err(LineageError::Contradiction { .. })),
            "{index}"
        );
    }
    assert!(matches!(
        LineageRecord::decode(&[]),
        Err(LineageError::Absent { .. })
    ));
    assert!(matches!(
        LineageRecord::decode(b"{}"),
        Err(LineageError::Shape { .. })
    ));
    assert!(matches!(
        LineageRecord::decode(&[b' '; 20_000]),
        Err(LineageError::TooLarge { .. })
    ));
    let later = String::from_utf8(record().encode().to_vec())
        .unwrap()
        .replace("lineage/1", "lineage/2");
    assert!(matches!(
        LineageRecord::decode(later.as_bytes()),
        Err(LineageError::Text { .. })
    ));
}

#[test]
fn values_have_one_form() {
    assert_eq!(
        decode_commitment(&encode_commitment(&commitment(5))).unwrap(),
        commitment(5)
    );
    let address = Address::repeat_byte(0xab);
    assert_eq!(decode_address("node", &encode_address(address)).unwrap(), address);
    let digest = B256::repeat_byte(0xcd);
    assert_eq!(decode_digest("receipt", &encode_digest(digest)).unwrap(), digest);

    for value in [&b""[..], b":", b"scheme", b"scheme:0x12", b"\xff"] {
        assert!(decode_commitment(value).is_err());
    }
    let lower = address.to_string().to_lowercase();
    assert!(decode_address("node", lower.as_bytes()).is_err());
    let upper = digest.to_string().to_uppercase();
    assert!(decode_digest("receipt", upper.as_bytes()).is_err());
    assert_eq!(
        decode_digest("receipt", &[]).unwrap_err().to_string(),
        "the data NFT's store holds nothing under the key of the receipt",
    );
}
