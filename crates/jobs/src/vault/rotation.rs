//! Changing the master key.

use posthuman_types::ObjectId;

use super::manifest::Manifest;
use super::master_key::{MasterKey, Purpose, Wrapped};
use super::{Shelf, Vault, VaultError};
use crate::break_point::break_point;

impl Vault {
    /// Checks that every data key and salt is under the present master key, and wraps those anew that still are under
    /// the retired one. No chunk is read or written.
    ///
    /// Each manifest changes by one rename, so a crash leaves some under the old key and some under the new one:
    /// [`Vault::open`] with the same two keys carries on.
    pub(super) fn rotate_from(&self, retired: Option<&MasterKey>) -> Result<(), VaultError> {
        let master = &self.0.master;
        self.rewrap_all(retired.unwrap_or(master), master)
    }

    fn rewrap_all(&self, old: &MasterKey, new: &MasterKey) -> Result<(), VaultError> {
        for shelf in [Shelf::Objects, Shelf::Pending] {
            for object in self.ids_on(shelf)? {
                let path = self.manifest_path(object, shelf);
                let manifest = match Manifest::read(&path, object) {
                    Ok(Some(manifest)) => manifest,
                    Ok(None) => continue,
                    Err(error) => {
                        // One damaged object must not lock up all the others.
                        tracing::warn!(%object, %error, "a damaged manifest keeps its wrapped key");
                        continue;
                    }
                };
                if manifest.data_key.master_key != *new.id() {
                    self.write_manifest(&rewrapped(manifest, old, new)?, shelf)?;
                    break_point("vault.rotate.between_manifests");
                }
            }
        }
        Ok(())
    }
}

fn rewrapped(mut manifest: Manifest, old: &MasterKey, new: &MasterKey) -> Result<Manifest, VaultError> {
    let object = manifest.object;
    manifest.data_key = rewrap(Purpose::DataKey, object, &manifest.data_key, old, new)?;
    if let Some(salt) = &manifest.salt {
        manifest.salt = Some(rewrap(Purpose::Salt, object, salt, old, new)?);
    }
    Ok(manifest)
}

fn rewrap(
    purpose: Purpose,
    object: ObjectId,
    wrapped: &Wrapped,
    old: &MasterKey,
    new: &MasterKey,
) -> Result<Wrapped, VaultError> {
    Ok(new.wrap(purpose, object, &old.unwrap(purpose, object, wrapped)?))
}
