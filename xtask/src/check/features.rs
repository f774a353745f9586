//! Demo and tests compile the same dependencies, so that whoever runs both waits once.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Fault;
use super::cargo::{self, Built};
use crate::repository::Repository;

/// Finds dependencies that the binary has with other features than the tests of the workspace have.
///
/// Cargo unifies features over the packages it is asked for: a feature that only a test, a scenario or this package
/// asks of a shared dependency compiles that dependency, and all that use it, a second time.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let binary = cargo::tree(
        &repository.root,
        &["--package", "posthuman", "--edges", "normal,build"],
    )?;
    let tests = cargo::tree(&repository.root, &["--workspace", "--edges", "normal,build,dev"])?;
    Ok(faults(&binary, &tests))
}

fn faults(binary: &BTreeSet<Built>, tests: &BTreeSet<Built>) -> Vec<Fault> {
    // Rooms differ where a test asks for their fixtures; they are ours to build twice.
    let twice = binary
        .iter()
        .filter(|package| !package.is_ours && !tests.contains(package));
    let explain = |package: &Built| {
        let same = tests
            .iter()
            .filter(|other| other.name == package.name && other.version == package.version);
        let other: Vec<_> = same.map(|other| format!("`{}`", other.features)).collect();
        let what = format!(
            "is built with `{}` for the binary and with {} for the tests, so twice; find who asks with \
             `cargo tree --workspace --edges features --invert {}`.",
            package.features,
            other.join(" and "),
            package.name,
        );
        Fault::new(format!("{} {}", package.name, package.version), what)
    };
    twice.map(explain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(is_ours: bool, features: &str) -> BTreeSet<Built> {
        let (name, version) = ("a".to_owned(), "1.0.0".to_owned());
        [Built {
            name,
            version,
            is_ours,
            features: features.to_owned(),
        }]
        .into()
    }

    #[test]
    fn another_feature_for_tests_fails() {
        let found = faults(&built(false, "std"), &built(false, "rc,std"));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("`rc,std`"), "{}", found[0]);
    }

    #[test]
    fn the_same_features_and_fixtures_of_rooms_pass() {
        assert_eq!(faults(&built(false, "std"), &built(false, "std")), []);
        assert_eq!(faults(&built(true, ""), &built(true, "test-util")), []);
    }
}
