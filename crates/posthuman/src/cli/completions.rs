//! `posthuman completions`.

use clap_complete::Shell;

use super::output::{self, Report};

/// Write completions for a shell to stdout.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  posthuman completions bash")]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Report> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "posthuman", &mut script);
        output::stream(&String::from_utf8(script)?)?;
        Ok(Report::nothing())
    }
}
