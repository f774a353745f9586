//! Engines: what runs workers. There is one, for this machine.

pub mod local;
