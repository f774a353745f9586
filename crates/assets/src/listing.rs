//! The DDOs that Posthuman publishes.

use posthuman_types::{Address, Did, Operation};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::ddo::{
    Algorithm, Compute, Container, Ddo, DdoError, MAX_DDO_BYTES, Metadata, Service, TrustedAlgorithm,
};
use crate::did::did_for;
use crate::encrypt::FileObject;
use crate::facts::{AssetFacts, BlankFacts, ModelFacts, OperationFacts};
use crate::timestamp::timestamp;

/// The command of every operation's container section. No container exists: operations are built into the node.
const ENTRYPOINT: &str = "posthuman worker";

/// What every published asset says, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Chain of the data NFT.
    pub chain_id: u64,
    /// The data NFT.
    pub nft: Address,
    /// The one datatoken of all its services.
    pub datatoken: Address,
    /// URL of the node that serves it.
    pub endpoint: String,
    /// The sealed files object ([`crate::seal_files`]).
    pub files: String,
    /// Seconds that an order lasts; 0 is for ever.
    pub timeout: u64,
    /// First publication, in seconds since 1970 (Unix time).
    pub created: u64,
    /// This publication.
    pub updated: u64,
    /// Name: one line, 1 to 512 characters.
    pub name: String,
    /// Description: at most 7,000 characters.
    pub description: String,
    /// Who made it, for people: at most 256 characters.
    pub author: String,
    /// SPDX expression or URL: at most 256 characters.
    pub license: String,
    /// At most 64 words of at most 256 characters.
    pub tags: Vec<String>,
}

/// An operation that a service trusts, by what cannot change without changing these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedOperation {
    /// DID of the operation's algorithm asset.
    pub did: Did,
    /// SHA-256 of its file, as 64 hex digits.
    pub files_checksum: String,
    /// SHA-256 of entry point and image checksum, as 64 hex digits.
    pub container_checksum: String,
}

impl TrustedOperation {
    /// The operation published under `did`. Another engine has other checksums, and is not trusted by models that trust
    /// this one.
    pub fn of(did: Did, facts: &OperationFacts) -> Self {
        let file = FileObject::Engine {
            operation: facts.operation,
            engine: facts.engine.clone(),
        };
        // Ocean: hex SHA-256 of the content of each file. The content of a built-in operation is its description.
        let files_checksum = sha256_hex(json!(file).to_string().as_bytes());
        let container_checksum = sha256_hex(format!("{ENTRYPOINT}{}", image_checksum(facts)).as_bytes());
        Self {
            did,
            files_checksum,
            container_checksum,
        }
    }
}

/// The DDO of a model: three compute services in the order of [`Operation::ALL`], each trusting the one operation it is
/// for and nothing else. `trusted` is in the same order.
///
/// # Errors
/// Texts that are empty, too long or no single line; facts that cannot be true; a document that is too large.
pub fn model_ddo(
    listing: Listing,
    facts: ModelFacts,
    trusted: &[TrustedOperation; 3],
) -> Result<Ddo, DdoError> {
    let allowances = facts.allowances;
    let services = Operation::ALL.into_iter().zip(trusted);
    let services = services
        .map(|(operation, trusted)| operation_service(&listing, operation, allowances.of(operation), trusted))
        .collect();
    finish(
        listing,
        "dataset",
        None,
        services,
        &AssetFacts::Model(Box::new(facts)),
    )
}

/// The DDO of the blank model: one compute service that trains from scratch.
///
/// # Errors
/// As [`model_ddo`].
pub fn blank_ddo(listing: Listing, facts: BlankFacts, trusted: &TrustedOperation) -> Result<Ddo, DdoError> {
    let services = vec![operation_service(
        &listing,
        Operation::Train,
        facts.allowances.train,
        trusted,
    )];
    finish(listing, "dataset", None, services, &AssetFacts::Blank(facts))
}

/// The DDO of one operation, an algorithm to Ocean. It runs only beside a model whose service trusts it.
///
/// # Errors
/// As [`model_ddo`].
pub fn operation_ddo(listing: Listing, facts: OperationFacts) -> Result<Ddo, DdoError> {
    let container = Container {
        entrypoint: ENTRYPOINT.to_owned(),
        image: "posthuman".to_owned(),
        tag: facts.engine.clone(),
        checksum: image_checksum(&facts),
        extra: Map::new(),
    };
    let algorithm = Algorithm {
        language: Some("rust".to_owned()),
        version: Some(facts.engine.clone()),
        container,
        extra: Map::new(),
    };
    let description = "Runs beside models whose services trust it.";
    let services = vec![service(&listing, facts.operation, "Operation", description)];
    finish(
        listing,
        "algorithm",
        Some(algorithm),
        services,
        &AssetFacts::Operation(facts),
    )
}

