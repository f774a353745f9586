//! What is installed from npm (the devnet, contracts and texts, and the tests' other tool): pinned by version, and by hash
//! in the lock file.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Fault;
use crate::repository::Repository;
use crate::rules::{self, PinnedFolder};

/// Finds packages that are asked for loosely, locked at another version, or locked without a hash.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for folder in rules::PINNED_FOLDERS {
        for (path, faults_of) in [
            (
                manifest(folder),
                manifest_faults as fn(&PinnedFolder, &Value) -> Vec<Fault>,
            ),
            (lock(folder), lock_faults),
        ] {
            match repository.text(&path) {
                Some(text) => {
                    let json = serde_json::from_str(text).with_context(|| format!("{path} is not JSON"))?;
                    faults.extend(faults_of(folder, &json));
                }
                None => faults.push(Fault::new(
                    path,
                    "is missing, so that nothing is pinned; commit it.",
                )),
            }
        }
    }
    Ok(faults)
}

fn manifest(folder: &PinnedFolder) -> String {
    format!("{}/package.json", folder.folder)
}

fn lock(folder: &PinnedFolder) -> String {
    format!("{}/package-lock.json", folder.folder)
}

fn manifest_faults(folder: &PinnedFolder, json: &Value) -> Vec<Fault> {
    let asked = json.get("dependencies").and_then(Value::as_object);
    let mut faults = Vec::new();
    for pin in folder.pins {
        let asks = asked
            .and_then(|asked| asked.get(pin.name))
            .and_then(Value::as_str);
        if asks != Some(pin.asks) {
            let what = format!(
                "must ask for {} as `{}`, not {}.",
                pin.name,
                pin.asks,
                asks.unwrap_or("nothing")
            );
            faults.push(Fault::new(manifest(folder), what));
        }
    }
    let names = asked.into_iter().flatten().map(|(name, _)| name);
    let unpinned = names.filter(|name| !folder.pins.iter().any(|pin| pin.name == *name));
    faults.extend(unpinned.map(|name| {
        Fault::new(
            manifest(folder),
            format!(
                "asks for {name}, which {} does not pin; pin it there too.",
                rules::THIS_FILE
            ),
        )
    }));
    faults
}

fn lock_faults(folder: &PinnedFolder, json: &Value) -> Vec<Fault> {
    let packages = json.get("packages").and_then(Value::as_object);
    let mut faults = Vec::new();
    for pin in folder.pins {
        let locked = packages.and_then(|packages| packages.get(&format!("node_modules/{}", pin.name)));
        let version = locked
            .and_then(|locked| locked.get("version"))
            .and_then(Value::as_str);
        if version != Some(pin.version) {
            let what = format!(
                "locks {} at {}, not {}.",
                pin.name,
                version.unwrap_or("nothing"),
                pin.version
            );
            faults.push(Fault::new(lock(folder), what));
        }
    }
    for (path, package) in packages.into_iter().flatten() {
        // The entry with no path is the manifest itself.
        if !path.is_empty() && !has_hash(package) && !folder.without_hash.contains(&path.as_str()) {
            let what =
                format!("{path} has no sha512 `integrity`, so that its content is not pinned; add it.");
            faults.push(Fault::new(lock(folder), what));
        }
    }
    for path in folder.without_hash {
        if packages
            .and_then(|packages| packages.get(*path))
            .is_some_and(has_hash)
        {
            faults.push(Fault::new(
                rules::THIS_FILE,
                format!("{path} has a hash now; remove it from the list."),
            ));
        }
    }
    faults
}

fn has_hash(package: &Value) -> bool {
    package
        .get("integrity")
        .and_then(Value::as_str)
        .is_some_and(|hash| hash.starts_with("sha512-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::repository::made_up;

    const CONTRACTS: &PinnedFolder = &rules::PINNED_FOLDERS[0];

    fn good(folder: &PinnedFolder) -> (Value, Value) {
        let mut asked = json!({});
        let mut packages = json!({ "": { "name": "contracts" } });
        for pin in folder.pins {
            asked[pin.name] = json!(pin.asks);
            packages[format!("node_modules/{}", pin.name)] =
                json!({ "version": pin.version, "integrity": "sha512-AAAA" });
        }
        (json!({ "dependencies": asked }), json!({ "packages": packages }))
    }

    /// All folders as they should be, but for the files that are left out.
    fn faults_without(missing: &[&str]) -> Vec<Fault> {
        let files = rules::PINNED_FOLDERS.iter().flat_map(|folder| {
            let (asked, locked) = good(folder);
            [(manifest(folder), asked), (lock(folder), locked)]
        });
        let files: Vec<_> = files
            .filter(|(path, _)| !missing.contains(&path.as_str()))
            .map(|(path, json)| (path, json.to_string()))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        check(&made_up(&files)).unwrap()
    }

    #[test]
    fn pinned_packages_pass() {
        assert_eq!(faults_without(&[]), []);
    }

    #[test]
    fn a_missing_lock_fails() {
        for lock in ["contracts/package-lock.json", "tests/reader/package-lock.json"] {
            let faults = faults_without(&[lock]);
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].place, lock);
        }
    }

    #[test]
    fn loose_and_unknown_requests_fail() {
        for folder in rules::PINNED_FOLDERS {
            let (mut asked, _) = good(folder);
            asked["dependencies"][folder.pins[0].name] = json!("^1.7.1");
            asked["dependencies"]["left-pad"] = json!("1.0.0");
            assert_eq!(manifest_faults(folder, &asked).len(), 2);
            assert_eq!(manifest_faults(folder, &json!({})).len(), folder.pins.len());
        }
    }

    #[test]
    fn another_version_and_a_missing_hash_fail() {
        for folder in rules::PINNED_FOLDERS {
            let (_, mut locked) = good(folder);
            let path = format!("node_modules/{}", folder.pins[0].name);
            locked["packages"][&path] = json!({ "version": "9.9.9" });
            assert_eq!(lock_faults(folder, &locked).len(), 2);
            locked["packages"]["node_modules/other"] =
                json!({ "version": "1.0.0", "integrity": "sha1-AAAA" });
            assert_eq!(lock_faults(folder, &locked).len(), 3);
        }
    }

    #[test]
    fn an_excused_entry_needs_no_hash_until_it_has_one() {
        let (_, mut locked) = good(CONTRACTS);
        let path = CONTRACTS.without_hash[0];
        locked["packages"][path] = json!({ "version": "1.7.1" });
        assert_eq!(lock_faults(CONTRACTS, &locked), []);
        locked["packages"][path]["integrity"] = json!("sha512-AAAA");
        assert_eq!(lock_faults(CONTRACTS, &locked).len(), 1);
    }
}
