//! The checks: each is a function from the repository to the faults found in it.

use std::fmt;

use anyhow::Result;

use crate::repository::Repository;

mod cargo;
mod contracts;
mod error_codes;
mod features;
mod layers;
mod licences;
mod links;
mod manifest;
mod source;
mod table;
mod text;
mod tokens;

/// One rule of the repository.
pub struct Check {
    /// What holds when nothing is found.
    pub name: &'static str,
    /// Returns every fault found.
    ///
    /// Fails only when the check itself cannot be made, as when cargo cannot be run.
    pub run: fn(&Repository) -> Result<Vec<Fault>>,
}

/// Every check, cheap ones first.
pub const ALL: &[Check] = &[
    Check {
        name: "rooms import only what lies below them",
        run: layers::check,
    },
    Check {
        name: "one table of dependencies, fields and lints",
        run: table::check,
    },
    Check {
        name: "sources are short, finished and safe",
        run: source::check,
    },
    Check {
        name: "no private keys, no paths of one machine",
        run: text::check,
    },
    Check {
        name: "every public error code has its page",
        run: error_codes::check,
    },
    Check {
        name: "links in pages lead somewhere",
        run: links::check,
    },
    Check {
        name: "contracts and texts are pinned",
        run: contracts::check,
    },
    Check {
        name: "dependencies have permissive licences",
        run: licences::check,
    },
    Check {
        name: "demo and tests compile the same dependencies",
        run: features::check,
    },
    Check {
        name: "the client library brings no server and no engine",
        run: layers::check_client,
    },
];

/// Where a rule is broken, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A path, with a line where there is one.
    pub place: String,
    /// A sentence: what is wrong and what to do.
    pub what: String,
}

impl Fault {
    /// A fault of a whole file or package.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }

    /// A fault of a line, counted from 1.
    pub fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), what)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.what)
    }
}

/// The checks by name, for the usage text.
pub fn list() -> String {
    ALL.iter().map(|check| format!("  {}\n", check.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::root;

    /// Holds this repository against one check.
    fn holds(name: &str) {
        let check = ALL
            .iter()
            .find(|check| check.name == name)
            .expect("a check of this name");
        let faults = (check.run)(&Repository::read(root()).unwrap()).unwrap();
        let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{}", text.join("\n"));
    }

    /// One test per check, so that the name of what failed is the rule.
    macro_rules! repository_holds {
        ($($test:ident: $name:literal,)*) => {
            $(#[test] fn $test() { holds($name); })*

            #[test]
            fn every_check_is_a_test() {
                assert_eq!(ALL.iter().map(|check| check.name).collect::<Vec<_>>(), [$($name),*]);
            }
        };
    }

    repository_holds! {
        layers_hold: "rooms import only what lies below them",
        table_holds: "one table of dependencies, fields and lints",
        sources_hold: "sources are short, finished and safe",
        texts_hold: "no private keys, no paths of one machine",
        error_codes_hold: "every public error code has its page",
        links_hold: "links in pages lead somewhere",
        contracts_hold: "contracts and texts are pinned",
        licences_hold: "dependencies have permissive licences",
        features_hold: "demo and tests compile the same dependencies",
        client_holds: "the client library brings no server and no engine",
    }
}
