//! thresholds, generate, features, evaluate, report: parts in, parts out.
//!
//! Every stage does the same: the blocks of its shard, less those whose part is whole and of this plan; one
//! part published at a time; a stop between steps loses the block in hand and nothing else.

mod arm;
mod back_off;
pub mod build;
pub mod error;
pub mod evaluate;
mod evaluate_filtering;
mod evaluate_guidance;
mod evaluate_reconstruction;
pub mod evaluation;
#[cfg(test)]
pub(crate) mod fault_tests;
pub mod features;
mod gathered;
pub mod gc;
pub mod generate;
mod guide;
pub mod identities;
pub mod inputs;
pub mod models;
pub mod pixels;
pub mod progress;
mod reconstruct;
pub mod reference;
#[cfg(not(fuzzing))]
pub mod report;
#[cfg(not(fuzzing))]
pub mod report_guidance;
#[cfg(not(fuzzing))]
pub mod report_reconstruction;
pub mod run;
pub mod settings;
pub mod shelf;
mod side_by_side;
pub mod starts;
pub mod statistics;
pub mod stop;
#[cfg(test)]
mod tests;
pub mod thresholds;
pub mod trajectory;
pub mod verify;

pub use error::StageError;
pub use progress::{Progress, Silent};
pub use run::{Run, Sharing, StageSummary};
pub use stop::Stop;
