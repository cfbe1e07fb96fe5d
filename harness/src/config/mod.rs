//! Experiment files. The only door to `serde_yaml`.

pub mod bundled;
pub mod published;
