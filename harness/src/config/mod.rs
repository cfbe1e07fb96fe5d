//! Experiment files. The only door to `serde_yaml`.
