//! The licence check: every package that can reach a build has a permissive licence.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

use super::{Fault, cargo};
use crate::repository::Repository;
use crate::rules::{self, LicenceException};

/// A package and the licence that its manifest states.
#[derive(Debug)]
struct Licensed {
    name: String,
    version: String,
    licence: Option<String>,
}

/// Finds dependencies with a licence that is not permissive, or none.
///
/// The lock file also names packages that no feature of ours builds; those reach nobody and are left out.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let metadata = cargo::metadata(&repository.root)?;
    let everything = [
        "--workspace",
        "--all-features",
        "--edges",
        "normal,build,dev",
        "--target",
        "all",
    ];
    let built: HashSet<_> = cargo::tree(&repository.root, &everything)?
        .into_iter()
        .map(|package| (package.name, package.version))
        .collect();
    let mut packages = licensed(&metadata)?;
    packages.retain(|package| built.contains(&(package.name.clone(), package.version.clone())));
    let mut faults: Vec<_> = packages
        .iter()
        .filter_map(|package| package_fault(package, rules::LICENCE_EXCEPTIONS))
        .collect();
    faults.extend(stale_exceptions(&packages, rules::LICENCE_EXCEPTIONS));
    Ok(faults)
}

/// What `cargo metadata` says of every package in the lock file.
fn licensed(metadata: &Value) -> Result<Vec<Licensed>> {
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("cargo metadata lists no packages")?;
    let text = |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    let licensed = packages.iter().map(|package| {
        Some(Licensed {
            name: text(package, "name")?,
            version: text(package, "version")?,
            licence: text(package, "license"),
        })
    });
    licensed
        .collect::<Option<_>>()
        .context("cargo metadata lists a package without name or version")
}

fn package_fault(package: &Licensed, exceptions: &[LicenceException]) -> Option<Fault> {
    let place = format!("{} {}", package.name, package.version);
    let Some(licence) = &package.licence else {
        return Some(Fault::new(place, "states no licence; use another package."));
    };
    let excepted =
        |exception: &&LicenceException| exception.package == package.name && exception.licence == licence;
    if exceptions.iter().any(|exception| excepted(&exception)) {
        return None;
    }
    match is_permitted(licence) {
        Ok(true) => None,
        Ok(false) => {
            let what = format!(
                "is licensed `{licence}`, which is not permissive; use another package, \
                 or decide an exception with its reason in {}.",
                rules::THIS_FILE
            );
            Some(Fault::new(place, what))
        }
        Err(error) => Some(Fault::new(
            place,
            format!("states `{licence}`, no licence expression: {}.", error.reason),
        )),
    }
}

/// Whether `licence` can be met with permitted licences alone: of an OR one side is enough, of an AND all must be.
fn is_permitted(licence: &str) -> Result<bool, spdx::ParseError> {
    // Old manifests write `MIT/Apache-2.0` where SPDX says OR; nothing else is read loosely.
    let mode = ParseMode {
        allow_slash_as_or_operator: true,
        ..ParseMode::STRICT
    };
    Ok(Expression::parse_mode(licence, mode)?.evaluate(requirement_is_permitted))
}

fn requirement_is_permitted(requirement: &LicenseReq) -> bool {
    let licence = requirement
        .license
        .id()
        .is_some_and(|id| rules::LICENCES.contains(&id.name));
    let addition = requirement.addition.as_ref();
    let addition = addition.is_none_or(|addition| {
        addition
            .id()
            .is_some_and(|id| rules::LICENCE_ADDITIONS.contains(&id.name))
    });
    licence && addition
}

/// An exception that no dependency needs any more would let the next one in unseen.
fn stale_exceptions(packages: &[Licensed], exceptions: &[LicenceException]) -> Vec<Fault> {
    let stale = exceptions.iter().filter(|exception| {
        !packages.iter().any(|package| {
            package.name == exception.package && package.licence.as_deref() == Some(exception.licence)
        })
    });
    let explain = |exception: &LicenceException| {
        let LicenceException {
            package,
            licence,
            reason,
            decided,
        } = exception;
        let what = format!(
            "no build has {package} under `{licence}` any more; remove the exception of {decided} ({reason})."
        );
        Fault::new(rules::THIS_FILE, what)
    };
    stale.map(explain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(licence: Option<&str>) -> Licensed {
        Licensed {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.map(str::to_owned),
        }
    }

    #[test]
    fn expressions_are_weighed_as_spdx_says() {
        let permitted = [
            "MIT",
            "MIT/Apache-2.0",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "(MIT OR GPL-3.0-only) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ];
        for licence in permitted {
            assert!(is_permitted(licence).unwrap(), "{licence}");
        }
        let refused = [
            "GPL-3.0-only",
            "MPL-2.0",
            "MIT AND LGPL-2.1-or-later",
            "AGPL-3.0-or-later OR SSPL-1.0",
            "LicenseRef-ours",
            "Apache-2.0 WITH Classpath-exception-2.0",
        ];
        for licence in refused {
            assert!(!is_permitted(licence).unwrap(), "{licence}");
        }
    }

    #[test]
    fn a_refusal_names_package_and_licence() {
        let fault = package_fault(&package(Some("GPL-3.0-only")), &[]).unwrap();
        assert_eq!(fault.place, "a 1.0.0");
        assert!(fault.what.contains("GPL-3.0-only"), "{fault}");
        assert!(package_fault(&package(None), &[]).is_some());
        assert!(package_fault(&package(Some("as you like")), &[]).is_some());
        assert_eq!(package_fault(&package(Some("MIT")), &[]), None);
    }

    #[test]
    fn an_exception_holds_for_its_package_and_licence_alone() {
        let exceptions = [LicenceException {
            package: "a",
            licence: "MPL-2.0",
            reason: "a test",
            decided: "2026-01-01",
        }];
        assert_eq!(package_fault(&package(Some("MPL-2.0")), &exceptions), None);
        assert!(package_fault(&package(Some("GPL-3.0-only")), &exceptions).is_some());
        assert_eq!(stale_exceptions(&[package(Some("MPL-2.0"))], &exceptions), []);
        assert_eq!(stale_exceptions(&[package(Some("MIT"))], &exceptions).len(), 1);
    }
}
