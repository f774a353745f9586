//! Whole-market scenarios, over the built binary.

mod personas;
