//! Experiments and their plans: the top of the pure layers, where sections, protocols and work come together.
//!
//! One YAML file asks one question.

mod file;
#[cfg(test)]
mod file_tests;
pub mod plan;
pub mod print;
#[cfg(test)]
pub(crate) mod tests;

pub use file::Experiment;
pub use plan::{Plan, PlanInputs};
