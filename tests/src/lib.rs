//! Whole-market scenarios.
