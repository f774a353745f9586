//! Workers as real processes in their sandbox, and vaults under processes that are killed.

mod crashes;
mod leaks;
mod refusals;
mod sandbox;
mod story;
mod support;
mod trouble;
