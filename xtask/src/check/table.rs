//! One table of dependencies, and one place for fields and lints.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Fault;
use super::manifest::{self, Dependency, Manifest};
use crate::repository::Repository;
use crate::rules;

const ROOT: &str = "Cargo.toml";

/// Finds members that name versions or features of their own, or do not inherit what all share.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let root = repository.text(ROOT).context("the root has no Cargo.toml")?;
    let members = manifest::members(repository)?;
    let mut faults = root_faults(&Manifest::parse(ROOT, root)?, &members);
    faults.extend(members.iter().flat_map(member_faults));
    Ok(faults)
}

/// The table itself: rooms by path, everything else by version, and nothing that no member uses.
fn root_faults(root: &Manifest, members: &[Manifest]) -> Vec<Fault> {
    let table = root.field("workspace", "dependencies").and_then(Value::as_table);
    let mut faults = Vec::new();
    for (name, value) in table.into_iter().flatten() {
        let is_room = members.iter().any(|member| member.package() == name);
        if !is_room && !comes_from_registry(value) {
            let what =
                format!("{name} must come from the registry by version, not from a path or a git address.");
            faults.push(Fault::new(ROOT, what));
        }
        let used = members
            .iter()
            .flat_map(Manifest::dependencies)
            .any(|dependency| dependency.name == name);
        if !used && !is_room {
            faults.push(Fault::new(
                ROOT,
                format!("no member uses {name}; remove it from the table."),
            ));
        }
    }
    faults
}

/// Whether `value` names a version and no other place.
///
/// A new name (`package = …`) is well: two versions of one package need it. No room can hide behind one, since rooms
/// have no version to ask for.
fn comes_from_registry(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    (value.is_str() || has("version")) && !has("path") && !has("git")
}

fn member_faults(member: &Manifest) -> Vec<Fault> {
    let inherits = |section: &Value| section.get("workspace") == Some(&Value::Boolean(true));
    let mut faults = Vec::new();
    for field in rules::INHERITED_FIELDS {
        if !member.field("package", field).is_some_and(inherits) {
            faults.push(Fault::new(
                &member.path,
                format!("write `{field}.workspace = true` in [package]."),
            ));
        }
    }
    if !member.table.get("lints").is_some_and(inherits) {
        faults.push(Fault::new(&member.path, "write `workspace = true` in [lints]."));
    }
    faults.extend(
        member
            .dependencies()
            .iter()
            .filter_map(|dependency| dependency_fault(member, dependency)),
    );
    faults
}

fn dependency_fault(member: &Manifest, dependency: &Dependency<'_>) -> Option<Fault> {
    let Dependency { kind, name, value } = dependency;
    let table = value.as_table();
    if table.and_then(|table| table.get("workspace")) != Some(&Value::Boolean(true)) {
        let what =
            format!("{name} in {kind}: put its version into the root's table and write `workspace = true`.");
        return Some(Fault::new(&member.path, what));
    }
    let extra = table
        .into_iter()
        .flat_map(Table::keys)
        .find(|key| match key.as_str() {
            "workspace" | "optional" => false,
            "features" => !only_fixtures(dependency),
            _ => true,
        })?;
    let what =
        format!("{name} in {kind} adds `{extra}`; put it into the root's table, so that features unify.");
    Some(Fault::new(&member.path, what))
}

/// Whether all that is added is the fixtures of a room, for tests.
fn only_fixtures(dependency: &Dependency<'_>) -> bool {
    let is_room = rules::ROOMS.iter().any(|room| room.package == dependency.name);
    let features = dependency.value.get("features").and_then(Value::as_array);
    let fixtures = features.is_some_and(|list| {
        list.iter()
            .all(|name| name.as_str() == Some(rules::FIXTURE_FEATURE))
    });
    is_room && fixtures && dependency.kind == "dev-dependencies"
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
        [lints]\nworkspace = true\n";

    fn member(rest: &str) -> Manifest {
        Manifest::parse("crates/a/Cargo.toml", &format!("{HEAD}{rest}")).unwrap()
    }

    #[test]
    fn a_member_that_only_inherits_passes() {
        let rest = "[dependencies]\nserde.workspace = true\ntoml = { workspace = true, optional = true }\n\
            [dev-dependencies]\nposthuman-types = { workspace = true, features = [\"test-util\"] }\n";
        assert_eq!(member_faults(&member(rest)), []);
    }

    #[test]
    fn versions_features_and_paths_of_a_member_fail() {
        let entries = [
            "serde = \"1\"",
            "serde = { version = \"1\" }",
            "serde = { path = \"../serde\" }",
            "serde = { workspace = true, features = [\"rc\"] }",
            "serde = { workspace = true, features = [\"test-util\"] }",
            "serde = { workspace = true, default-features = false }",
            "posthuman-types = { workspace = true, features = [\"test-util\"] }",
        ];
        for entry in entries {
            assert_eq!(
                member_faults(&member(&format!("[dependencies]\n{entry}\n"))).len(),
                1,
                "{entry}"
            );
        }
    }

    #[test]
    fn fields_and_lints_of_its_own_fail() {
        let own = Manifest::parse(
            "crates/a/Cargo.toml",
            "[package]\nname = \"a\"\nversion = \"1.0.0\"\n",
        )
        .unwrap();
        assert_eq!(member_faults(&own).len(), rules::INHERITED_FIELDS.len() + 1);
    }

    #[test]
    fn the_table_takes_registry_packages_that_are_used() {
        let root =
            |entry: &str| Manifest::parse(ROOT, &format!("[workspace.dependencies]\n{entry}\n")).unwrap();
        let members = [member("[dependencies]\nserde.workspace = true\n")];
        assert_eq!(
            root_faults(
                &root("serde = { version = \"1\", package = \"serde_one\" }\na = { path = \"crates/a\" }"),
                &members
            ),
            []
        );
        let refused = [
            "serde = { git = \"https://example.org\" }",
            "serde = { path = \"elsewhere\" }",
            "serde = { version = \"1\", path = \"../serde\" }",
            "unused = \"1\"",
        ];
        for entry in refused {
            assert_eq!(root_faults(&root(entry), &members).len(), 1, "{entry}");
        }
    }
}
