//! The key that seals the `files` of the node's DDOs, itself sealed in the vault.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use posthuman_assets::DocumentsKey;
use posthuman_jobs::vault::{ObjectKind, Vault};
use posthuman_types::ObjectId;

use crate::error::{NodeError, OrFault};

/// Opens the key, or makes it at the first start. A file in the node's folder names the vault's object.
pub(crate) fn documents_key(data: &Path, vault: &Vault) -> Result<DocumentsKey, NodeError> {
    let name = data.join("documents.object");
    match std::fs::read_to_string(&name) {
        Ok(text) => read(vault, text.trim()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(vault, &name),
        Err(error) => Err(NodeError::startup(
            format!("cannot read {}", name.display()),
            error,
        )),
    }
}

fn read(vault: &Vault, text: &str) -> Result<DocumentsKey, NodeError> {
    let object: ObjectId = text.parse().or_fault("reading the name of the documents key")?;
    let bytes = vault.read(object, 32)?;
    let key: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .or_fault("reading the documents key")?;
    Ok(DocumentsKey::from_bytes(key))
}

fn create(vault: &Vault, name: &Path) -> Result<DocumentsKey, NodeError> {
    let bytes: [u8; 32] = rand::random();
    let mut writer = vault.writer(ObjectKind::Secret)?;
    writer.write_all(&bytes).or_fault("sealing the documents key")?;
    let object = writer.finish()?;
    // A crash before the rename leaves an object that nothing names; the next start makes another.
    write_name(name, &object).or_fault("writing the name of the documents key")?;
    Ok(DocumentsKey::from_bytes(bytes))
}

/// Writes the file whole or not at all, also where the power fails: without its name the key is lost.
fn write_name(name: &Path, object: &ObjectId) -> std::io::Result<()> {
    let scratch = name.with_extension("new");
    let mut file = File::create(&scratch)?;
    file.write_all(object.to_string().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&scratch, name)?;
    name.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