fn finish(
    listing: Listing,
    kind: &str,
    algorithm: Option<Algorithm>,
    services: Vec<Service>,
    facts: &AssetFacts,
) -> Result<Ddo, DdoError> {
    check_listing(&listing)?;
    let id = did_for(listing.nft, listing.chain_id);
    facts.check(&id)?;
    let metadata = Metadata {
        created: timestamp(listing.created),
        updated: timestamp(listing.updated),
        kind: kind.to_owned(),
        name: listing.name,
        description: listing.description,
        author: listing.author,
        license: listing.license,
        tags: listing.tags,
        algorithm,
        additional_information: Some(json!({ "posthuman": facts.to_value() })),
        extra: Map::new(),
    };
    let ddo = Ddo {
        context: json!(["https://w3id.org/did/v1"]),
        id,
        version: crate::ddo::VERSION.to_owned(),
        chain_id: listing.chain_id,
        nft_address: listing.nft,
        metadata,
        services,
        credentials: None,
        extra: Map::new(),
    };
    crate::rules::check(&ddo)?;
    let found = ddo.to_bytes().len();
    if found > MAX_DDO_BYTES {
        Err(DdoError::TooLarge { found })
    } else {
        Ok(ddo)
    }
}

fn operation_service(
    listing: &Listing,
    operation: Operation,
    tokens: u64,
    trusted: &TrustedOperation,
) -> Service {
    let (name, description) = match operation {
        Operation::Train => (
            "Training",
            format!("One training of a new model, on up to {tokens} tokens."),
        ),
        Operation::Infer => (
            "Inference",
            format!("One session of prompts and answers, up to {tokens} tokens together."),
        ),
        Operation::Evaluate => (
            "Evaluation",
            format!("One evaluation on a text of up to {tokens} tokens."),
        ),
    };
    let compute = Compute {
        allow_raw_algorithm: false,
        allow_network_access: false,
        publisher_trusted_algorithm_publishers: Vec::new(),
        publisher_trusted_algorithms: vec![TrustedAlgorithm::One {
            did: trusted.did.to_string(),
            files_checksum: trusted.files_checksum.clone(),
            container_section_checksum: trusted.container_checksum.clone(),
            extra: Map::new(),
        }],
        extra: Map::new(),
    };
    Service {
        compute: Some(compute),
        ..service(listing, operation, name, &description)
    }
}

fn service(listing: &Listing, operation: Operation, name: &str, description: &str) -> Service {
    Service {
        id: operation.as_str().to_owned(),
        kind: "compute".to_owned(),
        name: Some(name.to_owned()),
        description: Some(description.to_owned()),
        files: listing.files.clone(),
        datatoken_address: listing.datatoken,
        service_endpoint: listing.endpoint.clone(),
        timeout: listing.timeout,
        compute: None,
        additional_information: None::<Value>,
        extra: Map::new(),
    }
}

/// The lengths that Ocean's shapes set from version 4.3.0 on, so that a later version finds nothing to refuse.
fn check_listing(listing: &Listing) -> Result<(), DdoError> {
    let texts = [
        ("metadata.name", &listing.name, 1, 512),
        ("metadata.author", &listing.author, 0, 256),
        ("metadata.license", &listing.license, 0, 256),
        ("services[0].serviceEndpoint", &listing.endpoint, 10, 2_048),
        ("services[0].files", &listing.files, 2, 8_192),
    ];
    for (path, text, least, most) in texts {
        check_length(path, text, least, most)?;
        if text.contains(char::is_control) {
            return Err(DdoError::rule(path, "it must be one line of text"));
        }
    }
    check_length("metadata.description", &listing.description, 0, 7_000)?;
    if listing
        .description
        .contains(|character: char| character.is_control() && !matches!(character, '\n' | '\t'))
    {
        return Err(DdoError::rule(
            "metadata.description",
            "it holds control characters",
        ));
    }
    if listing.tags.len() > 64 {
        return Err(DdoError::rule("metadata.tags", "64 are the most"));
    }
    for (index, tag) in listing.tags.iter().enumerate() {
        check_length(&format!("metadata.tags[{index}]"), tag, 1, 256)?;
    }
    Ok(())
}

fn check_length(path: &str, text: &str, least: usize, most: usize) -> Result<(), DdoError> {
    // Ocean counts UTF-16 code units, as JavaScript does.
    let found = text.encode_utf16().count();
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(DdoError::rule(
        path,
        format!("it has {found} characters and {least} to {most} are allowed"),
    ))
}

/// Stands where Ocean expects the checksum of an image: it changes with the operation and with the engine.
fn image_checksum(facts: &OperationFacts) -> String {
    let text = format!("posthuman/operation/1\n{}\n{}", facts.operation, facts.engine);
    format!("sha256:{}", sha256_hex(text.as_bytes()))
}

fn sha256_hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(Sha256::digest(bytes))
}
