//! The DDOs that are published, and what is refused.

use posthuman_assets::{
    AssetFacts, Ddo, DdoError, Listing, MAX_DDO_BYTES, ModelFacts, TrustedAlgorithm, TrustedOperation,
    did_for, model_ddo,
};
use posthuman_types::{Address, Amount, ErrorClass, Operation, Publication};
use serde_json::{Value, json};

use crate::fixtures::{
    CHAIN, blank, changed, child_ddo, listing, model_facts, operation, operation_facts, root_ddo, trained,
    trusted,
};

#[test]
fn every_document_reads_back() {
    for ddo in [root_ddo(), child_ddo(), blank(), operation()] {
        let back = Ddo::parse(&ddo.to_bytes()).unwrap();
        assert_eq!(back, ddo);
        assert_eq!(back.to_bytes(), ddo.to_bytes());
        assert!(back.facts().unwrap().is_some());
        back.check_place(ddo.nft_address, CHAIN).unwrap();
    }
}

/// The documents on which `tests/vectors/validate.mjs` ran Ocean's own validator. A change of what is published shows
/// here; run the validator again before committing it.
#[test]
fn the_documents_are_those_that_ocean_validated() {
    let documents = [root_ddo(), child_ddo(), blank(), operation()];
    let lines: Vec<String> = documents
        .iter()
        .map(|ddo| String::from_utf8(ddo.to_bytes()).unwrap())
        .collect();
    let committed = include_str!("../vectors/documents.jsonl");
    assert!(
        lines.join("\n") == committed.trim_end(),
        "published documents changed:\n{}",
        lines.join("\n")
    );
}

#[test]
fn a_model_has_three_services_that_trust_one_operation_each() {
    let ddo = child_ddo();
    assert_eq!(ddo.services.len(), 3);
    assert_eq!(ddo.datatokens(), [Address::repeat_byte(0x21)]);
    for (operation, expected) in Operation::ALL.into_iter().zip(trusted()) {
        let service = &ddo.services[operation.service_index() as usize];
        assert_eq!(
            (service.kind.as_str(), service.id.as_str()),
            ("compute", operation.as_str())
        );
        let compute = service.compute.as_ref().unwrap();
        assert!(!compute.allow_raw_algorithm && !compute.allow_network_access);
        assert!(compute.publisher_trusted_algorithm_publishers.is_empty());
        let [
            TrustedAlgorithm::One {
                did, files_checksum, ..
            },
        ] = &compute.publisher_trusted_algorithms[..]
        else {
            panic!("one operation is trusted");
        };
        assert_eq!(
            (did.as_str(), files_checksum),
            (expected.did.as_str(), &expected.files_checksum)
        );
    }
    let services = blank().services;
    assert_eq!(services.len(), 1);
    assert_eq!(services[Operation::Train.service_index() as usize].id, "train");
}

#[test]
fn another_engine_is_another_operation() {
    let did = operation().id;
    let mine = operation_facts(Operation::Train);
    let mut other = mine.clone();
    other.engine.push_str("-other");
    let (mine, other) = (
        TrustedOperation::of(did.clone(), &mine),
        TrustedOperation::of(did, &other),
    );
    assert_ne!(mine.files_checksum, other.files_checksum);
    assert_ne!(mine.container_checksum, other.container_checksum);
}

#[test]
fn facts_survive_the_journey() {
    let Some(AssetFacts::Model(facts)) = Ddo::parse(&root_ddo().to_bytes()).unwrap().facts().unwrap() else {
        panic!("a model has facts of a model");
    };
    assert_eq!(*facts, model_facts(trained(None, 0x10)));
    let text = String::from_utf8(root_ddo().to_bytes()).unwrap();
    let supply = format!("\"{}\":\"80000000000000000000\"", Address::repeat_byte(0xa1));
    assert!(
        text.contains(&supply),
        "addresses stand in EIP-55 form, amounts in base units: {text}"
    );
}

/// Where a change was made, the change, and the path that the error must name.
type Case = (&'static str, Value, &'static str);

