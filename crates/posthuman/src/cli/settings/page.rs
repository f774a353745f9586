//! The page of the documentation.

use std::fmt::Write as _;

use super::{SETTINGS, Scope};

/// The page `docs/settings.md`.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Settings\n\nA flag wins over the environment, the environment over `posthuman.toml`, the file over the default.\n\
         The file is `posthuman.toml` in the folder where a command runs, or the one that `--config` names.\n\
         This page is made by `posthuman settings --markdown`; a test keeps it current.\n",
    );
    for (title, scope) in [
        ("Of every command", Scope::Everywhere),
        (
            "Of commands that keep data (`node`, `dev`, `devnet`, `demo`, `vault`)",
            Scope::Data,
        ),
        (
            "Of commands that run workers (`node`, `dev`, `demo`, `verify --rerun`)",
            Scope::Worker,
        ),
        (
            "Of commands that open the vault (`node`, `verify --rerun`, `vault`)",
            Scope::Vault,
        ),
        ("Of the node (`node`, `dev`)", Scope::Node),
        ("Of the node alone (`node`)", Scope::Chain),
        (
            "Of what reads Ocean's contracts (`node`, `devnet`, `dev`, `demo`)",
            Scope::Contracts,
        ),
        ("Of the devnet (`devnet`, `dev`, `demo`)", Scope::Devnet),
    ] {
        let _ = write!(
            page,
            "\n## {title}\n\n| flag | environment | in the file | default | what it does |\n|---|---|---|---|---|\n"
        );
        for setting in SETTINGS.iter().filter(|setting| setting.scope == scope) {
            let default = if setting.default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", setting.default)
            };
            let flag = format!("--{} {}", setting.name, setting.value);
            let _ = writeln!(
                page,
                "| `{}` | `{}` | `{}` | {default} | {} |",
                flag.trim_end(),
                setting.variable(),
                setting.key(),
                setting.doc
            );
        }
    }
    page
}
