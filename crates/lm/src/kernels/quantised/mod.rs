//! Blocks of quantised numbers: their layouts, their values, and products with them.

pub(crate) mod blocks;
#[cfg(test)]
pub(crate) mod reference;
