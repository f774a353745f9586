//! The worker that the integration tests start: the product's binary without the rest of the product.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(command) if command == "worker" => posthuman_jobs::worker::worker_main(arguments.collect()),
        _ => ExitCode::from(2),
    }
}