#[test]
fn what_ocean_refuses_is_refused_by_its_path() {
    let cases: Vec<Case> = vec![
        ("/id", json!("did:ex:1"), "id"),
        ("/id", json!(did_for(Address::ZERO, CHAIN)), "id"),
        ("/chainId", json!("8996"), "chainId"),
        ("/chainId", json!(1), "id"),
        ("/nftAddress", json!("0x12"), "nftAddress"),
        ("/metadata/name", json!(7), "metadata.name"),
        ("/metadata/created", json!(7), "metadata.created"),
        ("/metadata/description", json!("a\r\nb"), "metadata.description"),
        ("/metadata/tags/1", json!(7), "metadata.tags[1]"),
        (
            "/metadata/algorithm",
            json!({"language": "rust"}),
            "metadata.algorithm",
        ),
        ("/services", json!([]), "services"),
        ("/services/0/timeout", json!(1.5), "services[0].timeout"),
        ("/services/0/timeout", json!("0"), "services[0].timeout"),
        (
            "/services/1/datatokenAddress",
            json!(""),
            "services[1].datatokenAddress",
        ),
        ("/services/1/files", json!(["a"]), "services[1].files"),
        ("/services/2/id", json!("a\nb"), "services[2].id"),
        (
            "/services/2/compute/allowRawAlgorithm",
            json!("no"),
            "services[2].compute.allowRawAlgorithm",
        ),
        (
            "/services/2/compute/publisherTrustedAlgorithms/0",
            json!({"did": "did:op:1"}),
            "services[2].compute.publisherTrustedAlgorithms[0]",
        ),
        (
            "/services/2/compute/publisherTrustedAlgorithms/0",
            json!("all"),
            "services[2].compute.publisherTrustedAlgorithms",
        ),
    ];
    for (pointer, value, expected) in cases {
        let bytes = changed(&root_ddo(), |ddo| {
            match ddo.pointer_mut(pointer) {
                Some(place) => *place = value.clone(),
                None => ddo["metadata"]["algorithm"] = value.clone(),
            };
        });
        let path = match Ddo::parse(&bytes).unwrap_err() {
            DdoError::Field { path, .. } | DdoError::Rule { path, .. } => path,
            error => panic!("{pointer}: {error}"),
        };
        assert_eq!(path, expected, "{pointer} = {value}");
    }
}

#[test]
fn what_ocean_requires_is_required() {
    let required = [
        (
            "",
            &["id", "version", "chainId", "nftAddress", "metadata", "services"][..],
        ),
        (
            "/metadata",
            &[
                "created",
                "updated",
                "type",
                "name",
                "description",
                "author",
                "license",
            ],
        ),
        ("/metadata/algorithm", &["container"]),
        (
            "/metadata/algorithm/container",
            &["entrypoint", "image", "tag", "checksum"],
        ),
        (
            "/services/0",
            &[
                "id",
                "type",
                "files",
                "datatokenAddress",
                "serviceEndpoint",
                "timeout",
            ],
        ),
    ];
    let compute = (
        "/services/0/compute",
        &["allowRawAlgorithm", "allowNetworkAccess"][..],
    );
    let cases = required
        .map(|case| (operation(), case))
        .into_iter()
        .chain([(root_ddo(), compute)]);
    for (ddo, (parent, fields)) in cases {
        for field in fields {
            let bytes = changed(&ddo, |ddo| {
                let parent = ddo.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
                parent.remove(*field).unwrap();
            });
            assert!(Ddo::parse(&bytes).is_err(), "{parent}/{field}");
        }
    }
}

#[test]
fn what_is_no_document_is_refused_in_a_sentence() {
    assert!(matches!(Ddo::parse(b"{"), Err(DdoError::Json { .. })));
    assert!(matches!(Ddo::parse(b"[]"), Err(DdoError::Json { .. })));
    assert!(matches!(Ddo::parse(&[0xff; 9]), Err(DdoError::Json { .. })));
    let deep = [b"{\"id\":".to_vec(), vec![b'['; 100_000]].concat();
    assert!(matches!(Ddo::parse(&deep), Err(DdoError::Json { .. })));
    let large = Ddo::parse(&vec![b' '; MAX_DDO_BYTES + 1]).unwrap_err();
    assert_eq!(large.class(), ErrorClass::TooLarge);
    let later = changed(&root_ddo(), |ddo| ddo["version"] = json!("5.0.0"));
    let error = Ddo::parse(&later).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the DDO has version `5.0.0`: versions 4.1.0, 4.3.0, 4.5.0 and 4.7.0 are read"
    );
    let trailing = [root_ddo().to_bytes(), b"{}".to_vec()].concat();
    assert!(matches!(Ddo::parse(&trailing), Err(DdoError::Json { .. })));
}

