//! The client against a server that misbehaves on purpose.

mod client;
mod fake;
