//! Tasks of this repository that need more than one line of the Makefile.
//!
//! `cargo run -p xtask -- check` holds the repository against its own rules (see [`rules`]); the same checks are
//! ordinary tests of this package, so that `make test` runs them.
//!
//! Only std streams and the exit code are used: standard output carries the answer, standard error what went wrong.

use std::io::Write;
use std::process::ExitCode;

mod check;
mod repository;
mod rules;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => run_checks(),
        _ => {
            writeln!(
                std::io::stderr(),
                "Usage: cargo run -p xtask -- check\n\n{}",
                check::list()
            )?;
            Ok(ExitCode::from(2))
        }
    }
}

/// Runs every check and prints each fault on a line of its own.
fn run_checks() -> anyhow::Result<ExitCode> {
    let repository = repository::Repository::read(repository::root())?;
    let mut output = std::io::stdout().lock();
    let mut faults = 0;
    for check in check::ALL {
        let found = (check.run)(&repository)?;
        writeln!(
            output,
            "{} {}",
            if found.is_empty() { "ok    " } else { "FAILED" },
            check.name
        )?;
        for fault in &found {
            writeln!(output, "       {fault}")?;
        }
        faults += found.len();
    }
    if faults > 0 {
        writeln!(
            output,
            "{faults} faults; the rules and the reasons for them are in xtask/src/rules.rs."
        )?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
