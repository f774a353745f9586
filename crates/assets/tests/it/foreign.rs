//! Assets of others: read, kept whole and left alone.

use posthuman_assets::{Ddo, did_for};
use posthuman_types::{Address, address};
use serde_json::{Value, json};

const NFT: Address = address!("0x5FbDB2315678afecb367f032d93F642f64180aa3");

/// An asset as Ocean's command line publishes one, with what an index adds to it.
fn foreign() -> Value {
    json!({
        "@context": ["https://w3id.org/did/v1"],
        "id": did_for(NFT, 8996),
        "nftAddress": NFT.to_string(),
        "version": "4.3.0",
        "chainId": 8996,
        "metadata": {
            "created": "2021-12-20T14:35:20Z", "updated": "2021-12-20T14:35:20Z", "type": "dataset",
            "name": "cli fixed asset", "description": "asset published using ocean cli tool", "tags": ["test"],
            "author": "oceanprotocol", "license": "https://market.oceanprotocol.com/terms", "links": ["https://a.b"],
            "additionalInformation": { "termsAndConditions": true }
        },
        "services": [{
            "id": "ccb398c50d6abd5b456e8d7242bd856a1767a890b537c2f8c10ba8b8a10e6025",
            "type": "compute",
            "files": "0x0449caab",
            "datatokenAddress": "0x282d8efce846a88b159800bd4130ad77443fa1a1",
            "serviceEndpoint": "https://v4.provider.oceanprotocol.com",
            "timeout": 86400,
            "compute": {
                "allowRawAlgorithm": false, "allowNetworkAccess": true,
                "publisherTrustedAlgorithmPublishers": null, "publisherTrustedAlgorithms": ["*"]
            },
            "consumerParameters": [{ "name": "n", "type": "text", "label": "l", "required": true }]
        }],
        "credentials": { "allow": [{ "type": "address", "values": ["*"] }], "deny": [] },
        "datatokens": [{ "serviceId": "0" }],
        "indexedMetadata": { "nft": { "state": 0 } }
    })
}

#[test]
fn an_asset_of_others_is_read_and_kept_whole() {
    let mut original = foreign();
    let ddo = Ddo::parse(&serde_json::to_vec(&original).unwrap()).unwrap();
    assert_eq!(ddo.nft_address, NFT);
    assert_eq!(ddo.facts().unwrap(), None);
    assert!(ddo.extra.contains_key("indexedMetadata"));
    let back: Value = serde_json::from_slice(&ddo.to_bytes()).unwrap();
    // An absent list and an empty one are the same to Ocean; an address has one form here.
    original["services"][0]["compute"]["publisherTrustedAlgorithmPublishers"] = json!([]);
    original["services"][0]["datatokenAddress"] = json!(ddo.services[0].datatoken_address.to_string());
    assert_eq!(back, original);
}

#[test]
fn what_may_be_absent_may_be_null() {
    let mut original = foreign();
    original["credentials"] = Value::Null;
    original["metadata"]["tags"] = Value::Null;
    original["metadata"]["additionalInformation"] = Value::Null;
    original["services"][0]["compute"] = Value::Null;
    let ddo = Ddo::parse(&serde_json::to_vec(&original).unwrap()).unwrap();
    assert_eq!((ddo.credentials, ddo.metadata.tags.len()), (None, 0));
    original["services"] = Value::Null;
    assert!(Ddo::parse(&serde_json::to_vec(&original).unwrap()).is_err());
    original["version"] = json!("4.7.0");
    Ddo::parse(&serde_json::to_vec(&original).unwrap()).unwrap();
}

#[test]
fn facts_of_others_are_no_facts_of_ours() {
    let mut original = foreign();
    original["metadata"]["additionalInformation"] = json!("a text");
    let ddo = Ddo::parse(&serde_json::to_vec(&original).unwrap()).unwrap();
    assert_eq!(ddo.facts().unwrap(), None);
    original["metadata"]["additionalInformation"] = json!({ "posthuman": true });
    let ddo = Ddo::parse(&serde_json::to_vec(&original).unwrap()).unwrap();
    assert!(ddo.facts().is_err());
}
