//! The client against a server that misbehaves on purpose.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod client;
mod fake;
