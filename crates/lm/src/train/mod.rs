//! Training: AdamW with a cosine schedule, clipping and accumulation, on gradients written by hand.

mod checkpoint;
mod options;
mod trainer;

pub use options::TrainOptions;
pub use trainer::{StepReport, Trainer};

#[cfg(test)]
mod tests;
