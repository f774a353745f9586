//! The binary: command line, node and worker in one.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // A worker locks itself up before any thread, runtime or log exists.
    if arguments.next().is_some_and(|argument| argument == "worker") {
        return posthuman_jobs::worker::worker_main(arguments.collect());
    }
    posthuman::cli::main()
}
