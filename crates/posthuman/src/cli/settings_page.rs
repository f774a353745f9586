//! `posthuman settings`.

use super::context::Context;
use super::output::{Report, table};
use super::settings::{self, SETTINGS};

/// All settings with their values here, or as the page of the documentation.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  posthuman settings\n  posthuman settings --markdown")]
pub(crate) struct Args {
    /// Print the page `docs/settings.md`.
    #[arg(long)]
    markdown: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<Report> {
        if self.markdown {
            return Report::new(settings::markdown(), &settings::markdown());
        }
        let value = |name| context.settings.text(name).unwrap_or_default().to_owned();
        let rows = SETTINGS
            .iter()
            .map(|setting| vec![setting.name.to_owned(), value(setting.name), setting.variable()]);
        let json: std::collections::BTreeMap<&str, String> = SETTINGS
            .iter()
            .map(|setting| (setting.name, value(setting.name)))
            .collect();
        Report::new(table(&["setting", "value", "environment"], rows), &json)
    }
}
