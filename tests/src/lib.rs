//! Whole-market scenarios.

pub mod pages;
