//! What the devnet runs on and what demo and tests read: pinned by version, and by hash in the lock file.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Fault;
use crate::repository::Repository;
use crate::rules;

const MANIFEST: &str = "contracts/package.json";
const LOCK: &str = "contracts/package-lock.json";

/// Finds packages that are asked for loosely, locked at another version, or locked without a hash.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for (path, faults_of) in [
        (MANIFEST, manifest_faults as fn(&Value) -> Vec<Fault>),
        (LOCK, lock_faults),
    ] {
        match repository.text(path) {
            Some(text) => {
                let json = serde_json::from_str(text).with_context(|| format!("{path} is not JSON"))?;
                faults.extend(faults_of(&json));
            }
            None => faults.push(Fault::new(
                path,
                "is missing, so that nothing is pinned; commit it.",
            )),
        }
    }
    Ok(faults)
}

fn manifest_faults(manifest: &Value) -> Vec<Fault> {
    let asked = manifest.get("dependencies").and_then(Value::as_object);
    let mut faults = Vec::new();
    for pin in rules::CONTRACT_PINS {
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
            faults.push(Fault::new(MANIFEST, what));
        }
    }
    let names = asked.into_iter().flatten().map(|(name, _)| name);
    let unpinned = names.filter(|name| !rules::CONTRACT_PINS.iter().any(|pin| pin.name == *name));
    faults.extend(unpinned.map(|name| {
        Fault::new(
            MANIFEST,
            format!(
                "asks for {name}, which {} does not pin; pin it there too.",
                rules::THIS_FILE
            ),
        )
    }));
    faults
}

fn lock_faults(lock: &Value) -> Vec<Fault> {
    let packages = lock.get("packages").and_then(Value::as_object);
    let mut faults = Vec::new();
    for pin in rules::CONTRACT_PINS {
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
            faults.push(Fault::new(LOCK, what));
        }
    }
    for (path, package) in packages.into_iter().flatten() {
        // The entry with no path is the manifest itself.
        if !path.is_empty() && !has_hash(package) && !rules::LOCKED_WITHOUT_HASH.contains(&path.as_str()) {
            let what =
                format!("{path} has no sha512 `integrity`, so that its content is not pinned; add it.");
            faults.push(Fault::new(LOCK, what));
        }
    }
    for path in rules::LOCKED_WITHOUT_HASH {
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

    fn good() -> (Value, Value) {
        let mut asked = json!({});
        let mut packages = json!({ "": { "name": "contracts" } });
        for pin in rules::CONTRACT_PINS {
            asked[pin.name] = json!(pin.asks);
            packages[format!("node_modules/{}", pin.name)] =
                json!({ "version": pin.version, "integrity": "sha512-AAAA" });
        }
        (json!({ "dependencies": asked }), json!({ "packages": packages }))
    }

    #[test]
    fn pinned_packages_pass() {
        let (manifest, lock) = good();
        let files = [(MANIFEST, manifest.to_string()), (LOCK, lock.to_string())];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        assert_eq!(check(&made_up(&files)).unwrap(), []);
    }

    #[test]
    fn a_missing_lock_fails() {
        let (manifest, _) = good();
        let faults = check(&made_up(&[(MANIFEST, &manifest.to_string())])).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].place, LOCK);
    }

    #[test]
    fn loose_and_unknown_requests_fail() {
        let (mut manifest, _) = good();
        manifest["dependencies"][rules::CONTRACT_PINS[0].name] = json!("^1.7.1");
        manifest["dependencies"]["left-pad"] = json!("1.0.0");
        assert_eq!(manifest_faults(&manifest).len(), 2);
        assert_eq!(manifest_faults(&json!({})).len(), rules::CONTRACT_PINS.len());
    }

    #[test]
    fn another_version_and_a_missing_hash_fail() {
        let (_, mut lock) = good();
        let path = format!("node_modules/{}", rules::CONTRACT_PINS[0].name);
        lock["packages"][&path] = json!({ "version": "9.9.9" });
        assert_eq!(lock_faults(&lock).len(), 2);
        lock["packages"]["node_modules/other"] = json!({ "version": "1.0.0", "integrity": "sha1-AAAA" });
        assert_eq!(lock_faults(&lock).len(), 3);
    }

    #[test]
    fn an_excused_entry_needs_no_hash_until_it_has_one() {
        let (_, mut lock) = good();
        let path = rules::LOCKED_WITHOUT_HASH[0];
        lock["packages"][path] = json!({ "version": "1.7.1" });
        assert_eq!(lock_faults(&lock), []);
        lock["packages"][path]["integrity"] = json!("sha512-AAAA");
        assert_eq!(lock_faults(&lock).len(), 1);
    }
}
