//! Model bundles: a folder with `model.yaml` and its graphs, checked as a whole before anything runs.

pub mod files;
mod inspect;
mod open;
#[cfg(test)]
mod tests;

pub use inspect::{MemoryPerImage, PortSummary, Summary, inspect};
pub use open::{Gradients, Opened, Provenance, SelfTest, open_bundle, open_bundle_with};
