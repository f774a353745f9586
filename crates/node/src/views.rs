//! How rows of the store become answers of the market dialect.

mod assets;
mod jobs;
mod royalties;
