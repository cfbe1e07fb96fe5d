//! thresholds, generate, features, evaluate: parts in, parts out. All input and output of a run is here.
//!
//! Every stage does the same: the blocks of its shard, less those whose part is whole and of this plan; one
//! part published at a time; a stop between steps loses the block in hand and nothing else.

mod back_off;
pub mod cost;
pub mod error;
pub mod evaluate;
mod extract;
#[cfg(test)]
pub(crate) mod fault_tests;
pub mod features;
pub mod gc;
pub mod generate;
pub mod laplace;
pub mod open;
pub mod progress;
mod real;
pub mod run;
pub mod sample;
pub mod settings;
pub mod shelf;
mod side_by_side;
pub mod statistics;
pub mod stop;
#[cfg(test)]
mod tests;
pub mod thresholds;
pub mod verify;

pub use error::StageError;
pub use progress::{Progress, Silent};
pub use run::{Company, Load, Run, Sharing, StageSummary};
pub use stop::Stop;
