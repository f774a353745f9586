//! The contract of the two channels: stdout carries the result and nothing else, stderr everything else.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

/// Between two lines of progress where no terminal can show a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What a command found out, for people and for programs.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
    json: Value,
}

impl Report {
    /// A result in both forms.
    pub(crate) fn new(text: impl Into<String>, json: &impl Serialize) -> anyhow::Result<Self> {
        Ok(Self {
            text: text.into(),
            json: serde_json::to_value(json)?,
        })
    }

    /// A result that was already written as it came, and the form for programs.
    pub(crate) fn streamed(json: &impl Serialize) -> anyhow::Result<Self> {
        Self::new("", json)
    }

    /// A command that leaves no result.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// Writes the one result to stdout.
    pub(crate) fn write(&self, json: bool) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if json && !self.json.is_null() {
            writeln!(stdout, "{}", self.json)?;
        } else if !json && !self.text.is_empty() {
            writeln!(stdout, "{}", self.text.trim_end_matches('\n'))?;
        }
        stdout.flush()
    }
}

/// Writes part of a result to stdout as it comes. A closed pipe ends the command, as for any filter.
pub(crate) fn stream(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a line for people to stderr; a closed stderr is no reason to stop.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A table without borders, columns two spaces apart.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    // Every cell is padded by one space on both sides.
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().chars().skip(1).collect())
        .collect();
    lines.join("\n")
}

/// Lines of `name  value`, aligned.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// Progress on stderr: a bar on a terminal, else a line now and then.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, last_line: None }
    }

    /// Shows how far something is.
    pub(crate) fn show(&mut self, done: u64, total: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(message.to_owned());
        } else if done == total || self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            note(format_args!("{done}/{total} {message}"));
        }
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, line: impl Display) {
        self.last_line = None;
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_facts_line_up() {
        let text = table(
            &["name", "tokens"],
            [vec!["M1".into(), "700".into()], vec!["longer".into(), "1".into()]],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].find("700"), lines[0].find("tokens"), "{text}");
        assert_eq!(
            facts(&[("did", "x".into()), ("price", "y".into())]),
            "did    x\nprice  y"
        );
    }
}