#[test]
fn a_document_of_another_place_is_refused() {
    let ddo = root_ddo();
    assert!(ddo.check_place(Address::ZERO, CHAIN).is_err());
    assert!(ddo.check_place(ddo.nft_address, 1).is_err());
}

#[test]
fn facts_that_cannot_be_true_are_refused() {
    let information = "/metadata/additionalInformation/posthuman";
    let cases: Vec<Case> = vec![
        ("/schema", json!("posthuman/asset/2"), "schema"),
        ("/kind", json!("poem"), "kind"),
        ("/architecture/layers", json!(0), "architecture"),
        ("/architecture/layers", json!("2"), "architecture.layers"),
        ("/allowances/infer", json!(0), "allowances"),
        ("/parent_share_bps", json!(10_001), "parent_share_bps"),
        ("/initial_supply", json!({}), "initial_supply"),
        ("/collector", json!("alice"), "collector"),
        ("/baseline/accuracy", json!(1.5), "baseline"),
        ("/lineage/root", json!(child_ddo().id), "lineage.root"),
        ("/lineage/generation", json!(1), "lineage.generation"),
        ("/lineage/origin", json!({"found": {}}), "lineage.origin"),
        (
            "/lineage/origin/trained/job",
            json!("7"),
            "lineage.origin.trained.job",
        ),
    ];
    for (pointer, value, expected) in cases {
        let bytes = changed(&root_ddo(), |ddo| {
            *ddo.pointer_mut(&format!("{information}{pointer}")).unwrap() = value
        });
        let path = match Ddo::parse(&bytes).unwrap().facts().unwrap_err() {
            DdoError::Field { path, .. } | DdoError::Rule { path, .. } => path,
            error => panic!("{pointer}: {error}"),
        };
        let path = path
            .strip_prefix("metadata.additionalInformation.posthuman.")
            .unwrap_or(&path);
        assert!(path.starts_with(expected), "{pointer}: {path}");
    }
}

/// What admission accepts before a job is paid must not be refused when its model is published.
#[test]
fn whatever_a_publication_may_say_is_published() {
    let facts = || model_facts(trained(None, 0x10));
    let text = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    let least = |unit: &str| Publication {
        name: unit.to_owned(),
        description: String::new(),
        author: String::new(),
        license: String::new(),
        parent_share_bps: None,
        price: None,
    };
    let most = |unit: &str| Publication {
        name: text(unit, 100),
        description: format!("{}\n\t", text(unit, 3_998)),
        author: text(unit, 256),
        license: text(unit, 256),
        parent_share_bps: Some(9_000),
        price: Some(Publication::LEAST_PRICE),
    };
    for unit in ["x", "\"", "\\", "é", "𝒳", "\u{feff}", "<"] {
        for publication in [least(unit), most(unit)] {
            publication.check().unwrap();
            let listing = Listing {
                name: publication.name,
                description: publication.description,
                author: publication.author,
                license: publication.license,
                ..listing(0x10, "")
            };
            let facts = ModelFacts {
                parent_share_bps: publication.parent_share_bps.unwrap_or_default(),
                ..facts()
            };
            let ddo = model_ddo(listing, facts, &trusted()).unwrap();
            assert_eq!(Ddo::parse(&ddo.to_bytes()).unwrap(), ddo, "{unit}");
        }
    }
}

#[test]
fn nothing_wrong_is_published() {
    let facts = || model_facts(trained(None, 0x10));
    let publish = |listing, facts| model_ddo(listing, facts, &trusted());
    let mut long = listing(0x10, "M1");
    long.description = "x".repeat(7_001);
    let mut lines = listing(0x10, "M1");
    lines.author = "Alice\n".to_owned();
    let mut tags = listing(0x10, "M1");
    tags.tags = vec!["tag".to_owned(); 65];
    for listing in [listing(0x10, ""), long, lines, tags, listing(0x11, "M1")] {
        assert!(publish(listing.clone(), facts()).is_err(), "{listing:?}");
    }
    let mut poor = facts();
    poor.initial_supply
        .values_mut()
        .for_each(|amount| *amount = Amount::ZERO);
    let mut unknown = facts();
    unknown.baseline.as_mut().unwrap().loss = f64::NAN;
    let shared = ModelFacts {
        parent_share_bps: 10_001,
        ..facts()
    };
    for facts in [poor, unknown, shared] {
        assert!(publish(listing(0x10, "M1"), facts).is_err());
    }
    publish(listing(0x10, "M1"), facts()).unwrap();
}
