//! What Ocean's shapes ask of a DDO beyond the types of its fields.

use crate::ddo::{Ddo, DdoError, TrustedAlgorithm};

/// Versions whose shapes allow an asset without services.
const MAY_BE_EMPTY: [&str; 2] = ["4.5.0", "4.7.0"];

/// Checks the values of a DDO that has the right types.
pub(crate) fn check(ddo: &Ddo) -> Result<(), DdoError> {
    ddo.check_place(ddo.nft_address, ddo.chain_id)?;
    if ddo.services.is_empty() && !MAY_BE_EMPTY.contains(&ddo.version.as_str()) {
        return Err(DdoError::rule("services", "an asset offers at least one service"));
    }
    let metadata = &ddo.metadata;
    if metadata.description.contains(['\r', '\u{2028}', '\u{2029}']) {
        return Err(DdoError::rule(
            "metadata.description",
            "lines end with a line feed and nothing else",
        ));
    }
    if let Some(algorithm) = &metadata.algorithm {
        let container = &algorithm.container;
        let texts = [
            ("entrypoint", &container.entrypoint),
            ("image", &container.image),
            ("tag", &container.tag),
            ("checksum", &container.checksum),
        ];
        check_lines("metadata.algorithm.container.", texts)?;
    }
    for (index, service) in ddo.services.iter().enumerate() {
        let texts = [
            ("id", &service.id),
            ("type", &service.kind),
            ("files", &service.files),
            ("serviceEndpoint", &service.service_endpoint),
        ];
        check_lines(&format!("services[{index}]."), texts)?;
        let trusted = service
            .compute
            .iter()
            .flat_map(|compute| &compute.publisher_trusted_algorithms);
        if trusted
            .into_iter()
            .any(|one| matches!(one, TrustedAlgorithm::Any(text) if text != "*"))
        {
            let path = format!("services[{index}].compute.publisherTrustedAlgorithms");
            return Err(DdoError::rule(path, "an entry is an algorithm or the text `*`"));
        }
    }
    Ok(())
}

/// Ocean's pattern `^(.*)$`.
fn check_lines<'a>(
    parent: &str,
    texts: impl IntoIterator<Item = (&'a str, &'a String)>,
) -> Result<(), DdoError> {
    for (field, text) in texts {
        if text.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
            return Err(DdoError::rule(
                format!("{parent}{field}"),
                "it must be one line of text",
            ));
        }
    }
    Ok(())
}
