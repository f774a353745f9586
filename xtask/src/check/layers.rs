//! The layer test: the arrows of the manifests against the table of [`rules::ROOMS`].

use anyhow::Result;

use super::manifest::{self, Manifest};
use super::{Fault, cargo};
use crate::repository::Repository;
use crate::rules::{self, Room};

/// Finds every arrow between rooms that the table does not have, in whatever kind of dependency.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let members = manifest::members(repository)?;
    let mut faults = table_faults(rules::ROOMS);
    faults.extend(
        members
            .iter()
            .flat_map(|member| room_faults(member, rules::ROOMS)),
    );
    Ok(faults)
}

/// Finds server and engine in what the library `posthuman` brings without its default features.
pub fn check_client(repository: &Repository) -> Result<Vec<Fault>> {
    let client = [
        "--package",
        "posthuman",
        "--no-default-features",
        "--edges",
        "normal,build",
        "--target",
        "all",
    ];
    let brought = cargo::tree(&repository.root, &client)?;
    Ok(client_faults(brought.iter().map(|package| package.name.as_str())))
}

fn client_faults<'a>(brought: impl Iterator<Item = &'a str>) -> Vec<Fault> {
    let unwanted = brought.filter(|name| rules::NOT_IN_CLIENT.contains(name));
    let explain = |name| {
        let what = format!(
            "the client library brings {name} even without default features; make what needs it optional, \
             behind the feature `node` or `cli`."
        );
        Fault::new("crates/posthuman/Cargo.toml", what)
    };
    unwanted.map(explain).collect()
}

/// The table itself: a room may use only rooms listed before it, or it would not be a table of layers.
fn table_faults(rooms: &[Room]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, room) in rooms.iter().enumerate() {
        for used in room.may_use {
            if !rooms[..index].iter().any(|below| below.package == *used) {
                let what = format!(
                    "the table lets {} use {used}, which is not listed below it.",
                    room.package
                );
                faults.push(Fault::new(rules::THIS_FILE, what));
            }
        }
    }
    faults
}

fn room_faults(member: &Manifest, rooms: &[Room]) -> Vec<Fault> {
    let package = member.package();
    let Some(room) = rooms
        .iter()
        .find(|room| room.package == package && room.folder == member.folder())
    else {
        let what = format!("the table of rooms has no `{package}` here; add it with what it may use.");
        return vec![Fault::new(&member.path, what)];
    };
    let to_rooms = member.dependencies().into_iter().filter(|dependency| {
        // A room may name itself among its dev-dependencies, to see its own fixtures.
        dependency.name != package && rooms.iter().any(|room| room.package == dependency.name)
    });
    to_rooms
        .filter(|dependency| !room.may_use.contains(&dependency.name))
        .map(|dependency| {
            let (kind, name) = (dependency.kind, dependency.name);
            let what = format!(
                "{package} names {name} in {kind}, an arrow that ARCHITECTURE.md does not have; \
                 move what is needed to a room below both, or meet in a room above."
            );
            Fault::new(&member.path, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_UP: &[Room] = &[
        Room {
            package: "low",
            folder: "crates/low",
            may_use: &[],
        },
        Room {
            package: "high",
            folder: "crates/high",
            may_use: &["low"],
        },
    ];

    fn faults_of(path: &str, package: &str, dependencies: &str) -> Vec<Fault> {
        let text = format!("[package]\nname = \"{package}\"\n{dependencies}");
        room_faults(&Manifest::parse(path, &text).unwrap(), MADE_UP)
    }

    #[test]
    fn arrows_down_and_foreign_packages_pass() {
        let dependencies = "[dependencies]\nlow.workspace = true\nserde.workspace = true\n";
        assert_eq!(faults_of("crates/high/Cargo.toml", "high", dependencies), []);
        let itself = "[dev-dependencies]\nlow = { workspace = true, features = [\"test-util\"] }\n";
        assert_eq!(faults_of("crates/low/Cargo.toml", "low", itself), []);
    }

    #[test]
    fn an_arrow_up_fails_in_every_kind() {
        for kind in [
            "dependencies",
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            let faults = faults_of(
                "crates/low/Cargo.toml",
                "low",
                &format!("[{kind}]\nhigh.workspace = true\n"),
            );
            assert_eq!(faults.len(), 1, "{kind}");
            assert!(faults[0].what.starts_with("low names high in "), "{}", faults[0]);
        }
    }

    #[test]
    fn an_unknown_room_or_folder_fails() {
        assert_eq!(faults_of("crates/new/Cargo.toml", "new", "").len(), 1);
        assert_eq!(faults_of("crates/elsewhere/Cargo.toml", "low", "").len(), 1);
    }

    #[test]
    fn a_table_with_an_arrow_up_fails() {
        let upside_down = [
            Room {
                package: "low",
                folder: "crates/low",
                may_use: &["high"],
            },
            Room {
                package: "high",
                folder: "crates/high",
                may_use: &[],
            },
        ];
        assert_eq!(table_faults(&upside_down).len(), 1);
        assert_eq!(table_faults(MADE_UP), []);
    }

    #[test]
    fn a_client_with_a_server_fails() {
        assert_eq!(
            client_faults(["serde", "axum", "posthuman-node"].into_iter()).len(),
            2
        );
        assert_eq!(client_faults(["serde", "reqwest"].into_iter()), []);
    }
}
